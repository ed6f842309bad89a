"""Let two places change names in one step, where the system can: there is no moment at which one of them is missing."""

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h


def exchange(one: Path, other: Path) -> bool:
    """Exchange what is at `one` and at `other`, both of one folder. `False` where that cannot be: nothing is changed.

    It is `renameat2` of Linux, which some file systems and containers refuse.
    """
    rename = _renameat2()
    if rename is None:
        return False
    return bool(rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)


@cache
def _renameat2() -> Any:
    try:
        function = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # no Linux, or a C library without it
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    function.restype = ctypes.c_int
    return function
