"""Build architectures and losses, load weights, select devices."""
