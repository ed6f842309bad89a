"""Architectures of the classic papers, one family per file."""
