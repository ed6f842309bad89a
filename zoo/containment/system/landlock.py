"""Landlock: a process of Linux gives up the right to write files, to start programs and to connect, for good.

Python has no binding for these system calls, which have the same numbers on every architecture.
"""

import ctypes
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH = 1, 1
SET_NO_NEW_PRIVILEGES = 38  # prctl

EXECUTE, WRITE_FILE, REMOVE_DIR, REMOVE_FILE, REFER, TRUNCATE = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 13, 1 << 14
MAKE = 0b1111111 << 6  # files, folders, links, pipes, sockets, devices
FILE_ONLY = EXECUTE | WRITE_FILE | TRUNCATE  # rights that a rule for a single file may name
NETWORK, SCOPED = 0b11, 0b11  # bind and connect by TCP; abstract sockets of others, and signals to others


def give_up_writing(writable: Sequence[Path]) -> int:
    """Refuse this thread, and all that it starts, to change any file, to run programs and, from version 4, to use TCP.

    Args:
        writable: files and folders that may be written nevertheless.

    Returns:
        The version of Landlock, 0 where the system has none and so nothing is refused.
    """
    kernel = ctypes.CDLL(None, use_errno=True)
    version = int(kernel.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION))
    if version < 1:
        return 0
    files = EXECUTE | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE
    files |= (REFER if version >= 2 else 0) | (TRUNCATE if version >= 3 else 0)
    handled = struct.pack("=QQQ", files, NETWORK, SCOPED)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = int(kernel.syscall(CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0))
    if ruleset < 0:
        return 0
    try:
        for path in writable:
            with suppress(FileNotFoundError):
                _allow(kernel, ruleset, path, files & ~EXECUTE)
        refused = kernel.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or kernel.syscall(RESTRICT_SELF, ruleset, 0)
        return 0 if refused else version
    finally:
        os.close(ruleset)


def _allow(kernel: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights if path.is_dir() else rights & FILE_ONLY, place)
        if kernel.syscall(ADD_RULE, ruleset, PATH_BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(place)
