"""Run an artifact of unknown origin in a process of its own, as `zoo.containment` starts it.

`artifact.py` is what the rest of zoo uses; `service.py` is what answers in the child.
"""
