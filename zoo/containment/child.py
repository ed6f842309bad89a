"""The process that runs an artifact: `server.py` forks it, it restricts itself, then it answers requests.

The first request names a service, `package.module:attribute`, which is called with that request and returns what
answers all others. It must not open the artifact before it is asked to. Standard output and standard error go to the
parent, which quotes at most a line of it.
"""

import fcntl
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.containment import protocol
from zoo.containment.protocol import AnyArray
from zoo.containment.system.restrictions import restrict
from zoo.contract.errors import ZooError
from zoo.contract.printable import shortened

MAX_TEXT = 2000  # characters of an error; the parent cuts more of it off
OUT_OF_MEMORY = ("bad_alloc", "bad allocation", "allocate memory", "out of memory", "not enough memory")

Service = Callable[[dict[str, Any], AnyArray | None], tuple[Mapping[str, Any], AnyArray | None]]


def serve(requests: int, replies: int, lifeline: int) -> None:
    """Answer requests until the parent closes its end of the pipe, or is gone."""
    _die_with_parent(lifeline)
    first = protocol.receive(requests, 0)
    if first is None:
        return
    setup, _ = first
    where, _, attribute = setup["service"].partition(":")
    make: Any = reduce(getattr, attribute.split("."), import_module(where))
    service: Service = make(setup)
    scratch = Path(setup["scratch"]) if setup["scratch"] else None
    if scratch is not None:
        tempfile.tempdir = str(scratch)
    measures = restrict(accelerator=setup["accelerator"], scratch=scratch, written=setup["written"])
    protocol.send(replies, {"restrictions": measures})
    while (request := protocol.receive(requests, sys.maxsize)) is not None:
        try:
            answer, array = service(*request)
        except (Exception, SystemExit) as error:
            answer, array = _explained(error), None
        protocol.send(replies, answer, array)
        del request, answer, array  # before the next one is read into memory


def nothing(setup: dict[str, Any]) -> Service:
    """A service that gives empty answers, to see which restrictions are in force."""
    return lambda request, array: ({}, None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had; libraries have no class of their own for it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(mark in text for mark in OUT_OF_MEMORY)


def _explained(error: BaseException) -> dict[str, Any]:
    if is_out_of_memory(error):
        return {"error": "memory"}
    if isinstance(error, ZooError):
        kind, cause, next_step = type(error).__name__, error.cause, error.next_step
    else:
        kind, cause, next_step = "", f"{type(error).__name__}: {error}", ""
    return {"error": {"kind": kind, "cause": shortened(cause, MAX_TEXT), "next_step": shortened(next_step, MAX_TEXT)}}


def _die_with_parent(lifeline: int) -> None:
    """End this process when the other end of a pipe is closed, whatever it is doing then.

    On Linux the kernel sends SIGKILL, so that no lock of Python is needed, which a library may hold while it loads a
    file. The thread of other systems needs it.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        return  # if it was closed before, the first answer meets a closed pipe

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
