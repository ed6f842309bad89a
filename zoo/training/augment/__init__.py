"""Augmentation on the device, in whole batches."""
