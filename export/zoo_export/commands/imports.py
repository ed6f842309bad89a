"""Import what a command needs in one go. Loads PyTorch only when it is called."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Do not look for garbage among what is imported, neither now nor before the process ends.

    PyTorch and the exporter bring a million objects that live to the end of the process. Python would look through
    them a few dozen times, which is a tenth of a small export. For commands only, which own their process.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # some extension modules complain of a leak if they are not collected then
        if was_on:
            gc.enable()
