"""Judge an artifact of whatever origin by the model that it is said to be."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.errors import ExportError
from zoo.contract.specs import ExportFormat
from zoo.models.load import open_model
from zoo.registry.registry import Registry
from zoo_export.capture import Capture
from zoo_export.failures.difference import difference, inconclusive, worst
from zoo_export.formats.onnx.providers import check_providers
from zoo_export.parity.backend import CPU, settings_of
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import ENOUGH, Coverage, coverage
from zoo_export.parity.judge import Comparison, passed
from zoo_export.parity.reference import at_setting, make_references
from zoo_export.probes.probes import make_probes
from zoo_export.probes.real_images import real_images
from zoo_export.runners import judge_artifact


def verify_file(
    registry: Registry, path: Path, against: str, data_root: Path, providers: Sequence[str] = ("cpu",)
) -> tuple[list[Comparison], Coverage]:
    """Judge an artifact that zoo may not have made, by the model that it is said to be.

    Args:
        path: its suffix says the format.
        against: MODEL.
        providers: of onnxruntime, in short, that it is run on.

    Returns:
        What was compared, and what that would have noticed. Probe weights cannot be put into a finished file.

    Raises:
        DeviceError: a provider does not work here.
        DifferenceError: it does not compute what the model computes, or comparing them would prove too little.
        ExportError: it does not load, or no format has its suffix.
    """
    check_providers(providers)
    settings = settings_of(providers)
    if not path.is_file():
        raise ExportError(f"There is no file {path}.", "Check the path.")
    entries = [entry for entry in registry.entries(ExportFormat) if entry.spec.suffix == path.suffix]
    if not entries:
        suffixes = ", ".join(entry.spec.suffix for entry in registry.entries(ExportFormat))
        raise ExportError(f"No format writes files that end in {path.suffix!r}.", f"Those known end in {suffixes}.")
    model = open_model(registry, against)
    real = real_images(registry, model.card, data_root)
    references = make_references(model.module, make_probes(model.card.preprocess, real.images))
    known = {each: at_setting(model.module, references, each) for each in settings if each != CPU}
    known[CPU] = references
    found = judge_artifact(
        registry.find(ExportFormat, registry.short_name(entries[0])), path, known.__getitem__, settings, OWN
    )
    if not passed(found):
        from zoo_export.formats.onnx.stages import sentence  # only where it is needed: it loads onnxruntime

        failed = next(reference for reference in references if reference.probe.name == worst(found).probe)
        capture = Capture(model.name, model.module, model.card)
        blamed = sentence(entries[0].spec.export, capture, path, failed, ours=False)
        raise difference(model.name, str(path), found, blamed)
    seen = coverage(model.module, known[settings[0]])
    if seen.share < ENOUGH:
        raise inconclusive(
            f"{path} agrees with {model.name}, but that",
            model.name,
            seen,
            "Check it with trained weights, or export with zoo, which checks the graph with probe weights too.",
        )
    return found, seen
