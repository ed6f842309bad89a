"""Find the state dicts in what a checkpoint holds, and choose one."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from zoo.contract.errors import WeightsError

MAX_DEPTH, MAX_LISTED, MAX_KEY = 5, 20, 100
ROOT = "."  # the key of the file's own top level
# Names under which training code stores a state dict, the one that is taken first in front: averaged weights are what
# its author evaluated, as timm takes them too.
WRAPPERS = (
    *("state_dict_ema", "model_ema_state_dict", "ema_state_dict", "model_ema", "ema_model", "ema", "params_ema"),
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "module"),
)


def find_state_dicts(content: object) -> dict[str, Mapping[str, Any]]:
    """Every mapping in `content` that holds tensors by name, by its key: `model`, `ema.module`, `.` for all of it."""
    return {key or ROOT: each for key, each in _mappings(content, "", MAX_DEPTH) if tensors_of(each)}


def tensors_of(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The entries that are tensors with a name."""
    return {name: value for name, value in mapping.items() if isinstance(name, str) and isinstance(value, Tensor)}


def choose_state_dict(found: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """The key of the state dict to take.

    Args:
        found: as `find_state_dicts` returns it.
        key: the one that the user names; empty to take the first one of `WRAPPERS` that is there, or the only one.

    Raises:
        WeightsError: there is none, none has this key, or which one to take is not clear.
    """
    if not found:
        raise WeightsError("The file holds no tensors by name.", "Use a file with the state dict of a model.")
    listing = _listing(found)
    if key:
        if key not in found:
            raise WeightsError(f"The file holds no state dict with the key {key!r:.{MAX_KEY}}.", f"Use {listing}.")
        return key
    ranked = sorted((rank, each) for each in found if (rank := _rank(each)) is not None)
    if ranked:
        return ranked[0][1]
    if ROOT in found or len(found) == 1:
        return ROOT if ROOT in found else next(iter(found))
    raise WeightsError(f"The file holds {len(found)} state dicts.", f"Choose one with {listing}.")


def _mappings(content: object, key: str, depth: int) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    if not isinstance(content, Mapping) or depth < 0:
        return
    yield key, content
    for name, value in content.items():
        if isinstance(name, str):  # optimizers number their states
            yield from _mappings(value, f"{key}.{name}" if key else name, depth - 1)


def _rank(key: str) -> tuple[int, ...] | None:
    """Where a key stands among those that training code uses; `None` if it is none of them."""
    parts = key.split(".")
    return tuple(map(WRAPPERS.index, parts)) if all(part in WRAPPERS for part in parts) else None


def _listing(found: Mapping[str, Mapping[str, Any]]) -> str:
    keys = [f"--key {key[:MAX_KEY]} ({len(tensors_of(found[key])):,} tensors)" for key in list(found)[:MAX_LISTED]]
    return " or ".join(keys)
