"""The locations of data sets, the cache and weights files."""

import os
import stat
from pathlib import Path

from platformdirs import user_cache_path

from zoo.contract.errors import UnknownName, UsageError, WeightsError
from zoo.contract.names import MEMBER, NAME, QUALIFIED, bare_name, collection_name

SUFFIX = ".safetensors"


def _variable(name: str) -> Path | None:
    """The folder that an environment variable names, which need not exist; `None` if it is not set.

    Raises:
        UsageError: it cannot be a folder: the name is too long, say, or a file has it.
    """
    value = os.environ.get(name)
    if not value:
        return None
    try:
        reason = "" if stat.S_ISDIR(Path(value).stat().st_mode) else "it is not a folder"
    except FileNotFoundError:
        reason = ""
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        raise UsageError(f"{name}={value[:100]} cannot be used: {reason}.", f"Set {name} to a folder, or unset it.")
    return Path(value)


def data_root(root: Path | None = None) -> Path:
    """Return the folder of data sets: `root`, else `$ZOO_DATA`, else `data` in zoo's cache folder."""
    return root or _variable("ZOO_DATA") or user_cache_path("zoo") / "data"


def decoded_folder() -> Path:
    """Return the folder of decoded images: `decoded` in `$ZOO_CACHE`, else in zoo's cache folder. It may be deleted."""
    return (_variable("ZOO_CACHE") or user_cache_path("zoo")) / "decoded"


def pretrained_folder() -> Path:
    """Return the folder of weights that plugins provided: `pretrained` in `$ZOO_CACHE`, else in zoo's cache folder."""
    return (_variable("ZOO_CACHE") or user_cache_path("zoo")) / "pretrained"


def hub_cache_folder() -> Path:
    """Return the folder of weights that were downloaded from the hub: `hub` in `$ZOO_CACHE`, else in zoo's cache."""
    return (_variable("ZOO_CACHE") or user_cache_path("zoo")) / "hub"


def weights_folders() -> list[Path]:
    """Return the folders that `ARCH.TAG` is looked up in, first match first: `$ZOO_WEIGHTS`, `./weights`, zoo's own."""
    variable = _variable("ZOO_WEIGHTS")
    package = Path(__file__).parents[1]
    installed, checkout = package / "shipped_weights", package.parent / "weights"
    folders = [*([variable] if variable else []), Path("weights"), installed if installed.is_dir() else checkout]
    unique = {os.path.realpath(folder): folder for folder in reversed(folders)}
    return list(reversed(unique.values()))


def weights_name(architecture: str, tag: str) -> str:
    """Return `ARCH.TAG.safetensors`, with the folder of the collection. The architecture's name may be qualified."""
    return f"{bare_name(architecture)}.{tag}{SUFFIX}"


def name_of_weights(path: Path, architecture: str) -> str:
    """Return `ARCH.TAG` of a weights file: the collection of its architecture, and the name of the file."""
    name, collection = path.name.removesuffix(SUFFIX), collection_name(architecture)
    return f"{collection}/{name}" if collection else name


def weights_files() -> dict[str, Path]:
    """Return the path of each weights file by its `ARCH.TAG`, sorted by name."""
    files: dict[str, Path] = {}
    for folder in weights_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            files.setdefault(path.name.removesuffix(SUFFIX), path)
        for path in sorted(folder.glob(f"*/*{SUFFIX}")):
            if NAME.fullmatch(path.parent.name):
                files.setdefault(f"{path.parent.name}/{path.name.removesuffix(SUFFIX)}", path)
    return dict(sorted(files.items()))


def is_weights(name: str) -> bool:
    """Whether `name` is written as an `ARCH.TAG` or as a path, rather than as the name of an architecture.

    `COLLECTION/NAME` is an architecture, unless there is a file or folder at that path.
    """
    return not QUALIFIED.fullmatch(name) and (_is_path(name) or "." in bare_name(name))


def _is_path(name: str) -> bool:
    if not name.endswith(SUFFIX) and MEMBER.fullmatch(bare_name(name)):
        return os.path.lexists(name)
    return name.endswith(SUFFIX) or "/" in name or os.sep in name


def find_weights(name: str) -> Path:
    """Return the path of the weights file `name`, an `ARCH.TAG` or a path.

    Raises:
        UnknownName: no weights file has this name. The error lists those of the same architecture.
        WeightsError: `name` is a path, and the file does not exist.
    """
    if _is_path(name):
        is_folder, exists = os.path.isdir(name), os.path.exists(name)  # noqa: PTH110, PTH112  (any name, however long)
        if is_folder:
            raise WeightsError(
                f"{name[:1000]} is a folder without a manifest.json, so it is no export, and without config.json and "
                "model.safetensors, so it is no model.",
                "Check the path.",
            )
        if not exists and not name.endswith(SUFFIX):
            raise WeightsError(f"There is no file or folder {name[:1000]}.", "Check the path.")
        if not exists:
            raise WeightsError(
                f"There is no weights file at {name[:1000]}.", "Run `zoo weights list` to see the available weights."
            )
        return Path(name)
    files = weights_files()
    if name in files:
        return files[name]
    alike = [other for other in files if other.partition(".")[0] == name.partition(".")[0]]
    hint = f"Available: {', '.join(alike)}." if alike else "Run `zoo weights list` to see the available weights."
    raise UnknownName(f"There are no weights named {name!r}.", hint)
