"""The splits of a data set: read, looked through, cached, and held or streamed."""
