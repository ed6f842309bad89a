"""TorchScript: traced and frozen."""
