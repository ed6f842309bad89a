"""Weights that are stored on this machine: from a name to a file, and from a card to its architecture."""
