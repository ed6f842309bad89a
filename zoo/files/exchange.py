"""Exchange two paths in one step, where the system can, so that neither is ever missing."""

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of linux/fcntl.h and linux/fs.h


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files or folders in the same parent folder, with Linux's `renameat2`.

    Returns:
        `False` where the system cannot do that, as some file systems and containers; nothing has changed then.
    """
    rename = _renameat2()
    if rename is None:
        return False
    return bool(rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)


@cache
def _renameat2() -> Any:
    try:
        function = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or a C library without it
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    function.restype = ctypes.c_int
    return function
