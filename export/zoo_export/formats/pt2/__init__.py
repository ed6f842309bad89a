"""PT2: what torch.export saves."""
