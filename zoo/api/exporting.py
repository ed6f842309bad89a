"""`zoo.export` and `zoo.verify`, which the export plugin provides through the registry."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from torch import nn

from zoo.api.command_call import ExportCall, VerifyCall
from zoo.api.installed import registry_of
from zoo.api.modules.factory import described
from zoo.api.modules.live_module import model_of
from zoo.api.progress import reporting
from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.contract.evidence import Export, Override, Verification
from zoo.contract.exporting.options import ExportOptions
from zoo.contract.formats import ExportFormat
from zoo.contract.precisions import Precision
from zoo.contract.preprocess import Preprocess
from zoo.files import folders
from zoo.files.atomic import refuse_existing
from zoo.files.expected_digest import check_digest, digest_of
from zoo.files.regular import is_folder
from zoo.models.arguments import check_integer, check_number, check_path, check_tolerance
from zoo.models.load import BuildArgs, Model, open_model
from zoo.registry.calls import call_of
from zoo.registry.exports import is_export
from zoo.registry.registry import Entry, Registry

ModelLike = Model | nn.Module | str | PathLike[str]
"""A loaded model, a live module, or a name: see `zoo.registry.model_kind`, of which an export is none."""


def export(
    model: ModelLike,
    output: str | PathLike[str] | None = None,
    *,
    formats: Sequence[str] = (),
    precision: str = "fp32",
    dynamic_size: bool = False,
    opset: int | None = None,
    devices: Sequence[str] = ("cpu",),
    verify: bool = True,
    atol: float | None = None,
    rtol: float | None = None,
    accept_coverage: float | None = None,
    save_failure: str | PathLike[str] | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    img_size: int | None = None,
    params: Mapping[str, Any] | None = None,
    input_shape: tuple[int, int, int] | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    name: str | None = None,
    expect_digest: str | None = None,
    download: bool = False,
    data_root: str | PathLike[str] | None = None,
    force: bool = False,
    progress: bool = False,
    callback: Callback | None = None,
    registry: Registry | None = None,
) -> Export:
    """Export a model and prove that every artifact computes what the model computes.

    Before the folder is published, every artifact is loaded afresh, run on images that were not traced, and compared
    with the model in float64. If one differs by more than rounding, nothing is published.

    Args:
        model: a loaded model, an `ARCH.TAG`, a path, a folder in timm's layout or an architecture; or any `nn.Module`
            from float32 images `[N, C, H, W]` to logits `[N, K]`, which is exported as it is in evaluation mode; or
            `package.module:factory` or `file.py:factory`, a function that returns one, alone or with the arguments
            below: `(module, {"input_shape": (3, 32, 32)})`. The current folder is importable for it.
        output: the folder to make; by default `exports/NAME`.
        formats: names of formats; by default those that `zoo export` writes.
        precision: of weights and arithmetic; images and logits stay float32.
        dynamic_size: make height and width of the images dynamic too.
        opset: the operator set of formats that have versions of it; by default the format's own.
        devices: where the artifacts are run for the check.
        verify: compare the artifacts with the model. Without it, the export is marked `unverified` for good.
        atol: accept logits within `atol + rtol * |truth|` instead of the default tolerance.
        rtol: the relative part of it; 0 if only `atol` is passed.
        accept_coverage: publish an export whose check is inconclusive if it covers at least this fraction of the
            parameter tensors, such as 0.7. The export is marked `inconclusive` for good.
        save_failure: a folder to make if an artifact fails its check, with a script that reproduces the failure.
        num_classes: of an architecture with fresh weights; by default its own.
        in_channels: of the images of an architecture with fresh weights, 1 or 3; by default its own.
        img_size: height and width of the images of an architecture with fresh weights, in pixels; by default its own.
        params: parameters of an architecture with fresh weights; see `zoo show ARCH`.
        input_shape: of an `nn.Module`: `(C, H, W)`.
        labels: of an `nn.Module`: one name for each logit; by default their numbers.
        preprocess: of an `nn.Module`: how images become its input, which includes the shape; without it images are
            divided by 255.
        name: of the model in the manifest; by default its own.
        expect_digest: the digest that the weights file must have, as `zoo weights verify` shows it.
        download: download weights that a plugin provides, such as `resnet50.imagenet1k_v2`, if they are not on this
            machine.
        data_root: the folder of data sets, for real images in the check; by default `$ZOO_DATA`, or a folder in your
            cache. No data set is downloaded.
        force: replace the export that is at `output`.
        progress: show progress on standard error, or in a notebook.
        callback: receives messages and progress.
        registry: of plugins; the installed ones by default.

    Raises:
        DifferenceError: an artifact differs from the model, or the check would cover too little of it.
        ExportError: the model cannot be exported in a format.
        UsageError: arguments exclude each other, or do not fit the model.
        OutputError: `output` exists and `force` is not set, or it cannot be written.

    Example:
        >>> import zoo
        >>> out = zoo.export("lenet5.digits", "exports/x")  # doctest: +SKIP
        >>> out.certificate.verdict  # doctest: +SKIP
        'pass'
        >>> out = zoo.export(my_module, "exports/y", input_shape=(3, 224, 224))  # doctest: +SKIP
    """
    registry = registry_of(registry)
    call: ExportCall = call_of(registry, "export")
    check_names(formats=formats, devices=devices)
    for argument, path in (("output", output), ("save_failure", save_failure), ("data_root", data_root)):
        check_path(argument, path)
    for argument, number in (("num_classes", num_classes), ("in_channels", in_channels), ("img_size", img_size)):
        check_integer(argument, number, 1)
    check_integer("opset", opset, 1)
    check_tolerance("atol", atol)
    check_tolerance("rtol", rtol)
    check_tolerance("accept_coverage", accept_coverage)
    if params is not None and not isinstance(params, Mapping):
        raise UsageError(f"params={params!r:.80} is no mapping.", "Pass a dict, such as {'depth': 3}.")
    if output is not None:
        refuse_existing(Path(output), force)
    chosen = chosen_formats(registry, formats)
    registry.find(Precision, precision)
    options = ExportOptions(
        precision=precision,
        dynamic_size=dynamic_size,
        opset=opset,
        devices=tuple(devices),
        verify=verify,
        override=None if atol is None and rtol is None else Override(atol or 0.0, rtol or 0.0),
        accept_coverage=accept_coverage,
        save_failure=None if save_failure is None else Path(save_failure),
        force=force,
    )
    build = BuildArgs(num_classes=num_classes, channels=in_channels, img_size=img_size, params=params or None)
    named = described(registry, model, input_shape=input_shape, labels=labels, preprocess=preprocess, name=name)
    opened = model_from(registry, build=build, expect_digest=expect_digest, download=download, **vars(named))
    target = Path("exports", opened.name) if output is None else Path(output)
    refuse_existing(target, force)
    images = folders.data_root(None if data_root is None else Path(data_root))
    with reporting(progress, callback) as report:
        if isinstance(named.module, nn.Module):
            for text in _assumed(named.labels, named.preprocess):
                report.on_message(text, warning=True)
        if opened.fresh:
            report.on_message(f"{opened.name} has fresh, untrained weights (seed 0).")
        return call(registry, opened, chosen, target, images, options, report)


def _assumed(labels: Sequence[str] | None, preprocess: Preprocess | None) -> list[str]:
    """What is assumed of an `nn.Module`, which knows neither its labels nor how its images are prepared."""
    return [
        *(
            ["images are divided by 255 and not normalised; pass preprocess if that is wrong"]
            if preprocess is None
            else []
        ),
        *(["labels are the numbers of the logits; pass labels to name them"] if labels is None else []),
    ]


def chosen_formats(registry: Registry, names: Sequence[str]) -> list[Entry[ExportFormat]]:
    """The formats of those names; those that are exported where none is named."""
    return [registry.find(ExportFormat, name) for name in names] or [
        entry for entry in registry.defaults(ExportFormat) if entry.spec.default
    ]


def check_names(*, formats: Sequence[str] = (), devices: Sequence[str] = ("cpu",)) -> None:
    """Refuse a bare text where a sequence of names belongs, and an empty list of devices."""
    for argument, names in (("formats", formats), ("devices", devices)):
        if isinstance(names, str):
            raise UsageError(f"{argument}={names!r} is a text, not a list of names.", f"Pass {argument}=[{names!r}].")
    if not devices:
        raise UsageError("devices is empty.", "Pass devices=['cpu'], or leave it out.")


def verify(
    path: str | PathLike[str],
    *,
    against: ModelLike | None = None,
    key: str | PathLike[str] | None = None,
    formats: Sequence[str] = (),
    strict: bool = False,
    devices: Sequence[str] = ("cpu",),
    input_shape: tuple[int, int, int] | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    expect_digest: str | None = None,
    seed: int | None = None,
    precision: str | None = None,
    min_coverage: float | None = None,
    data_root: str | PathLike[str] | None = None,
    trust: bool = False,
    progress: bool = False,
    callback: Callback | None = None,
    registry: Registry | None = None,
) -> Verification:
    """Verify an export folder where it now is, or a single file against the model that it should compute.

    A folder's files are checked against their hashes, and its artifacts are run on the stored images and compared
    with the stored truth. With `strict` or `against`, truth is computed afresh from the weights, and artifacts are
    run on fresh images too. What they claim of labels and preprocessing is compared with the model. With `key`, the
    signature is checked before anything else is read.

    Args:
        path: an export folder; one exported file, of whatever origin, and then `against` is required; or a weights
            file, and then `key` is required.
        against: the model; see `zoo.export` for what it may be; or `sha256:` and the digest of weights. For a folder,
            the weights must be those that were exported.
        key: a PEM file with the public key that the signature of `path` must have been made for; see `zoo.sign`.
        formats: the formats of the folder to run; by default all.
        strict: compute truth afresh, from the weights that the folder names, and use the default tolerance; compare
            the graphs with those of a new export, and refuse choices by values that these do not make.
        devices: where the artifacts are run.
        input_shape: of an `nn.Module` in `against`: `(C, H, W)`.
        labels: of an `nn.Module` in `against`: one name for each logit, compared with those that artifacts name.
        preprocess: of an `nn.Module` in `against`: how images become its input, compared likewise.
        expect_digest: the digest that the folder's manifest must have, as `zoo verify` shows it; for a file, its
            SHA-256.
        seed: of the fresh images and of how images are put into batches; by default one that nobody can predict.
        precision: of a single file; by default the one that `manifest.json` beside it records for it, or else `fp32`.
        min_coverage: the fraction of the parameter tensors, 0 to 1, that the check of a single file must cover. By
            default any but none: below 0.9, the verdict is `agrees`, and not `pass`. `strict` asks for 0.9 at least.
        data_root: the folder of data sets, for real images; by default `$ZOO_DATA`, or a folder in your cache.
        trust: run artifacts in this process; by default each is run in a process of its own, with limits.
        progress: show progress on standard error, or in a notebook.
        callback: receives messages and progress.
        registry: of plugins; the installed ones by default.

    Raises:
        DifferenceError: a file was changed, an artifact does not compute what the model computes, or there is no
            signature of this key and these files.
        MissingPackage: `key` needs `model-signing`, which is not installed.
        ExportError: `path` is neither an export folder nor a file of a known format, or an artifact went over its
            limits of memory or time.
        UsageError: arguments exclude each other, or `against` is missing.

    Example:
        >>> import zoo
        >>> zoo.verify("exports/x").verdict  # doctest: +SKIP
        'pass'
        >>> zoo.verify("exports/y/model.bin", against=my_module, input_shape=(3, 224, 224))  # doctest: +SKIP
    """
    registry = registry_of(registry)
    if not isinstance(path, str | PathLike):
        raise UsageError(
            f"An object of type {type(path).__name__} is not the path of an export.", "Pass a folder or a file."
        )
    call: VerifyCall = call_of(registry, "verify")
    check_names(formats=formats, devices=devices)
    check_path("key", key)
    check_path("data_root", data_root)
    check_integer("seed", seed, 0, 2**32)
    if min_coverage is not None:
        check_number("min_coverage", min_coverage)
    opened: Model | str | None = None
    named = described(registry, against, input_shape=input_shape, labels=labels, preprocess=preprocess)
    if isinstance(named.module, Model | nn.Module):
        opened = model_from(registry, **vars(named))
    else:
        if against is not None and not isinstance(against, str | PathLike):
            raise UsageError(
                f"against is an object of type {type(against).__name__}, not a model.",
                "Pass an nn.Module, a model of zoo.load, an ARCH.TAG, a path or an architecture.",
            )
        _refuse_module_arguments(input_shape, labels, preprocess)
        opened = None if against is None else fspath(against)
    with reporting(progress, callback) as report:
        return call(
            registry,
            Path(path),
            against=opened,
            formats=formats,
            strict=strict or (opened is not None and is_folder(path)),
            devices=devices,
            data_root=folders.data_root(None if data_root is None else Path(data_root)),
            callback=report,
            expect_digest=expect_digest,
            key=None if key is None else Path(key),
            seed=seed,
            precision=precision,
            min_coverage=min_coverage,
            trust=trust,
        )


def model_from(
    registry: Registry,
    module: ModelLike,
    build: BuildArgs | None = None,
    *,
    input_shape: tuple[int, int, int] | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    name: str | None = None,
    expect_digest: str | None = None,
    download: bool = False,
) -> Model:
    """The model that an argument of the API stands for.

    Raises:
        DifferenceError: the digest of the weights is another one than `expect_digest`.
        UsageError: arguments for an `nn.Module` with another kind of model, or for an architecture with weights.
    """
    if name is not None and not (isinstance(name, str) and re.fullmatch(r"\w[\w.+-]*", name)):
        raise UsageError(f"name={name!r} cannot be the name of a model.", "Use letters, digits, '_', '.', '+' and '-'.")
    if isinstance(module, nn.Module):
        if build not in (None, BuildArgs()):
            raise UsageError(
                "num_classes, in_channels, img_size and params build an architecture, not an nn.Module.",
                "Leave them out.",
            )
        if expect_digest is not None:
            raise UsageError("An nn.Module has no digest to compare.", "Leave expect_digest out.")
        return model_of(module, input_shape=input_shape, labels=labels, preprocess=preprocess, name=name)
    if not isinstance(module, Model | str | PathLike):
        kind = f"the class {module.__name__}" if isinstance(module, type) else f"of type {type(module).__name__}"
        raise UsageError(
            f"The model is {kind}, which cannot be exported.",
            "Pass an nn.Module, a model of zoo.load, an ARCH.TAG, a path or an architecture.",
        )
    _refuse_module_arguments(input_shape, labels, preprocess)
    if isinstance(module, Model):
        opened = module
        _refuse_export(registry, opened.path)
        if build not in (None, BuildArgs()):
            raise UsageError("num_classes, in_channels, img_size and params need a name.", "Leave them out.")
        check_digest(expect_digest, digest_of(opened.card), opened.name)
    else:
        _refuse_export(registry, Path(module))
        opened = open_model(registry, fspath(module), build, expect_digest, download=download)
    return opened if name is None else replace(opened, name=name)


def _refuse_module_arguments(
    input_shape: Sequence[int] | None, labels: Sequence[str] | None, preprocess: Preprocess | None
) -> None:
    """Refuse the description of an `nn.Module` where there is none."""
    if input_shape is not None or labels is not None or preprocess is not None:
        raise UsageError(
            "input_shape, labels and preprocess describe an nn.Module; a stored model has its own.",
            "Leave them out, or pass an nn.Module.",
        )


def _refuse_export(registry: Registry, path: Path | None) -> None:
    """Refuse an export as a model: it has no module that could be traced or evaluated in float64."""
    if path is not None and is_export(registry, path):
        raise UsageError(
            f"{path} is an export already, not a model with weights.", "Pass the weights file that it was made from."
        )
