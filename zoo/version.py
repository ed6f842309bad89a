"""The version of zoo, as its distribution has it."""

__version__ = "0.1.0"
