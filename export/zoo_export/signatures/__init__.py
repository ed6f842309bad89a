"""Detached signatures of weights files, exported files and export folders, made and checked with a local key."""
