"""Which step on the way to an artifact a difference comes from."""
