"""What is measured on the model itself: truth in float64, and PyTorch's rounding error on each backend."""
