"""What a check of a single file covers with probe weights, where its own weights cover too little.

A file that is zoo's own export of the model is as good as that export, which is checked as `zoo export` checks it. In
another file, the tensors that are those of the model are replaced by probe weights. That file and the model with the
same probe weights must then agree, too.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from zoo.contract.callback import Callback
from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import Comparison, Coverage, Probe
from zoo.contract.exporting.artifact import Array, Capture, Paths
from zoo.contract.formats import ExportFormat
from zoo.evaluation.attributes import keep_attributes
from zoo.models.load import Model
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.artifacts import export_checked
from zoo_export.failures.difference import difference, worst
from zoo_export.parity.check import OWN, PROBE, Check, check_with, covered, make_checks
from zoo_export.parity.judge import passed
from zoo_export.probes.probe_weights import draw_probe_weights
from zoo_export.runners import in_process, judge_artifact, opened
from zoo_export.truth.backend import Backend
from zoo_export.verification.batches import Batches

Groups = Mapping[tuple[tuple[int, ...], bytes], Sequence[str]]
"""The float32 tensors of a model by shape and bytes: the names of those that are equal."""


@dataclass(frozen=True)
class FileCheck:
    """A file that agreed with the model on its own weights.

    Args:
        seeded: the probes of an export, without truth.
        own: what its own weights cover.
        backends: that it was judged on.
        batches: that its format allows.
        trust: run it in this process.
    """

    entry: Entry[ExportFormat]
    paths: Paths
    model: Model
    seeded: Sequence[Probe]
    own: Coverage
    backends: Sequence[Backend]
    batches: Batches
    trust: bool
    callback: Callback


@dataclass(frozen=True)
class Covered:
    """What is covered with probe weights; `differs` says where the file and the model then disagree."""

    coverage: Coverage
    differs: str = ""


def cover_own_export(file: FileCheck, capture: Capture) -> Covered:
    """Check zoo's own export of the model with probe weights, where `file` was seen to be that export.

    Raises:
        DifferenceError: with probe weights, the export does not compute what the model computes.
        ExportError: the model cannot be exported with other weights.
    """
    file.callback.on_message(f"checking {file.paths.main.name} with probe weights")
    entry = file.entry
    checks = make_checks(file.model.module, list(file.seeded), file.backends)
    for check in checks[1:]:
        with TemporaryDirectory() as scratch:
            paths, weighted = entry.spec.paths(Path(scratch)), capture.with_weights(check.module)
            with export_checked(entry, weighted, paths):
                resolve(entry, entry.spec.export)(weighted, paths)
            load = in_process(entry, paths)
            rows = judge_artifact(entry, paths, check.at, file.backends, check.weights, load=load)
        if not passed(rows):
            raise difference(file.model.name, str(file.paths.main), rows)
    return Covered(covered(checks))


def cover_with_replaced_tensors(file: FileCheck) -> Covered:
    """Check a copy of `file` in which the model's tensors are probe weights; the own coverage if none are in it.

    Equal tensors get one new value, so that it need not be known which of them is which. A tensor of the file may be
    equal to one of the model by chance, such as a constant of ones: if the copy differs, it is made again with those
    tensors alone that the file holds as often as the model. That speaks for the file only if it covers enough.
    """
    noise = [probe for probe in file.seeded if probe.name.startswith("noise")]
    groups = _groups(file.model.module)
    replace: Callable[[Paths, Paths, Sequence[tuple[Array, Array]]], Sequence[int]]
    replace = resolve(file.entry, file.entry.spec.replace)
    differs = ""
    file.callback.on_message(f"checking {file.paths.main.name} with probe weights")
    with TemporaryDirectory() as scratch:
        copied = file.entry.spec.paths(Path(scratch))
        same = [(array, array) for array in map(_array, groups)]
        counts = dict(zip(groups, replace(file.paths, copied, same), strict=True))
        present = {key: names for key, names in groups.items() if counts[key]}
        certain = {key: names for key, names in present.items() if counts[key] == len(names)}
        for replaced in [present, certain] if certain != present else [present]:
            check = _probe_check(file, replaced, noise)
            if check is None:
                continue
            state = check.module.state_dict()
            pairs = [(_array(key), state[names[0]].numpy()) for key, names in replaced.items()]
            replace(file.paths, copied, pairs)
            rows = _judge(file, copied, check)
            if passed(rows):
                own = Check(OWN, file.model.module, (), file.own)
                total = covered([own, check])
                return Covered(total, "" if total.enough else differs)
            failed = worst(rows)
            differs = failed.reason or f"its error on the probe {failed.probe} is {failed.ratio:,.0f} rounding errors"
    return Covered(file.own, differs)


def _judge(file: FileCheck, copied: Paths, check: Check) -> list[Comparison]:
    devices = [backend.device for backend in file.backends]
    with opened(file.entry, copied, devices, trust=file.trust) as load:
        return judge_artifact(
            file.entry,
            copied,
            lambda backend: file.batches.replayed(check.at(backend)),
            file.backends,
            PROBE,
            load=load,
        )


def _probe_check(file: FileCheck, replaced: Groups, noise: Sequence[Probe]) -> Check | None:
    """The model with probe weights in the place of `replaced`; `None` if they are of no use."""
    module = copy.deepcopy(file.model.module)
    with keep_attributes(module):
        if not replaced or not draw_probe_weights(module, list(noise)):
            return None
    before, drawn = file.model.module.state_dict(), module.state_dict()
    kept = before.keys() - {name for names in replaced.values() for name in names}
    with torch.no_grad():
        for name in kept:
            drawn[name].copy_(before[name])
        for names in replaced.values():
            for name in names[1:]:
                drawn[name].copy_(drawn[names[0]])
    try:
        return check_with(PROBE, module, noise, file.backends)
    except (ExportError, DifferenceError):  # its logits are not finite
        return None


def _groups(module: nn.Module) -> Groups:
    groups: dict[tuple[tuple[int, ...], bytes], list[str]] = {}
    for name, tensor in module.state_dict().items():
        if tensor.dtype == torch.float32 and tensor.numel():
            groups.setdefault((tuple(tensor.shape), tensor.cpu().numpy().tobytes()), []).append(name)
    return groups


def _array(key: tuple[tuple[int, ...], bytes]) -> Array:
    return np.frombuffer(key[1], np.float32).reshape(key[0])
