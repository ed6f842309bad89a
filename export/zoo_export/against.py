"""Check an artifact of any origin against the model that it is said to be."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.errors import ExportError
from zoo.contract.evidence import PASS, Verification
from zoo.contract.specs import ExportFormat
from zoo.models.load import open_model
from zoo.registry.registry import Registry
from zoo_export.capture import Capture
from zoo_export.failures.difference import difference, inconclusive, worst
from zoo_export.formats.onnx.providers import check_providers
from zoo_export.parity.backend import CPU, settings_of
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import coverage
from zoo_export.parity.judge import passed
from zoo_export.parity.reference import at_backend, make_references
from zoo_export.probes.probes import make_probes
from zoo_export.probes.real_images import real_images
from zoo_export.runners import judge_artifact


def verify_file(
    registry: Registry, path: Path, against: str, data_root: Path, providers: Sequence[str] = ("cpu",)
) -> Verification:
    """Check an artifact, which zoo need not have made, against the model that it is said to be.

    Args:
        path: its suffix says the format.
        against: MODEL.
        providers: of onnxruntime, by short name, that it is run on.

    Returns:
        What was compared, and the coverage of that: probe weights cannot be put into a finished file.

    Raises:
        DeviceError: a provider does not work here.
        DifferenceError: it does not compute what the model computes, or comparing them is inconclusive.
        ExportError: it does not load, or no format has its suffix.
    """
    check_providers(providers)
    backends = settings_of(providers)
    if not path.is_file():
        raise ExportError(f"There is no file {path}.", "Check the path.")
    entries = [entry for entry in registry.entries(ExportFormat) if entry.spec.suffix == path.suffix]
    if not entries:
        suffixes = ", ".join(entry.spec.suffix for entry in registry.entries(ExportFormat))
        raise ExportError(f"No format writes files with the suffix {path.suffix!r}.", f"Known suffixes: {suffixes}.")
    model = open_model(registry, against)
    real = real_images(registry, model.card, data_root)
    probes = make_references(model.module, make_probes(model.card.preprocess, real.images))
    known = {CPU: probes, **{each: at_backend(model.module, probes, each) for each in backends if each != CPU}}
    entry = registry.find(ExportFormat, registry.short_name(entries[0]))
    comparisons = judge_artifact(entry, path, known.__getitem__, backends, OWN)
    if not passed(comparisons):
        from zoo_export.formats.onnx.stages import sentence  # only where it is needed: it loads onnxruntime

        failed = next(probe for probe in probes if probe.name == worst(comparisons).probe)
        capture = Capture(model.name, model.module, model.card)
        blamed = sentence(entries[0].spec.export, capture, path, failed, ours=False)
        raise difference(model.name, str(path), comparisons, blamed)
    covered = coverage(model.module, known[backends[0]])
    if not covered.enough:
        raise inconclusive(
            f"{path} agrees with {model.name}, but the check",
            model.name,
            covered,
            "Check it with trained weights, or export with zoo, which checks the graph with probe weights too.",
        )
    return Verification(path, model.name, PASS, {entry.spec.name: comparisons}, coverage=covered)
