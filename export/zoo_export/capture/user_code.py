"""Lines of the user's code, named so that they say nothing of the machine."""

import sysconfig
from collections.abc import Sequence
from pathlib import Path

import torch

STANDARD = sysconfig.get_path("stdlib")
PRIVATE = (Path(torch.__file__).parent, Path(__file__).parents[1])


def user_line(frames: Sequence[tuple[str, int | str]]) -> str:
    """The innermost of the frames (file, line) outside PyTorch and zoo's export, from the package on.

    Returns:
        `package/file.py:7`; empty where there is none.
    """
    outside = [(Path(file), line) for file, line in frames if not _inside(Path(file))]
    if not outside:
        return ""
    file, line = outside[-1]
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return f"{file.relative_to(root).as_posix()}:{line}"


def _inside(file: Path) -> bool:
    if file.is_relative_to(STANDARD) and not {"site-packages", "dist-packages"}.intersection(file.parts):
        return True
    return not file.is_absolute() or "sympy" in file.parts or any(file.is_relative_to(folder) for folder in PRIVATE)
