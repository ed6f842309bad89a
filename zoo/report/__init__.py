"""The report of a run: plots, a Markdown page, and events for TensorBoard."""
