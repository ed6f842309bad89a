"""What a user's configuration says about plugins: which ones may be imported, and whose names come first.

Two settings, each an environment variable and a list in `config.toml` of zoo's configuration folder:

    ZOO_PLUGINS=zoo-tiny,zoo-server/serve       plugins = ["zoo-tiny", "zoo-server/serve"]
    ZOO_PREFER=zoo-kit/classic:resnet18         prefer = ["zoo-kit/classic:resnet18"]

`ZOO_PLUGINS` replaces the list in the file. The names in `ZOO_PREFER` come before those in the file.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contract.errors import UsageError
from zoo.contract.names import QUALIFIED

if TYPE_CHECKING:
    from zoo.registry.allow_list import AllowList

PREFER, PLUGINS = "ZOO_PREFER", "ZOO_PLUGINS"
PREFER_KEY, PLUGINS_KEY = "prefer", "plugins"
PLUGIN = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?"
PLUGIN_FORM = "DISTRIBUTION or DISTRIBUTION/ENTRY_POINT"


def config_file() -> Path:
    """The user's configuration file, which need not exist.

    The same path as `platformdirs.user_config_path("zoo")` gives, without its import, which every command would pay
    for.
    """
    if sys.platform == "darwin":
        folder = os.path.expanduser("~/Library/Application Support")  # noqa: PTH111  (Path.expanduser may raise)
    else:
        variable = os.environ.get("XDG_CONFIG_HOME", "").strip()
        folder = variable if os.path.isabs(variable) else os.path.expanduser("~/.config")  # noqa: PTH111, PTH117
    return Path(folder, "zoo", "config.toml")


def allow_list() -> "AllowList | None":
    """The plugins that the user allows; `None` if every installed plugin is allowed.

    Raises:
        UsageError: the variable or the file is malformed.
    """
    variable, path = os.environ.get(PLUGINS), config_file()
    names = _from_file(path, PLUGINS_KEY, "zoo-tiny") if variable is None else _split(variable)
    if names is None:
        return None
    from zoo.registry.allow_list import AllowList  # commands of a user without a list need not spend the time

    source = str(path) if variable is None else PLUGINS
    return AllowList(tuple(_matching(name, source, PLUGIN, PLUGIN_FORM, "zoo-tiny") for name in names), source)


def preferred_names() -> tuple[str, ...]:
    """The qualified names that the user prefers, the most important first.

    Raises:
        UsageError: the variable or the file is malformed.
    """
    variable = tuple(_qualified(name, PREFER) for name in _split(os.environ.get(PREFER, "")))
    path = config_file()
    names = _from_file(path, PREFER_KEY, "zoo-kit:resnet18") or ()
    return (*variable, *(_qualified(name, str(path)) for name in names))


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _from_file(path: Path, key: str, example: str) -> Sequence[object] | None:
    """The list under `key`; `None` if there is no file, or the key is not in it."""
    if not os.path.lexists(path):
        return None
    from zoo.files.toml import read_toml  # commands of a user without the file need not spend the time

    try:
        names = read_toml(path).get(key)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Correct it, or remove it.") from None
    if names is not None and not isinstance(names, list):
        raise UsageError(f"{key} in {path} is not a list.", f'Write for example: {key} = ["{example}"]')
    return names


def _qualified(name: object, source: str) -> str:
    return _matching(name, source, QUALIFIED, "DISTRIBUTION:NAME or DISTRIBUTION/ENTRY_POINT:NAME", "zoo-kit:resnet18")


def _matching(name: object, source: str, pattern: "re.Pattern[str] | str", form: str, example: str) -> str:
    if isinstance(name, str) and re.fullmatch(pattern, name):
        return name
    from zoo.contract.reading import shown

    raise UsageError(f"{shown(name)} in {source} is not of the form {form}.", f"Write for example: {example}")
