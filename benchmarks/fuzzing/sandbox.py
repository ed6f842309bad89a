"""The folder that commands run in, and what changed in it and beside it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from fuzzing.case import Case, put, remove

CANARY = b"This file lies outside of the folder that the command works in.\n"
# What a command may write, by the folder it runs in, besides its caches.
WRITABLE = {
    "run": ("runs", "weights"),
    "recipe": ("runs", "weights"),
    "signed": ("out/signature.sig",),
    "weights": ("runs", "weights"),
}
CACHES = ("cache", "home")
OF_LIBRARIES = ("tmp/torchinductor_", "tmp/.ses")  # PyTorch and onnxruntime make them, of valid files too
Seeds = Mapping[str, Mapping[str, bytes]]  # folder → path → content


class Sandbox:
    """`box`, the current folder of commands; `tmp`, for their temporary files; `outside`, where nothing may change."""

    def __init__(self, root: Path, seeds: Seeds) -> None:
        self.root, self.seeds = root, seeds
        self.box, self.tmp, self.outside = root / "box", root / "tmp", root / "outside"
        self._folder = ""
        self._before: dict[str, tuple[int, ...]] = {}

    @property
    def canary(self) -> str:
        """The path of a file that must not be touched, as text for mutations."""
        return str(self.outside / "canary")

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a command's environment."""
        return {
            "HOME": str(self.box / "home"),
            "XDG_CONFIG_HOME": str(self.box / "config"),
            "XDG_CACHE_HOME": str(self.box / "cache"),
            "ZOO_CACHE": str(self.box / "cache"),
            "ZOO_DATA": str(self.box / "data"),
            "TMPDIR": str(self.tmp),
            "CUDA_VISIBLE_DEVICES": "",
            "ZOO_ARTIFACT_TIME_LIMIT": "15",
        }

    def enter(self, case: Case) -> None:
        """Put the files of the case where they go, and remember how everything is."""
        if case.folder != self._folder:
            self.clear()
            for name, content in self.seeds[case.folder].items():
                put(self.box / name, content)
            self._folder = case.folder
        for name, content in case.files.items():
            put(self.box / name, content)
        self._before = _snapshot(self.root)

    def changes(self, case: Case) -> list[str]:
        """The paths, relative to the sandbox, that changed where nothing may be written."""
        free = tuple(f"box/{name}" for name in (*CACHES, *WRITABLE.get(case.folder, ())))
        free += OF_LIBRARIES
        return [name for name in self._changed() if not name.startswith(free) and name not in ("box", "tmp")]

    def leave(self, case: Case) -> None:
        """Put everything back as the seed folder has it."""
        if self._changed():
            self._folder = ""
            return
        for name in case.files:
            if name in self.seeds[case.folder]:
                put(self.box / name, self.seeds[case.folder][name])
            else:
                remove(self.box / name)

    def clear(self) -> None:
        """Empty folders, and the canary."""
        remove(self.root)
        for folder in (self.box, self.tmp, self.outside, self.box / "home"):
            folder.mkdir(parents=True)
        (self.outside / "canary").write_bytes(CANARY)
        self._folder = ""

    def _changed(self) -> list[str]:
        after = _snapshot(self.root)
        names = {name for name in {*after, *self._before} if after.get(name) != self._before.get(name)}
        if (self.outside / "canary").read_bytes() != CANARY:
            names.add("outside/canary")
        return sorted(names)


def _snapshot(root: Path) -> dict[str, tuple[int, ...]]:
    entries: dict[str, tuple[int, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)  # noqa: PTH118  (called for every file of every input)
            status = os.lstat(path)
            inside = () if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns, status.st_ino)
            entries[os.path.relpath(path, root)] = (status.st_mode, *inside)
    return entries
