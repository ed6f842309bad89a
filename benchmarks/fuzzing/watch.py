"""What a command does besides computing: writes, programs, sockets, imports, libraries; by Python's audit events."""

import os
import sys
from pathlib import Path
from typing import Any

from fuzzing.mutators.values import CANARY

WRITES = {  # event → which arguments are paths
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.chown": (0,),
    "shutil.rmtree": (0,),
    "shutil.move": (0, 1),
}
PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn", "os.startfile")
NETWORK = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "urllib.Request", "ftplib.connect")
QUIET = frozenset(("object.__getattr__", "object.__setattr__", "compile", "exec", "sys._getframe"))  # there are many
CODE = ("code.__new__", "marshal.loads", "pickle.find_class", "ctypes.dlopen", "webbrowser.open")


class Watch:
    """Notes what must not happen while it is on. One for a process: audit hooks cannot be removed.

    Args:
        free: folders that may be written.
        packages: top-level modules that are imported for valid files too.
    """

    def __init__(self, free: tuple[Path, ...], packages: frozenset[str]) -> None:
        self.on = False
        self.events: list[str] = []
        self._free = tuple(f"{os.path.realpath(folder)}/" for folder in free)
        self._packages = packages
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or event in QUIET:
            return
        try:
            note = self._note(event, arguments)
        except Exception as error:  # an audit hook that raises would look like the command's own error
            note = f"{event}: {error!r}"
        if note:
            self.events.append(note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event == "open":
            path, _, flags = arguments
            writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            return self._written(path) if writing and not isinstance(path, int) else ""
        if event in WRITES:
            return next(filter(None, (self._written(arguments[index], itself=True) for index in WRITES[event])), "")
        if event == "import":
            top = str(arguments[0]).partition(".")[0]
            return "" if top in self._packages or top in sys.stdlib_module_names else f"import of {arguments[0]}"
        if event.startswith(PROGRAMS):
            program = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else str(arguments[0])
            return "" if program == sys.executable else f"{event} of {arguments[:2]!r:.100}"
        if event.startswith(NETWORK):
            return f"{event} of {arguments[1:]!r:.100}"
        if event.startswith(CODE):
            return f"{event} of {arguments!r:.100}" if CANARY in repr(arguments) or event == "webbrowser.open" else ""
        return ""

    def _written(self, path: Any, *, itself: bool = False) -> str:
        """What is noted of a change at `path`; `itself`: of a link rather than of what it leads to."""
        if path is None or isinstance(path, int):
            return ""
        folder, name = os.path.split(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100
        full = f"{os.path.realpath(folder)}/{name}"
        full = full if itself else os.path.realpath(full)
        return "" if f"{full}/".startswith(self._free) or full == os.devnull else f"write to {full}"


class Memory:
    """The most memory that this process took at once since `start`, as the kernel counts it."""

    def start(self) -> None:
        """Count from here."""
        Path("/proc/self/clear_refs").write_text("5")
        self._before = _status("VmRSS")

    def peak(self) -> int:
        """Bytes over what was taken at `start`."""
        return _status("VmHWM") - self._before


def data_size() -> int:
    """Bytes of private memory that this process has reserved."""
    return _status("VmData")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
