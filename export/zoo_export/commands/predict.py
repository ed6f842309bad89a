"""`zoo predict`: classify images."""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import download_weights_option, expect_digest_option, json_option, trust_option
from zoo.cli.output import print_json, print_line
from zoo.contract.errors import ExportError
from zoo.contract.prediction import Prediction
from zoo.contract.printable import plain
from zoo.registry.exports import MANIFEST
from zoo.registry.model_kind import ModelKind, model_kind
from zoo_export.failures.unverified import warning

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.evidence import Manifest


@click.command("predict")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Number of classes for each image.")
@expect_digest_option
@trust_option
@download_weights_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    /,
    model: str,
    images: tuple[Path, ...],
    top: int,
    expect_digest: str | None,
    trust: bool,
    download: bool,
    as_json: bool,
) -> None:
    """Classify IMAGES with MODEL.

    MODEL is an export folder or an artifact in one, an ARCH.TAG, a path to a weights file, a folder with config.json
    and model.safetensors, or an architecture.
    """
    ranked = (
        _with_export(lazy, Path(model), images, top, expect_digest, trust)
        if model_kind(lazy.registry, model) is ModelKind.EXPORT
        else _with_weights(lazy, model, images, top, expect_digest, download)
    )
    rows = list(zip(images, ranked, strict=True))
    if as_json:
        print_json([{"image": str(path), "predictions": [asdict(each) for each in best]} for path, best in rows])
        return
    width = max(len(plain(each.label)) for _, best in rows for each in best)
    for path, best in rows:
        click.echo(plain(path))
        for each in best:
            click.echo(f"  {plain(each.label):<{width}}  {100 * each.probability:6.2f} %")


def _with_export(
    lazy: "Lazy", path: Path, images: Sequence[Path], top: int, expect_digest: str | None, trust: bool
) -> list[list[Prediction]]:
    """Through `zoo_runtime` if `path` is a folder that it can run, so that torch need not be loaded."""
    import zoo_runtime
    from zoo.contract.evidence.format1 import upgraded
    from zoo_export.bundle.folder import explain_runtime_errors, read_folder
    from zoo_export.bundle.orientation import runtime_turns_images
    from zoo_export.bundle.runtime_in_child import contained_run

    folder = path.parent if path.is_file() else path
    if not (folder / MANIFEST).exists():
        raise ExportError(
            f"{path} is not in an export folder, so its classes and preprocessing are not known.",
            "Name an export folder, or an artifact in one.",
        )
    manifest = read_folder(folder, expect_digest)
    if text := warning(manifest.verdict, manifest.certificate.override):
        print_line(f"warning: {text}", err=True)
    for text in _installation_warnings(lazy, folder, path, manifest):
        print_line(f"warning: {text}", err=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shown above
        turned = manifest.preprocess.exif_orientation and not runtime_turns_images()
        if path.is_file() or turned or zoo_runtime.FORMAT not in manifest.artifacts:
            from zoo.api.loading import load

            return load(path, expect_digest=expect_digest, trust=trust, registry=lazy.registry).predict(images, top)
        with explain_runtime_errors(folder), nullcontext() if trust else contained_run(folder, manifest) as contained:
            run = contained or zoo_runtime.Model(folder, upgrade=upgraded).run
            batches = (zoo_runtime.prepare_image(path, manifest.preprocess.to_dict())[None] for path in images)
            ranked = [zoo_runtime.rank(run(batch)[0], manifest.labels, top) for batch in batches]
            return [[Prediction(**asdict(each)) for each in best] for best in ranked]


def _installation_warnings(lazy: "Lazy", folder: Path, path: Path, manifest: "Manifest") -> Sequence[str]:
    """About the packages that run the file, as far as the plugin that provides its format is installed."""
    from zoo.contract.formats import ExportFormat
    from zoo_export.installation import installation_warnings

    main = path if path.is_file() else folder / next(iter(manifest.artifacts.values())).file
    return installation_warnings([each for each in lazy.registry.entries(ExportFormat) if each.spec.paths_of(main)])


def _with_weights(
    lazy: "Lazy", name: str, images: Sequence[Path], top: int, expect_digest: str | None, download: bool
) -> list[list[Prediction]]:
    from zoo.models.load import open_model

    model = open_model(lazy.registry, name, expect_digest=expect_digest, download=download)
    if model.fresh:
        print_line(f"warning: {name} has fresh weights: its predictions are random.", err=True)
    return model.predict(images, top)
