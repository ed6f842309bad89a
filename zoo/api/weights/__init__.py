"""`zoo.import_weights` and `zoo.record_metrics`: make weights files, and add to their cards."""
