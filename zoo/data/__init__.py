"""From the name of a data set to batches of uint8 images on the device."""
