"""Break exported ONNX graphs in known ways and count which checks notice.

`graphs` reads and edits a graph; `weights`, `windows` and `structure` hold the kinds of damage, `same` the changes
that do no damage, `rules` what other exporters check; `bench` runs all of it on a model, `table` prints it.
"""
