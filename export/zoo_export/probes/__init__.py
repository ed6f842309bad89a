"""The inputs and weights that an artifact is judged with."""
