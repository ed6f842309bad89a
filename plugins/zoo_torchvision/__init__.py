"""Every torchvision classifier, as specs."""
