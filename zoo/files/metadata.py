"""JSON in a safetensors header's `__metadata__`, with its SHA-256: cards, checkpoints and the cache are stored so."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from zoo.contract.reading import Malformed, parse_json

CHECKSUM_KEY = "zoo_sha256"


def to_metadata(key: str, data: Mapping[str, Any], *, sort_keys: bool = False) -> dict[str, str]:
    """The metadata that stores `data` as JSON under `key`; `from_metadata` reads it back.

    Raises:
        ValueError: a number in `data` is not finite.
    """
    text = json.dumps(data, sort_keys=sort_keys, allow_nan=False)
    return {key: text, CHECKSUM_KEY: _sha256(text)}


def from_metadata(key: str, metadata: Mapping[str, str]) -> Any:
    """What `to_metadata` stored under `key`.

    Raises:
        KeyError: there is nothing under `key`.
        Malformed: a `ValueError`: it is not what was written, or is not JSON.
    """
    if metadata.get(CHECKSUM_KEY) != _sha256(metadata[key]):
        raise Malformed("its description is not the one that was written")
    return parse_json(metadata[key].encode())


def canonical_digest(data: Mapping[str, Any]) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of `data`: keys sorted, no spaces, UTF-8.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{_sha256(text)}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
