"""What a child answers: load an artifact, and run it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.containment.child import is_out_of_memory
from zoo.containment.limits import Limits
from zoo.containment.protocol import DTYPES, AnyArray
from zoo.containment.system.restrictions import limit_memory, limit_processor, memory_in_use
from zoo.contract.exporting.artifact import Backend, Paths, Run
from zoo.contract.formats import ExportFormat
from zoo.registry.discovery import Plugin
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.containment.loading import load_runner


class ArtifactService:
    """Loads the artifact that `setup` names, in the way of its format, and runs it.

    Args:
        setup: `format` and `distribution`, for messages; `runner`, the format's ref; `files`, paths by role; `limits`;
            and `accelerator`, whether memory is not limited.
    """

    def __init__(self, setup: Mapping[str, Any]) -> None:
        self._entry = format_entry(setup)
        self._paths = Paths({role: Path(path) for role, path in setup["files"].items()})
        self._limits = Limits(**setup["limits"])
        self._limits_memory = not setup["accelerator"]
        self._runs: list[Run] = []
        self._libraries = memory_in_use()

    def __call__(self, request: dict[str, Any], images: AnyArray | None) -> tuple[Mapping[str, Any], AnyArray | None]:
        """Answer `{"read": refs, "count": ref}`, `{"load": backend}`, or `{"run": index}` with images."""
        if "read" in request:
            return self._read(request["read"], request.get("count", "")), None
        if images is None:
            return self._load(Backend(**request["load"])), None
        return self._run(self._runs[request["run"]], images)

    def _read(self, refs: Sequence[str], count: str) -> Mapping[str, Any]:
        """Call functions that read the files, and forget what they return; what they raise, they will raise again.

        `count` counts operators, which are the answer.
        """
        self._limit(self._limits.load_seconds)
        for ref in refs:
            try:
                resolve(self._entry, ref)(self._paths)
            except Exception as error:
                if is_out_of_memory(error):
                    raise
        if not count:
            return {}
        counted = resolve(self._entry, count)(self._paths)
        return {
            "operators": dict(counted.operators),
            "conditional": dict(counted.conditional),
            "input_readers": counted.input_readers,
        }

    def _load(self, backend: Backend) -> Mapping[str, Any]:
        self._limit(self._limits.load_seconds)
        self._runs.clear()
        runners = load_runner(self._entry, self._paths, backend)
        self._runs.extend(runners.values())
        return {"runners": list(runners)}

    def _run(self, run: Run, images: AnyArray) -> tuple[Mapping[str, Any], AnyArray | None]:
        self._limit(self._limits.run_seconds(len(images)), images.nbytes)
        logits: object = run(images)
        if isinstance(logits, np.ndarray) and logits.dtype.name in DTYPES:
            return {}, logits
        return {"returned": str(getattr(logits, "dtype", type(logits).__name__))[:80]}, None

    def _limit(self, seconds: float, input_bytes: int = 0) -> None:
        limit_processor(seconds)
        if self._limits_memory:
            limit_memory(self._libraries + self._limits.memory_for(input_bytes))


def format_entry(setup: Mapping[str, Any]) -> Entry[ExportFormat]:
    """A format with the refs that `setup` names, and no others."""
    spec = ExportFormat(
        name=setup["format"],
        summary="Run in a process of its own",
        suffix=".artifact",
        export=setup["runner"],
        runner=setup["runner"],
        stages=setup.get("stages", ""),
    )
    return Entry(spec, Plugin(setup["format"], setup["distribution"], "", (spec,)))
