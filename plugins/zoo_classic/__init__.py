"""Architectures of the classic papers: a family is a file."""
