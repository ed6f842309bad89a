"""Stored weights: from a name to a file, from tensors of others to a file, and from a card to its architecture."""
