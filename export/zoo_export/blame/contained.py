"""Blame for an artifact of unknown origin: its stages run it, and so they run in a child, which is handed the model."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from zoo.containment.limits import Limits, limits_for
from zoo.containment.process import ChildProcess
from zoo.containment.protocol import AnyArray
from zoo.containment.system.restrictions import limit_memory, limit_processor, memory_in_use
from zoo.contract.evidence import Probe
from zoo.contract.exporting.artifact import Capture, Paths
from zoo.contract.formats import ExportFormat
from zoo.contract.printable import plain
from zoo.files.card import Card
from zoo.registry.registry import Entry
from zoo_export import capture as captures
from zoo_export.blame.blame import blame_sentence
from zoo_export.containment.service import format_entry

SERVICE = "zoo_export.blame.contained:BlameService"
PROGRAM, CARD, IMAGES, TRUTH = "program", "card.json", "images.npy", "truth.npy"
MAX_TEXT = 300  # characters


def blame_in_child(entry: Entry[ExportFormat], capture: Capture, paths: Paths, probe: Probe) -> str:
    """What is to blame in a file that was not exported from `capture`, as a sentence; empty if that is not found.

    The child gets the captured program of the model, and a folder to write in, as stages make changed files.
    """
    try:
        with TemporaryDirectory() as folder:
            scratch = Path(folder).resolve()
            with captures.quiet(), (scratch / PROGRAM).open("wb") as file:
                torch.export.save(capture.program, file)
            (scratch / CARD).write_text(json.dumps(capture.card.to_dict()), encoding="utf-8")
            np.save(scratch / IMAGES, probe.images, allow_pickle=False)
            np.save(scratch / TRUTH, probe.truth, allow_pickle=False)
            return _ask(entry, capture, paths, probe, scratch)
    except Exception:  # it must not hide the difference
        return ""


def _ask(entry: Entry[ExportFormat], capture: Capture, paths: Paths, probe: Probe, scratch: Path) -> str:
    spec, limits = entry.spec, limits_for(paths.files)
    setup = {
        "runner": spec.runner,
        "stages": spec.stages,
        "format": spec.name,
        "distribution": entry.plugin.distribution,
        "files": {role: str(path.absolute()) for role, path in paths.files.items()},
        "model": capture.name,
        "probe": {"name": probe.name, "rounding_error": probe.rounding_error},
    }
    child = ChildProcess(paths.main.name, SERVICE, setup, limits, scratch=scratch)
    try:
        seconds = limits.load_seconds + limits.run_seconds(len(probe.images))
        answer, _ = child.ask({}, seconds=seconds)
        return plain(answer.get("blame") or "")[:MAX_TEXT]
    finally:
        child.close()


class BlameService:
    """Answers any request with the sentence, in the child."""

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self._setup = setup

    def __call__(self, request: dict[str, Any], array: AnyArray | None) -> tuple[Mapping[str, Any], AnyArray | None]:
        """Find what is to blame."""
        setup, scratch, limits = self._setup, Path(self._setup["scratch"]), Limits(**self._setup["limits"])
        with captures.quiet(), (scratch / PROGRAM).open("rb") as file:
            program = torch.export.load(file)  # which zoo has written
        card = Card.from_dict(json.loads((scratch / CARD).read_text("utf-8")))
        capture = captures.Capture(setup["model"], program.module(), card, memo={captures.PROGRAM: program})
        images, truth = (np.load(scratch / name, allow_pickle=False) for name in (IMAGES, TRUTH))
        probe = Probe(setup["probe"]["name"], images, truth, setup["probe"]["rounding_error"])
        limit_processor(limits.load_seconds + limits.run_seconds(len(images)))
        limit_memory(memory_in_use() + limits.memory_for(images.nbytes))
        paths = Paths({role: Path(path) for role, path in setup["files"].items()})
        return {"blame": blame_sentence(format_entry(setup), capture, paths, probe, own=False)[:MAX_TEXT]}, None
