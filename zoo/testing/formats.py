"""Check an export format: what it writes is complete, reproducible and right, and what it declares works."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from zoo.contract.errors import DeviceError
from zoo.contract.evidence import Probe
from zoo.contract.exporting.artifact import Backend, Capture, Paths, Run
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo.contract.formats import ExportFormat
from zoo.contract.precisions import Precision
from zoo.registry.discovery import Plugin, discover
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry, Registry
from zoo.testing.capture import PREPROCESS, SmallCapture, SmallNet

BATCHES = (1, 2, 5)  # 4 is traced
SCRIPT = """import sys
from pathlib import Path
import numpy as np
{imports}
here = Path({folder!r})
images = np.load(here / "images.npy")
{setup}
np.save(here / "logits.npy", np.asarray({run}))
"""


def check_format(format: str | ExportFormat, registry: Registry | None = None) -> None:
    """Export a small network in every precision that a format declares, and check everything else that it declares.

    Args:
        format: the name of an installed format, or a spec.
        registry: where precisions are looked up; what is installed, by default.

    Raises:
        AssertionError: files are missing, not declared, or differ between two exports; the artifact does not compute
            what the network computes, for batches that were not traced or with other weights; it does not refuse a
            device that does not exist; the last stage is not the artifact's own result; the README section or the
            snippet does not work; or the network is changed.
        ZooError: it cannot be exported at all.
    """
    registry = registry or Registry(discover())
    entry = registry.find(ExportFormat, format) if isinstance(format, str) else _entry(format)
    for name in entry.spec.precisions:
        precision = registry.find(Precision, name)
        _check_precision(entry, name, resolve(precision, precision.spec.rules))


def _check_precision(entry: Entry[ExportFormat], precision: str, rules: PrecisionRules) -> None:
    name = f"{entry.spec.name} in {precision}"
    small = SmallCapture(precision=precision)
    before = {key: value.clone() for key, value in small.module.state_dict().items()}
    capture = rules.prepare(small)
    with TemporaryDirectory() as first, TemporaryDirectory() as second, TemporaryDirectory() as third:
        paths = _export(entry, capture, Path(first))
        again = _export(entry, rules.prepare(SmallCapture(precision=precision)), Path(second))
        for path, other in zip(paths.existing, again.existing, strict=True):
            assert path.read_bytes() == other.read_bytes(), f"{name}: two exports write other bytes to {path.name}"
        kept = small.module.state_dict()
        changed = [key for key, value in before.items() if not torch.equal(value, kept[key])]
        assert not changed and not small.module.training, (
            f"{name}: the export changes {changed or 'the mode'} of the model"
        )
        _check_artifact(name, entry, paths, rules, _batches(small.module, rules, precision), precision)
        twin = SmallNet(seed=1).eval()
        other_weights = capture.with_weights(rules.prepare(SmallCapture(twin, precision)).module)
        moved = _export(entry, other_weights, Path(third))
        _check_artifact(
            f"{name}, exported again with other weights,",
            entry,
            moved,
            rules,
            _batches(twin, rules, precision),
            precision,
        )
        if entry.spec.stages:
            _check_stages(name, entry, capture, paths, rules, _batches(small.module, rules, precision)[1], precision)
        if entry.spec.devices:
            _check_devices(name, entry, paths, precision)
        if precision == "fp32":
            _check_words(name, entry, paths)


def _entry(spec: ExportFormat) -> Entry[ExportFormat]:
    return Entry(spec, Plugin("tested", "tested", "0", (spec,)))


def _export(entry: Entry[ExportFormat], capture: Capture, folder: Path) -> Paths:
    """Export into `folder`; the paths of the files that are there."""
    paths = entry.spec.paths(folder)
    resolve(entry, entry.spec.export)(capture, paths)
    missing = [paths[role].name for role in entry.spec.required if not paths[role].is_file()]
    assert not missing, f"{entry.spec.name} does not write {missing[0]}"
    strange = sorted(path.name for path in set(folder.iterdir()) - set(paths.files.values()))
    assert not strange, f"{entry.spec.name} writes {strange[0]}, which it does not declare"
    return paths


def _batches(module: nn.Module, rules: PrecisionRules, precision: str) -> Sequence[Probe]:
    """Batches of other sizes than the traced one, with truth and the rounding error of the precision."""
    batches = []
    for n in BATCHES:
        generator = torch.Generator().manual_seed(n)
        images = torch.randn(n, *PREPROCESS.input_shape, generator=generator)
        with torch.no_grad():
            outputs = [module(images), module(images.contiguous(memory_format=torch.channels_last))]
            truth = module.double()(images.double()).numpy()
            module.float()
        eps = float(np.finfo(np.float32).eps) * float(np.abs(truth).max())
        error = max(eps, *(float(np.abs(logits.double().numpy() - truth).max()) for logits in outputs))
        batches.append(Probe(f"noise-{n}", images.numpy(), truth, error))
    errors = rules.rounding_errors("small.test", module, batches, Backend(precision=precision))
    return [batch.at(error) for batch, error in zip(batches, errors, strict=True)]


def _runners(entry: Entry[ExportFormat], paths: Paths, backend: Backend) -> Mapping[str, Run]:
    loaded = resolve(entry, entry.spec.runner)(paths, backend)
    runners = loaded if isinstance(loaded, Mapping) else {"": loaded}
    assert runners, f"{entry.spec.name}: the runner returns no function"
    return runners


def _check_artifact(
    name: str, entry: Entry[ExportFormat], paths: Paths, rules: PrecisionRules, batches: Sequence[Probe], precision: str
) -> None:
    for runner, run in _runners(entry, paths, Backend(precision=precision)).items():
        for batch in batches:
            _check_logits(f"{name} ({runner or 'its runner'})", run(batch.images.copy()), batch, rules)


def _check_logits(name: str, logits: Any, batch: Probe, rules: PrecisionRules) -> None:
    assert isinstance(logits, np.ndarray), f"{name} returns a {type(logits).__name__}, not an array"
    assert logits.dtype == np.float32, f"{name} returns {logits.dtype}, not float32"
    assert logits.shape == batch.truth.shape, f"{name} returns {logits.shape} for {batch.name}, not {batch.truth.shape}"
    assert np.isfinite(logits).all(), f"{name} returns values that are not finite"
    measured = rules.measure(logits, batch.truth, batch.rounding_error)
    assert measured.error <= rules.tolerance * measured.unit, (
        f"{name} differs from the model on {batch.name} by {rules.describe(measured.error / measured.unit)}, "
        f"and {rules.describe_tolerance()} is allowed"
    )


def _check_stages(
    name: str,
    entry: Entry[ExportFormat],
    capture: Capture,
    paths: Paths,
    rules: PrecisionRules,
    batch: Probe,
    precision: str,
) -> None:
    """Every stage is right where nothing is wrong, and the last one is what a runner returns."""
    results = [run(batch.images.copy()) for run in _runners(entry, paths, Backend(precision=precision)).values()]
    make = resolve(entry, entry.spec.stages)
    for own in (True, False):
        stages = list(make(capture, paths, own))
        for stage in stages:
            _check_logits(f"{name}: the stage {stage.name!r}", stage.run(batch.images.copy()), batch, rules)
        if stages:
            last = stages[-1].run(batch.images.copy())
            assert any(np.array_equal(last, logits) for logits in results), (
                f"{name}: the last stage, {stages[-1].name!r}, is not the artifact's own result"
            )
    assert precision != "fp32" or stages, f"{name}: no stage runs the files"


def _check_devices(name: str, entry: Entry[ExportFormat], paths: Paths, precision: str) -> None:
    devices = resolve(entry, entry.spec.devices)()
    for device, check in devices.items():
        assert isinstance(check(), str), f"{name}: the check of the device {device} returns no text"
    try:
        resolve(entry, entry.spec.runner)(paths, Backend("no_such_device", precision))
    except DeviceError:
        return
    raise AssertionError(f"{name}: the runner does not raise DeviceError for a device that does not exist")


def _check_words(name: str, entry: Entry[ExportFormat], paths: Paths) -> None:
    """The README section, and the snippet in a process of its own."""
    if entry.spec.readme:
        text = resolve(entry, entry.spec.readme)(paths)
        assert text.startswith("## "), f"{name}: the README section does not begin with a heading of level 2"
        assert paths.main.name in text, f"{name}: the README section does not name {paths.main.name}"
        assert str(paths.main.parent) not in text, f"{name}: the README section names a folder of this machine"
    if not entry.spec.snippet:
        return
    runners = _runners(entry, paths, Backend())
    for runner, run in runners.items():
        snippet = resolve(entry, entry.spec.snippet)(paths, runner)
        if snippet is None:
            continue
        folder = paths.main.parent
        images = np.random.default_rng(0).standard_normal((2, *PREPROCESS.input_shape)).astype(np.float32)
        np.save(folder / "images.npy", images)
        script = SCRIPT.format(imports=snippet.imports, folder=str(folder), setup=snippet.setup, run=snippet.run)
        ran = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
        assert ran.returncode == 0, f"{name}: the snippet fails: {(ran.stderr.strip().splitlines() or ['?'])[-1]}"
        assert np.array_equal(np.load(folder / "logits.npy"), run(images.copy())), (
            f"{name}: the snippet computes other logits than {runner or 'the runner'}"
        )
