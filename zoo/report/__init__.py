"""What a person sees of a run: pictures, a page, and events for TensorBoard."""
