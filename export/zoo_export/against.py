"""Check an artifact of any origin against a model."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from zoo.contract.errors import ExportError
from zoo.contract.evidence import PASS, Verification
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.artifacts import artifact_paths, format_of
from zoo_export.blame.blame import blame_sentence
from zoo_export.blame.contained import blame_in_child
from zoo_export.capture import Capture
from zoo_export.devices import check_devices
from zoo_export.failures.difference import difference, inconclusive, worst
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import coverage
from zoo_export.parity.judge import passed
from zoo_export.precisions.in_use import PrecisionInUse
from zoo_export.probes.probes import make_probes
from zoo_export.probes.real_images import real_images
from zoo_export.runners import judge_artifact, opened
from zoo_export.truth.reference import make_references


def verify_file(
    registry: Registry,
    path: Path,
    model: Model,
    data_root: Path,
    devices: Sequence[str] = ("cpu",),
    *,
    trust: bool = False,
) -> Verification:
    """Check an artifact, whether zoo made it or not, against the model that it should compute.

    Args:
        path: its suffix says the format.
        model: that it should compute.
        devices: that it is run on.
        trust: run it in this process, without limits, instead of in one of its own.

    Returns:
        What was compared, and the coverage of that: probe weights cannot be put into a finished file.

    Raises:
        ContainmentError: it went over its limits of memory or time, or its process was ended.
        DeviceError: a device does not work here.
        DifferenceError: it does not compute what the model computes, or comparing them is inconclusive.
        ExportError: it does not load, or no format has its suffix.
    """
    if not path.is_file():
        raise ExportError(f"There is no file {path}.", "Check the path.")
    entry = format_of(registry, path)
    paths = artifact_paths(entry, path)
    check_devices([entry], devices)
    precision = PrecisionInUse()
    backends = precision.backends(dict.fromkeys(("cpu", *devices)))
    with opened(entry, paths, devices, trust=trust) as load:
        real = real_images(registry, model.card, data_root)
        probes = make_references(model.module, make_probes(model.card.preprocess, real.images))
        known = precision.probes(model.name, model.module, probes, backends)
        judged_on = [backend for backend in backends if backend.device in devices]
        comparisons = judge_artifact(entry, paths, known.__getitem__, judged_on, OWN, load=load)
    if not passed(comparisons):
        failed = next(probe for probe in probes if probe.name == worst(comparisons).probe)
        capture = Capture(model.name, model.module, model.card)
        blame = partial(blame_sentence, own=False) if trust else blame_in_child
        blamed = blame(entry, capture, paths, failed)
        raise difference(model.name, str(path), comparisons, blamed)
    covered = coverage(model.module, known[judged_on[0]])
    if not covered.enough:
        raise inconclusive(
            f"{path} agrees with {model.name}, but the check",
            model.name,
            covered,
            "Check it with trained weights, or export with zoo, which checks the graph with probe weights too.",
        )
    return Verification(path, model.name, PASS, {entry.spec.name: comparisons}, coverage=covered)
