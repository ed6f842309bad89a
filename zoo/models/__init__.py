"""Build architectures and losses, load weights, pick devices."""
