"""The process that children are forked from: it imports what runs artifacts, once for all of them, and opens none.

    python -c BOOT PATHS CONTROL       (see `forking.py`)

CONTROL is a socket. A message on it is the five descriptors of a child, and a frame with the modules to import first.
The status of a child, when it has ended, is written to its own pipe, which no child has.
"""

import os
import selectors
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from zoo.containment import protocol
from zoo.containment.child import serve
from zoo.containment.system.restrictions import restrict_early

STATUS = struct.Struct(">i")  # the exit code, or the number of a signal below 0
DESCRIPTORS = 5  # requests, replies, what it prints, lifeline, status


def main() -> None:
    """Fork a child for each message, until the other end of the socket is closed and the last child has ended."""
    control = socket.socket(fileno=int(sys.argv[2]))
    restrict_early()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    statuses: dict[int, int] = {}
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    listening = True
    while listening or statuses:
        for key, _ in selector.select():
            if key.fd == woken:
                os.read(woken, 4096)
                _report(statuses)
            elif not _fork(control, statuses):
                selector.unregister(control)
                listening = False
    os._exit(0)  # nothing is left to be tidied up, which PyTorch takes its time for


def _fork(control: socket.socket, statuses: dict[int, int]) -> bool:
    """Start a child for the next message; false where none will come."""
    mark, descriptors, _, _ = socket.recv_fds(control, 1, DESCRIPTORS)
    message = protocol.receive(control.fileno(), 0) if mark else None
    if message is None:
        return False
    for name in message[0]["modules"]:
        with suppress(Exception):  # the child says why, when it needs it
            import_module(name)
    *theirs, status = descriptors
    pid = os.fork()
    if pid == 0:
        _become_child(theirs)
    statuses[pid] = status
    for descriptor in theirs:
        os.close(descriptor)
    return True


def _become_child(descriptors: Sequence[int]) -> None:
    """Keep nothing of the server's but these descriptors, serve, and end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        requests, replies, log, lifeline = descriptors
        os.dup2(log, 1)
        os.dup2(log, 2)
        keep = sorted((requests, replies, lifeline))
        for after, before in zip([2, *keep], [*keep, os.sysconf("SC_OPEN_MAX")], strict=True):
            os.closerange(after + 1, before)
        serve(requests, replies, lifeline)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _report(statuses: dict[int, int]) -> None:
    """Write the status of every child that has ended to its pipe."""
    while statuses:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        descriptor = statuses.pop(pid)
        with suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(descriptor, STATUS.pack(os.waitstatus_to_exitcode(status)))
        os.close(descriptor)
