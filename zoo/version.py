"""The version of zoo, which the distribution takes from here."""

__version__ = "0.2.0.dev0"
