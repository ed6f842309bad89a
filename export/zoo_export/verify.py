"""What `zoo verify` and `zoo.verify` do: repeat the check of an export folder, or check a file against a model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.contract.callback import Callback
from zoo.contract.errors import DifferenceError, ExportError, UnknownName, UsageError
from zoo.contract.evidence import PASS, UNVERIFIED, Comparison, Manifest, Override, Probe, Verdict, Verification
from zoo.contract.preprocess import MAX_PIXELS
from zoo.files.card import COVERED, Card
from zoo.files.expected_digest import check_digest
from zoo.files.folders import is_weights
from zoo.models.load import BuildArgs, Model, open_model
from zoo.registry.registry import Registry
from zoo_export.against import verify_file
from zoo_export.artifacts import artifact_paths, recorded_format
from zoo_export.bundle import golden
from zoo_export.bundle.folder import read_folder
from zoo_export.bundle.provenance import sha256, weights_of
from zoo_export.devices import check_devices
from zoo_export.failures.difference import difference, inconclusive
from zoo_export.failures.unverified import unverified, warnings_of
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import coverage
from zoo_export.parity.judge import passed
from zoo_export.precisions.in_use import find_precision
from zoo_export.probes.probe_recipe import input_digest
from zoo_export.probes.probes import make_probes
from zoo_export.runners import judge_artifact
from zoo_export.truth.backend import Backend
from zoo_export.truth.reference import make_references


def verify(
    registry: Registry,
    path: Path,
    *,
    against: Model | str | None,
    formats: Sequence[str],
    strict: bool,
    devices: Sequence[str],
    data_root: Path,
    callback: Callback,
    expect_digest: str | None = None,
) -> Verification:
    """Verify an export folder, or a file against a model; see `zoo.verify` for the arguments.

    Raises:
        UsageError: options exclude each other.
        ZooError: as `verify_folder` and `verify_file`.
    """
    if path.is_file():
        if against is None or strict or formats:
            raise UsageError(
                f"{path} is a file, not an export folder.",
                "Use --against MODEL; --strict and --format are for folders.",
            )
        check_digest(expect_digest, f"sha256:{sha256(path)}", str(path))
        model = against if isinstance(against, Model) else open_model(registry, against)
        return verify_file(registry, path, model, data_root, devices)
    verification = verify_folder(
        registry, path, formats, strict=strict, against=against, devices=devices, expect_digest=expect_digest
    )
    if verification.manifest is not None and not strict:
        for text in warnings_of(verification.manifest):
            callback.on_message(text, warning=True)
    if strict and verification.manifest is not None and Card.from_dict(verification.manifest.card).format < COVERED:
        callback.on_message(
            f"The card of {verification.model} is not covered by a digest (made by 0.1.0): the digest of the weights "
            "is that of their tensors.",
            warning=True,
        )
    return verification


def verify_folder(
    registry: Registry,
    folder: Path,
    names: Sequence[str] = (),
    *,
    strict: bool = False,
    against: Model | str | None = None,
    devices: Sequence[str] = ("cpu",),
    expect_digest: str | None = None,
) -> Verification:
    """Check every file of an export folder, and run its artifacts on the golden vectors.

    Args:
        names: formats to run; by default all that are there.
        strict: compute truth and rounding error again, from the weights that the manifest names or from `against`,
            and use the default tolerance, whatever override the export has.
        against: the model that was exported, or its name.
        devices: that the artifacts are run on.
        expect_digest: the digest that the manifest must have.

    Raises:
        DeviceError: a device does not work here.
        DifferenceError: a file was changed, an artifact does not compute what the model computes, or the export was
            never verified and `strict` is not set.
        ExportError: it is not an export folder, or it does not hold a format or a rounding error that is needed.
    """
    manifest = read_folder(folder, expect_digest)
    missing = [name for name in names if name not in manifest.artifacts]
    if missing:
        raise ExportError(f"{folder} holds no {missing[0]} artifact.", f"It holds {', '.join(manifest.artifacts)}.")
    entries = {name: recorded_format(registry, manifest.artifacts[name].format) for name in names or manifest.artifacts}
    check_devices(list(entries.values()), devices)
    precision = find_precision(registry, manifest.precision)
    backends = precision.backends(dict.fromkeys(("cpu", *devices)))
    override: Override | None = None
    verdict: Verdict = PASS
    known: Mapping[Backend, Sequence[Probe]]
    if strict:
        model = _exported_model(registry, manifest, against)
        first_check = manifest.verdict == UNVERIFIED
        probes = _first_references(model, manifest) if first_check else _new_references(model, folder, manifest)
        known = precision.probes(model.name, model.module, probes, backends)
    elif manifest.verdict == UNVERIFIED:
        raise unverified(folder, manifest.name)
    else:
        stored = golden.read_golden(folder / golden.NAME, manifest.certificate.probes)
        override, verdict = manifest.certificate.override, manifest.verdict
        known = {each: golden.stored_at(stored, each) for each in backends}
    judged_on = [backend for backend in backends if backend.device in devices]
    comparisons: dict[str, list[Comparison]] = {}
    for name, entry in entries.items():
        path = folder / manifest.artifacts[name].file
        comparisons[name] = judge_artifact(
            entry, artifact_paths(entry, path), known.__getitem__, judged_on, OWN, override, rules=precision.rules
        )
        if not passed(comparisons[name]):
            raise difference(manifest.name, str(path), comparisons[name], override=override, rules=precision.rules)
    if not comparisons:
        raise DifferenceError(f"{folder} holds no artifact, so nothing was checked.", "Export the model again.")
    return Verification(folder, manifest.name, verdict, comparisons, strict, manifest)


def _exported_model(registry: Registry, manifest: Manifest, against: Model | str | None) -> Model:
    """The model that was exported, once its weights are known to be those that were."""
    model = against if isinstance(against, Model) else _open_by_name(registry, manifest, against)
    if weights_of(model)["digest"] != manifest.certificate.weights["digest"]:
        raise DifferenceError(
            f"The weights of {model.name} are not the exported ones: their digests differ.",
            "Name the exported weights with --against, or export again.",
        )
    return model


def _open_by_name(registry: Registry, manifest: Manifest, against: str | None) -> Model:
    card, name = Card.from_dict(manifest.card), against or manifest.name
    fresh = BuildArgs(
        num_classes=len(card.classes),
        channels=card.preprocess.channels,
        image_size=card.preprocess.size[0],
        params=card.params or None,
    )
    try:
        return open_model(registry, name, None if is_weights(name) else fresh)
    except UnknownName as error:
        if against is not None:
            raise
        raise ExportError(
            f"The exported model, {name}, cannot be opened by its name: {error.cause}",
            "Name its weights file with --against; pass a module of your own from Python: "
            "zoo.verify(folder, against=module, input_shape=...).",
        ) from None


def _new_references(model: Model, folder: Path, manifest: Manifest) -> list[Probe]:
    """Truth and rounding error of the stored probes, once the stored truth is seen to be that of `model`."""
    stored = golden.read_golden(folder / golden.NAME, manifest.certificate.probes)
    computed = make_references(model.module, stored)
    for old, new in zip(stored, computed, strict=True):
        if old.truth.shape != new.truth.shape or not np.abs(old.truth - new.truth).max() <= new.rounding_error:
            raise DifferenceError(
                f"The truth stored for the probe {old.name} is not what {model.name} computes.", "Export it again."
            )
    return computed


def _first_references(model: Model, manifest: Manifest) -> list[Probe]:
    """Truth for an export that was never verified, on the seeded probes that its manifest describes."""
    named = [re.fullmatch(r"size-(\d{1,5})x(\d{1,5})", probe.name) for probe in manifest.certificate.probes]
    sizes = [(int(size[1]), int(size[2])) for size in named if size]
    if any(not 0 < height * width <= MAX_PIXELS for height, width in sizes):
        raise ExportError(f"{manifest.name} has a probe of more than {MAX_PIXELS:,} pixels.", "Export it again.")
    probes = make_probes(model.card.preprocess, sizes=sizes)
    _refuse_other_probes(manifest, probes)
    computed = make_references(model.module, probes)
    covered = coverage(model.module, computed)
    if not covered.enough:
        raise inconclusive(
            f"A check of {manifest.name} with its own weights alone",
            manifest.name,
            covered,
            "Export it again without --no-verify, which checks the graph with probe weights too.",
        )
    return computed


def _refuse_other_probes(manifest: Manifest, probes: Sequence[Probe]) -> None:
    made = [(probe.name, probe.n, input_digest(probe)) for probe in probes]
    if made != [(probe.name, probe.n, probe.sha256) for probe in manifest.certificate.probes]:
        raise ExportError(
            "The probes that the manifest describes are not those that this zoo makes.",
            f"Use zoo-kit {manifest.versions.get('zoo-kit', '')}, or export the model again.",
        )
