"""Every timm model, as specs."""
