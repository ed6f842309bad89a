"""Folders of timm's layout, which the Hugging Face Hub uses: where a name leads to one."""

from pathlib import Path

from zoo.contract.errors import WeightsError
from zoo.files.regular import is_folder, is_regular

CONFIG, WEIGHTS = "config.json", "model.safetensors"
LOCAL = "local-dir:"  # in front of the path of such a folder, as timm writes it


def is_hub_folder(path: Path) -> bool:
    """Whether `path` is a folder of timm's layout."""
    return is_folder(path) and is_regular(path / CONFIG) and is_regular(path / WEIGHTS)


def hub_folder(name: str) -> Path | None:
    """The folder of timm's layout that `name` leads to: a path, or `local-dir:PATH`; `None` if it leads to none.

    Raises:
        WeightsError: it is `local-dir:PATH`, and there is no such folder.
    """
    path = Path(name.removeprefix(LOCAL))
    if is_hub_folder(path) and name not in ("", LOCAL):
        return path
    if not name.startswith(LOCAL):
        return None
    missing = [each for each in (CONFIG, WEIGHTS) if not is_regular(path / each)]
    reason = f"has no {' and no '.join(missing)}" if is_folder(path) else "is not a folder"
    raise WeightsError(
        f"{name[:1000]} names no model: {str(path)[:1000]} {reason}.",
        f"Name a folder with {CONFIG} and {WEIGHTS}, as timm and `zoo push MODEL {LOCAL}FOLDER` write it.",
    )
