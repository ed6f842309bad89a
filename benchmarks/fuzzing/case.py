"""One input: files that replace those of a valid folder, and the command that reads them."""

import base64
import errno
import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS_OF_FILE = ("fifo", "socket", "folder", "missing", "zero", "loop", "sparse")
SPARSE = 3 * 2**30  # bytes that a sparse file claims to have


@dataclass(frozen=True)
class Special:
    """Something else than a regular file: a FIFO, a socket, a folder, a link to /dev/zero or to itself, nothing at all,
    or a regular file of which most is a hole."""

    what: str


Content = bytes | Special


@dataclass
class Case:
    """What is put where, and what is run.

    Args:
        kind: of the file that is damaged.
        folder: the seed folder that the command runs in.
        files: what replaces or joins the files of the folder, by their path in it.
        arguments: of `zoo`.
        notes: what was changed, in words.
        steps: that a training may take before it is interrupted.
    """

    kind: str
    folder: str
    files: dict[str, Content]
    arguments: list[str]
    notes: list[str] = field(default_factory=list)
    steps: int = 1

    def to_json(self) -> str:
        """Plain data: a finding is kept so."""
        files = {
            name: {"special": content.what} if isinstance(content, Special) else base64.b64encode(content).decode()
            for name, content in self.files.items()
        }
        return json.dumps({**self.__dict__, "files": files}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Case":
        """What `to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        data["files"] = {
            name: Special(content["special"]) if isinstance(content, dict) else base64.b64decode(content)
            for name, content in data["files"].items()
        }
        return cls(**data)


def put(path: Path, content: Content) -> None:
    """Write a file, or make what it is instead of one."""
    remove(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content.what == "fifo":
        os.mkfifo(path)
    elif content.what == "socket":
        with socket.socket(socket.AF_UNIX) as unbound:
            here = Path.cwd()
            os.chdir(path.parent)  # the name of a socket may have 107 bytes
            unbound.bind(path.name)
            os.chdir(here)
    elif content.what == "folder":
        path.mkdir()
    elif content.what == "zero":
        path.symlink_to("/dev/zero")
    elif content.what == "loop":
        path.symlink_to(path.name)
    elif content.what == "sparse":
        with path.open("wb") as file:
            file.write(b'{"format": 2, "name": "')
            file.truncate(SPARSE)


def remove(path: Path) -> None:
    """Remove whatever is there. A process of the last input, which is being ended, may still write for a moment."""
    if path.is_dir() and not path.is_symlink():
        for wait in (0.1, 0.4, 1.6, None):
            for entry in path.iterdir():
                remove(entry)
            try:
                path.rmdir()
                break
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or wait is None:
                    raise
                time.sleep(wait)
    else:
        path.unlink(missing_ok=True)
