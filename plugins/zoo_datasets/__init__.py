"""Data sets: digits, which is included; those of torchvision; a folder of images."""
