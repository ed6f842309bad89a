"""Judge an artifact of whatever origin by the model that it is said to be."""

from pathlib import Path

from zoo.errors import ExportError
from zoo.loading import open_model
from zoo.registry import Registry
from zoo.specs import ExportFormat
from zoo_export.capture import Capture
from zoo_export.failure import difference, vacuous, worst
from zoo_export.job import load_runner
from zoo_export.parity.check import OWN
from zoo_export.parity.judge import Comparison, passed, run_and_judge
from zoo_export.parity.probes import make_probes
from zoo_export.parity.reference import make_references
from zoo_export.parity.sensitivity import ENOUGH, Sensitivity, sensitivity
from zoo_export.real_images import real_images


def verify_file(registry: Registry, path: Path, against: str, data_root: Path) -> tuple[list[Comparison], Sensitivity]:
    """Judge an artifact that zoo may not have made, by the model that it is said to be.

    Args:
        path: its suffix says the format.
        against: MODEL.

    Returns:
        What was compared, and what that would have noticed. Probe weights cannot be put into a finished file.

    Raises:
        DifferenceError: it does not compute what the model computes, or comparing them would prove too little.
        ExportError: it does not load, or no format has its suffix.
    """
    if not path.is_file():
        raise ExportError(f"There is no file {path}.", "Check the path.")
    entries = [entry for entry in registry.entries(ExportFormat) if entry.spec.suffix == path.suffix]
    if not entries:
        suffixes = ", ".join(entry.spec.suffix for entry in registry.entries(ExportFormat))
        raise ExportError(f"No format writes files that end in {path.suffix!r}.", f"Those known end in {suffixes}.")
    model = open_model(registry, against)
    real = real_images(registry, model.card, data_root)
    references = make_references(model.module, make_probes(model.card.preprocess, real.images))
    runner = load_runner(registry.find(ExportFormat, entries[0].qualified), path)
    found = run_and_judge(runner, references, OWN)
    if not passed(found):
        from zoo_export.parity.blame import sentence  # only where it is needed: it loads onnxruntime

        failed = next(reference for reference in references if reference.probe.name == worst(found).probe)
        capture = Capture(model.name, model.module, model.card)
        blamed = sentence(entries[0].spec.export, capture, path, failed, ours=False)
        raise difference(model.name, str(path), found, blamed)
    seen = sensitivity(model.module, references)
    if seen.share < ENOUGH:
        raise vacuous(
            f"{path} agrees with {model.name}, but that",
            model.name,
            seen,
            "Check it with trained weights, or export with zoo, which checks the graph with probe weights too.",
        )
    return found, seen
