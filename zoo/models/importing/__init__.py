"""Take the weights of an architecture from a checkpoint or state dict that other software wrote.

`source.py` reads the file; a checkpoint is opened by `unpickle.py` in a process of its own. `state_dicts.py` chooses
the state dict in it, and `names.py` matches its tensors with those of the module.
"""
