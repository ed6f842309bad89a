"""What an error that an author's code raised says: its type, its text, and the file and line that it comes from."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from types import FrameType

from zoo.contract.names import OWN_DISTRIBUTION, normalized

SHOW_TRACEBACK = "ZOO_RAISE_ERRORS=1 shows the traceback."
CALLERS = frozenset(("zoo", "zoo_export", "zoo_runtime"))
INDIRECT = frozenset(("sympy", "networkx"))  # libraries of PyTorch's, of which zoo names none
REQUIREMENT = re.compile(r"[\w.-]*")  # the name at the beginning of a line such as `torch>=2.9; extra == "x"`
DEV = 'extra == "dev"'  # what only the tests need
SHARED = frozenset(("torchvision", "timm", "einops"))  # which hold models, and functions that other models call


def describe_error(error: BaseException) -> str:
    """`ValueError: build went wrong (at zoo_tiny/model.py:12)`; without the place where it is not known."""
    text = str(error)
    return f"{type(error).__name__}{f': {text}' if text else ''}{in_author_code(error)}"


def in_author_code(error: BaseException) -> str:
    """` (at package/file.py:7)`: where an author's code raised it; empty where it was not raised there."""
    place = author_line(error)
    return f" (at {place})" if place else ""


def author_line(error: BaseException) -> str:
    """The innermost frame of a traceback in the author's code: neither zoo's, nor Python's, nor a library's.

    Returns:
        `package/file.py:7`, the path from the package on; empty where there is none.
    """
    left_out = CALLERS | INDIRECT | _libraries()
    frames = [frame for frame in _frames(error) if _package(frame[0]) not in left_out]
    own = [frame for frame in frames if _package(frame[0]) not in SHARED] or frames
    if not own:
        return ""
    frame, line = own[-1]
    file = Path(frame.f_code.co_filename)
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return f"{file.relative_to(root).as_posix()}:{line}"


@cache
def _libraries() -> frozenset[str]:
    """The packages of the distributions that zoo requires, its extras among them."""
    try:
        lines = requires(OWN_DISTRIBUTION) or ()
    except PackageNotFoundError:  # zoo is run from its sources
        lines = ()
    required = {normalized(name) for line in lines if DEV not in line for name in REQUIREMENT.findall(line)[:1]}
    packages = packages_distributions().items()
    return frozenset(package for package, owners in packages if required & set(map(normalized, owners))) - SHARED


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    """The frames of files, outermost first, each with its line; those of generated code are left out."""
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith("<") and not _is_standard(trace.tb_frame):
            yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _is_standard(frame: FrameType) -> bool:
    return _package(frame) in sys.stdlib_module_names
