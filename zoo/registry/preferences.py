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
from zoo.contract.reading import Malformed, fields, shown
from zoo.files.regular import read_regular

VARIABLE, KEY = "ZOO_PREFER", "prefer"
MAX_CONFIG, MAX_NAMES, MAX_NAME = 1 << 20, 10_000, 1_000  # bytes; names; characters of a name


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


def _from_file(path: Path) -> list[str]:
    import tomllib

    try:
        names = fields(tomllib.loads(read_regular(path, MAX_CONFIG).decode())).get(KEY)
        return [name.text(MAX_NAME) for name in names.items(0, MAX_NAMES)] if names else []
    except FileNotFoundError:
        return []
    except Malformed as error:
        raise UsageError(f"{path}: {error}.", f'Write for example: {KEY} = ["zoo-kit:resnet18"]') from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", "Correct it, or remove it.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}.", "Correct it, or remove it.") from None


def _qualified(name: str, source: str) -> str:
    if QUALIFIED.fullmatch(name):
        return name
    raise UsageError(
        f"{shown(name)} in {source} is not of the form DISTRIBUTION:NAME or DISTRIBUTION/ENTRY_POINT:NAME.",
        "Write for example: zoo-kit:resnet18",
    )
