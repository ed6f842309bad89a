"""Seal again what was changed, so that the change reaches the reader behind a checksum or a digest."""

import hashlib
import io
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

import zoo_runtime
from fuzzing.case import Content
from fuzzing.mutators import archives, fields, torch_archives
from fuzzing.mutators.tensors import seal_card

CARD, CHECKPOINT, DECODED = "zoo", "zoo_checkpoint", "zoo_decoded"  # of zoo's JSON in a safetensors header


def sealed_manifest(data: Any, draw: random.Random | None = None) -> str:
    """The text of a manifest whose digest is that of its content, where it has one."""
    if isinstance(data, dict):
        seal_card(data.get("card"))
    text = fields.dump(data, draw)
    with suppress(ValueError, TypeError, RecursionError, AttributeError):
        data["digest"] = zoo_runtime.manifest_digest(json.loads(text))
        text = fields.dump(data)
    return text


def seal(folder: Mapping[str, bytes], changed: dict[str, bytes]) -> dict[str, Content]:
    """The changed files of an export, and a manifest that lists them as they are now."""
    data = json.loads(folder["out/manifest.json"])
    for path, content in changed.items():
        sha256, name = hashlib.sha256(content).hexdigest(), path.removeprefix("out/")
        data["files"][name] = {"sha256": sha256, "bytes": len(content)}
        for record in data["certificate"]["artifacts"].values():
            if name in record["sha256"]:
                record["sha256"][name] = sha256
        if name == "golden.npz":
            _seal_probes(data["certificate"]["probes"], content)
    return {**changed, "out/manifest.json": sealed_manifest(data).encode()}


def _seal_probes(probes: list[dict[str, Any]], golden: bytes) -> None:
    """Renew the digest of each probe whose images can be read, in float32 or not."""
    with suppress(Exception), np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        for probe in probes:
            with suppress(Exception):
                images = arrays[f"{probe['name']}.input"]
                probe["sha256"] = hashlib.sha256(np.ascontiguousarray(images, "<f4").tobytes()).hexdigest()
                probe["n"] = len(images)


def archive(kind: str, content: bytes, draw: random.Random, outside: str) -> tuple[bytes, list[str]]:
    """A changed `.pt2`, TorchScript or `.npz` file, and what was changed."""
    if kind == "pt2":
        return archives.mutate(content, draw, torch_archives.change_pt2(outside), torch_archives.PT2_NAMES)
    if kind == "torchscript":
        return archives.mutate(content, draw, torch_archives.change_script(outside), torch_archives.SCRIPT_NAMES)
    return archives.mutate(content, draw, torch_archives.change_arrays, ("noise-2.input.npy", "x.npy"))
