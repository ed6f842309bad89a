"""What a user's configuration says about plugins: which ones may be imported, and whose names come first.

Two settings, each an environment variable and a list in `config.toml` of zoo's configuration folder:

    ZOO_PLUGINS=zoo-tiny,zoo-server/serve       plugins = ["zoo-tiny", "zoo-server/serve"]
    ZOO_PREFER=zoo-kit/classic:resnet18         prefer = ["zoo-kit/classic:resnet18"]

`ZOO_PLUGINS` replaces the list in the file. The names in `ZOO_PREFER` come before those in the file.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.contract.names import QUALIFIED, is_owner, normalized
from zoo.contract.reading import shown
from zoo.files.regular import read_regular

PREFER, PLUGINS = "ZOO_PREFER", "ZOO_PLUGINS"
PREFER_KEY, PLUGINS_KEY = "prefer", "plugins"
OWN_DISTRIBUTION = "zoo-kit"
MAX_BYTES = 1 << 20  # of the configuration file
PLUGIN = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class AllowList:
    """The plugins that may be imported, besides those of zoo's own distribution, which always may.

    Args:
        names: each a `DISTRIBUTION` or a `DISTRIBUTION/ENTRY_POINT`.
        source: where the list comes from: the environment variable, or the path of the configuration file.
    """

    names: tuple[str, ...]
    source: str

    def allows(self, distribution: str, entry_point: str) -> bool:
        """Whether the entry point of that distribution may be imported."""
        own = normalized(distribution) == OWN_DISTRIBUTION
        return own or any(is_owner(name, distribution, entry_point) for name in self.names)

    def unmatched(self, plugins: Iterable[tuple[str, str]]) -> list[str]:
        """The names that no plugin has. `plugins` are pairs of distribution and entry point."""
        pairs = list(plugins)
        return [name for name in self.names if not any(is_owner(name, *pair) for pair in pairs)]


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


def allow_list() -> AllowList | None:
    """The plugins that the user allows; `None` if every installed plugin is allowed.

    Raises:
        UsageError: the variable or the file is malformed.
    """
    variable = os.environ.get(PLUGINS)
    if variable is not None:
        return AllowList(tuple(_plugin(name, PLUGINS) for name in _split(variable)), PLUGINS)
    path = config_file()
    names = _from_file(path, PLUGINS_KEY, "zoo-tiny")
    return None if names is None else AllowList(tuple(_plugin(name, str(path)) for name in names), str(path))


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


def _from_file(path: Path, key: str, example: str) -> list[object] | None:
    """The list under `key`; `None` if there is no file, or the key is not in it."""
    if not os.path.lexists(path):
        return None
    import tomllib  # commands of a user without the file need not spend the time

    try:
        names = tomllib.loads(read_regular(path, MAX_BYTES).decode()).get(key)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Correct it, or remove it.") from None
    if names is not None and not isinstance(names, list):
        raise UsageError(f"{key} in {path} is not a list.", f'Write for example: {key} = ["{example}"]')
    return names


def _plugin(name: object, source: str) -> str:
    return _matching(name, source, PLUGIN.fullmatch, "DISTRIBUTION or DISTRIBUTION/ENTRY_POINT", "zoo-tiny")


def _qualified(name: object, source: str) -> str:
    form = "DISTRIBUTION:NAME or DISTRIBUTION/ENTRY_POINT:NAME"
    return _matching(name, source, QUALIFIED.fullmatch, form, "zoo-kit:resnet18")


def _matching(name: object, source: str, matches: Callable[[str], object], form: str, example: str) -> str:
    if isinstance(name, str) and matches(name):
        return name
    raise UsageError(f"{shown(name)} in {source} is not of the form {form}.", f"Write for example: {example}")
