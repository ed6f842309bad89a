"""Which plugin a user prefers where several provide the same name.

`ZOO_PREFER=zoo-kit/classic:resnet18,zoo-losses:focal` in the environment, or in `config.toml` of zoo's configuration
folder:

    prefer = ["zoo-kit/classic:resnet18", "zoo-losses:focal"]

The environment comes first. A preference for a plugin that is not installed has no effect.
"""

import os
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.contract.names import QUALIFIED

VARIABLE, KEY = "ZOO_PREFER", "prefer"


def config_file() -> Path:
    """The user's configuration file, which need not exist."""
    from platformdirs import user_config_path  # takes a tenth of the time that `zoo list` has

    return user_config_path("zoo") / "config.toml"


def preferred_names() -> tuple[str, ...]:
    """The qualified names that the user prefers, the most important first.

    Raises:
        UsageError: the variable or the file is malformed.
    """
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
    variable = tuple(_qualified(name, VARIABLE) for name in names if name)
    return (*variable, *(_qualified(name, str(config_file())) for name in _from_file(config_file())))


def _from_file(path: Path) -> list[object]:
    import tomllib

    try:
        names = tomllib.loads(path.read_text(encoding="utf-8")).get(KEY, [])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", "Correct it, or remove it.") from None
    if not isinstance(names, list):
        raise UsageError(f"{KEY} in {path} is not a list.", f'Write for example: {KEY} = ["zoo-kit:resnet18"]')
    return names


def _qualified(name: object, source: str) -> str:
    if isinstance(name, str) and QUALIFIED.fullmatch(name):
        return name
    raise UsageError(
        f"{name!r} in {source} is not of the form DISTRIBUTION:NAME or DISTRIBUTION/ENTRY_POINT:NAME.",
        "Write for example: zoo-kit:resnet18",
    )
