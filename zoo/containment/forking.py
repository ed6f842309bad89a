"""Start children: one server for each process of ours imports what they need, and forks them. See `server.py`."""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.containment import protocol

BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from zoo.containment.server import main; main()"
PASSED_ON = (  # of the environment, by how the names begin; the rest may hold secrets
    *("PATH", "LD_LIBRARY_PATH", "DYLD_", "LANG", "LC_", "TZ", "TMPDIR"),
    *("OMP_", "MKL_", "KMP_", "OPENBLAS_", "GOMP_", "CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_"),
    *("ORT_", "TORCH_", "PYTORCH_"),
)


@dataclass(frozen=True)
class _Server:
    process: "subprocess.Popen[bytes]"
    control: socket.socket
    paths: tuple[str, ...]
    environment: dict[str, str]
    owner: int


_lock = threading.Lock()
_servers: list[_Server] = []  # at most one, the last; a forked process starts its own


def fork_child(modules: Sequence[str], descriptors: Sequence[int]) -> None:
    """Have the server import `modules`, and then fork a child with the `descriptors`; this does not wait for it.

    Raises:
        OSError: there is no server, and none can be started.
    """
    with _lock:
        try:
            _send(_current(), modules, descriptors)
        except OSError:  # somebody ended it
            _servers.clear()
            _send(_current(), modules, descriptors)


def _send(server: _Server, modules: Sequence[str], descriptors: Sequence[int]) -> None:
    socket.send_fds(server.control, [b"\n"], list(descriptors))
    protocol.send(server.control.fileno(), {"modules": list(modules)})


def _current() -> _Server:
    """The server, if it has our import path and environment, or a new one."""
    paths = tuple(str(Path(path).absolute()) for path in sys.path)
    environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
    for server in _servers:
        if (server.paths, server.environment, server.owner) == (paths, environment, os.getpid()):
            return server
        if server.owner == os.getpid():
            server.control.close()  # it ends with its last child
    _servers[:] = [_start(paths, environment)]
    return _servers[0]


def _start(paths: tuple[str, ...], environment: dict[str, str]) -> _Server:
    """Start Python on `server.py`, isolated from the user's settings and current folder, with our import path."""
    control, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-W", "ignore", "-c", BOOT, json.dumps(paths), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is for us alone, and no terminal is theirs
        )
    return _Server(process, control, paths, environment, os.getpid())


@atexit.register
def _stop() -> None:
    for server in _servers:
        if server.owner == os.getpid():
            server.process.kill()
            server.process.wait()
