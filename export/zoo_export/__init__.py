"""Formats, capture, parity and the export directory: a plugin like any other."""
