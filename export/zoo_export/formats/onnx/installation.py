"""Notice several distributions of onnxruntime in one folder: they overwrite each other's files. Imports none of them.

`onnxruntime`, `onnxruntime-gpu` and others provide one module, `onnxruntime`, and pip does not mind. Which of their
files are left then depends on the order of installation, and removing one of them removes files of the other.
"""

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

MODULE = "onnxruntime"
PARTS = ("onnxruntime", "ort")  # with which the names of such distributions begin, as far as they are known
SUFFIX = ".dist-info"
PLAIN = "onnxruntime"  # the distribution for the CPU alone, which others replace


def installation() -> Sequence[str]:
    """A warning if several distributions provide onnxruntime where Python imports it from; nothing otherwise."""
    folder = next((path for path in sys.path if os.path.isfile(os.path.join(path, MODULE, "__init__.py"))), None)  # noqa: PTH113, PTH118
    return () if folder is None else _warnings_about(folder)


@cache
def _warnings_about(folder: str) -> tuple[str, ...]:
    names = distributions_in(Path(folder))
    if len(names) < 2:
        return ()
    kept = next((name for name in names if name != PLAIN), PLAIN)
    return (
        f"{' and '.join(names)} are installed over each other: they hold different files of one name. "
        f"Run `pip uninstall {' '.join(names)}`, and then `pip install {kept}`.",
    )


def distributions_in(folder: Path) -> list[str]:
    """The distributions in a folder of packages that provide the module `onnxruntime`, sorted by name.

    One listing of the folder decides where there is one candidate; the files of several are looked up in their records.
    """
    with os.scandir(folder) as entries:
        folders = sorted(each.name for each in entries if each.name.endswith(SUFFIX) and _may_provide(each.name))
    candidates = {name.removesuffix(SUFFIX).partition("-")[0].replace("_", "-"): folder / name for name in folders}
    if len(candidates) < 2:
        return list(candidates)
    return [name for name, path in candidates.items() if _provides(path)]


def _may_provide(name: str) -> bool:
    return name.lower().startswith(PARTS)


def _provides(path: Path) -> bool:
    """Whether the record of a distribution lists the module; pip writes a record for each that it installs."""
    try:
        return f"{MODULE}/__init__.py," in (path / "RECORD").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
