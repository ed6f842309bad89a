"""The two files of a folder of timm's layout, read without torch."""

import hashlib
from pathlib import Path

from zoo.contract.errors import WeightsError
from zoo.files.card import KEY
from zoo.files.folders import SUFFIX, pretrained_folder
from zoo.files.header import read_header
from zoo.files.regular import open_regular, read_regular
from zoo.models.hub_layout.config import HubConfig, read_config
from zoo.registry.hub.folders import CONFIG, WEIGHTS

MAX_CONFIG = 1 << 24  # bytes


def has_card(folder: Path) -> bool:
    """Whether the weights in a folder carry a card of zoo.

    Raises:
        WeightsError: the file is damaged.
    """
    return KEY in read_header(folder / WEIGHTS).metadata


def read_folder_config(folder: Path) -> tuple[HubConfig, bytes]:
    """What `config.json` of a folder says, and its content.

    Raises:
        WeightsError: it is damaged.
    """
    try:
        content = read_regular(folder / CONFIG, MAX_CONFIG)
        return read_config(content), content
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WeightsError(
            f"{folder / CONFIG} cannot be used: {reason}.", "Use a folder that timm or `zoo push` wrote."
        ) from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def converted_path(folder: Path) -> Path:
    """Where the user's cache has the weights of a folder without a card, once they were used.

    Raises:
        WeightsError: `config.json` is damaged.
    """
    config, content = read_folder_config(folder)
    key = hashlib.sha256(content + sha256_of(folder / WEIGHTS).encode()).hexdigest()[:16]
    name = folder.resolve().name.replace(SUFFIX, "")
    return pretrained_folder() / f"{config.architecture.rpartition('/')[2]}.{key}" / f"{name}{SUFFIX}"
