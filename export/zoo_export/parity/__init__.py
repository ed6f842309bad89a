"""Parity: does an artifact compute what the model computes?

Truth is the unmodified model in float64. The rounding error is how far PyTorch itself is from truth on this model and
input, by rounding alone. An artifact passes if its error is at most `TOLERANCE_FACTOR` rounding errors on every probe.
Running and judging are separate: runners return arrays, `judge` compares them.
"""
