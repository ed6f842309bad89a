"""Parity: does an artifact compute what the model computes?

Truth is the untouched model in float64. The rounding error is PyTorch's own float32 rounding error on this model and this
input. An artifact passes where its error stays within `TOLERANCE_FACTOR` rounding errors on every probe. Running and judging are
separate: runners give arrays, `judge` compares them.
"""
