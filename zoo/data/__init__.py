"""Load a data set by name, and iterate over it in batches of uint8 images on the device."""
