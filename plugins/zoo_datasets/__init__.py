"""Data sets: digits, embedded; the ones torchvision reads; a folder of images."""
