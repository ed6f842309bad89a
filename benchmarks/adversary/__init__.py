"""Files that are made to pass a check and to be wrong: graphs, the table of them, and harmless files beside them."""
