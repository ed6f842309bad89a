"""Verification: what is looked at where an artifact may come from somebody who wants it to pass."""
