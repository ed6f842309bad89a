"""Where data sets and weights files are stored, and how they are named."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from zoo.contract.errors import UnknownName, WeightsError
from zoo.contract.names import QUALIFIED, bare_name

SUFFIX = ".safetensors"


def data_root(path: Path | None = None) -> Path:
    """The folder of data sets: `path`, else `$ZOO_DATA`, else a folder in the user's cache."""
    if path is not None:
        return path
    named = os.environ.get("ZOO_DATA")
    return Path(named) if named else user_cache_path("zoo") / "data"


def decoded_folder() -> Path:
    """The folder of decoded images: in `$ZOO_CACHE`, else in the user's cache. Everything in it may be deleted."""
    named = os.environ.get("ZOO_CACHE")
    return (Path(named) if named else user_cache_path("zoo")) / "decoded"


def weights_folders() -> list[Path]:
    """Where `ARCH.TAG` is looked up, first match first: `$ZOO_WEIGHTS`, `./weights`, those that come with zoo."""
    named = os.environ.get("ZOO_WEIGHTS")
    package = Path(__file__).parents[1]
    installed, checkout = package / "shipped_weights", package.parent / "weights"
    folders = [*([Path(named)] if named else []), Path("weights"), installed if installed.is_dir() else checkout]
    unique = {folder.resolve(): folder for folder in reversed(folders)}
    return list(reversed(unique.values()))


def weights_name(architecture: str, tag: str) -> str:
    """`ARCH.TAG.safetensors`, for an architecture's name, qualified or not."""
    return f"{bare_name(architecture)}.{tag}{SUFFIX}"


def weights_files() -> dict[str, Path]:
    """`ARCH.TAG` to the weights file of that name, sorted."""
    files: dict[str, Path] = {}
    for folder in weights_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            files.setdefault(path.name.removesuffix(SUFFIX), path)
    return dict(sorted(files.items()))


def is_weights(name: str) -> bool:
    """Whether `name` is written as an `ARCH.TAG` or as a path, rather than as the name of an architecture."""
    return not QUALIFIED.fullmatch(name) and (_is_path(name) or "." in bare_name(name))


def _is_path(name: str) -> bool:
    return name.endswith(SUFFIX) or "/" in name or os.sep in name


def find_weights(name: str) -> Path:
    """The weights file of an `ARCH.TAG` or a path.

    Raises:
        UnknownName: no weights file has that name; the error lists those of the same architecture.
        WeightsError: it is a path, and there is no file.
    """
    if _is_path(name):
        if not Path(name).is_file():
            raise WeightsError(f"There is no weights file at {name}.", "`zoo weights list` shows those that zoo finds.")
        return Path(name)
    files = weights_files()
    if name in files:
        return files[name]
    alike = [other for other in files if other.partition(".")[0] == name.partition(".")[0]]
    hint = f"There are: {', '.join(alike)}." if alike else "`zoo weights list` shows those that zoo finds."
    raise UnknownName(f"There are no weights named {name!r}.", hint)
