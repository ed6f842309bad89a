"""The index of timm's models: one row a model, read without importing timm or torch.

The index that comes with zoo is of one version of timm. If another version is installed, `python -m zoo_timm.catalogue`
makes an index of that version in the user's cache, which is then read instead.
"""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).with_name("index.json")


def installed_version() -> str:
    """The version of the installed timm; empty if there is none."""
    try:
        return version("timm")
    except PackageNotFoundError:
        return ""


def cached_index(timm_version: str) -> Path:
    """Where the index of a version of timm lies that was made on this machine."""
    from platformdirs import user_cache_path  # listings need not spend the time where the shipped index is right

    return user_cache_path("zoo") / "timm" / f"index-{timm_version}.json"


def read_index() -> dict[str, Any]:
    """The index of the installed timm if one is on this machine, else the one that comes with zoo.

    Raises:
        ValueError: the file is damaged.
    """
    shipped, installed = _read(SHIPPED), installed_version()
    if installed in ("", shipped["timm"]):
        return shipped
    path = cached_index(installed)
    return _read(path) if path.is_file() else shipped


def _read(path: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads(path.read_bytes())
        if index["format"] != 1:
            raise ValueError(f"its format is {index['format']!r}")
        return index
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the index {path} is damaged ({error}); delete it or install zoo-kit again") from None
