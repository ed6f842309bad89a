"""`zoo predict`: classify images."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.api.terminal import announce
from zoo.cli.options import download_weights_option, expect_digest_option, trust_option
from zoo.cli.output import print_line
from zoo.contract.errors import DataError, ExportError, UsageError
from zoo.contract.prediction import Prediction
from zoo.registry.exports import MANIFEST
from zoo.registry.image_folders import find_images
from zoo.registry.model_kind import ModelKind, model_kind
from zoo_export.commands.predictions import Predict, classify, write_predictions
from zoo_export.failures.unverified import warning

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.evidence import Manifest


BATCH_SIZE = 32
Opened = tuple[Predict, int]  # and the batch size that the model takes, or 0 for any


@click.command("predict")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Number of classes for each image.")
@expect_digest_option
@trust_option
@download_weights_option
@click.option(
    "--batch-size", "-b", type=click.IntRange(1), default=BATCH_SIZE, show_default=True, help="Images in a batch."
)
@click.option("--csv", "as_csv", is_flag=True, help="Write the result as CSV, a row for each image and class.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as a JSON array, one image a line.")
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
    batch_size: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Classify IMAGES with MODEL, and write each batch as soon as it is done.

    IMAGES are files, folders, whose images are found at any depth, or patterns such as 'photos/*.jpg'. An image that
    cannot be read is named at the end, with exit code 1, and the others are classified.

    MODEL is an export folder or an artifact in one, an ARCH.TAG, a path to a weights file, a folder with config.json
    and model.safetensors, or an architecture.
    """
    if as_csv and as_json:
        raise UsageError("`--csv` and `--json` exclude each other.", "Leave one of them out.")
    announce("loading the model")
    opened = (
        _with_export(lazy, Path(model), top, expect_digest, trust)
        if model_kind(lazy.registry, model) is ModelKind.EXPORT
        else _with_weights(lazy, model, top, expect_digest, download)
    )
    files = find_images(images)
    with opened as (predict, fixed):
        form = "csv" if as_csv else "json" if as_json else "text"
        write_predictions(classify(predict, files, fixed or batch_size), form)


@contextmanager
def _with_export(lazy: "Lazy", path: Path, top: int, expect_digest: str | None, trust: bool) -> Iterator[Opened]:
    """Through `zoo_runtime` if `path` is a folder that it can run, so that torch need not be loaded."""
    import numpy as np

    import zoo_runtime
    from zoo.contract.evidence.format1 import upgraded
    from zoo_export.bundle.folder import explain_runtime_errors, read_folder
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
        size = manifest.input.shape[0]
        fixed = size if isinstance(size, int) else 0
        if path.is_file() or zoo_runtime.FORMAT not in manifest.artifacts:
            from zoo.api.loading import load

            model = load(path, expect_digest=expect_digest, trust=trust, registry=lazy.registry)
            yield lambda images: model.predict(images, top), fixed
            return
        with explain_runtime_errors(folder), nullcontext() if trust else contained_run(folder, manifest) as contained:
            run = contained or zoo_runtime.Model(folder, upgrade=upgraded).run
            how = manifest.preprocess.to_dict()

            def predict(images: list[Path]) -> list[list[Prediction]]:
                try:
                    batch = np.stack([zoo_runtime.prepare_image(image, how) for image in images])
                except zoo_runtime.Error as error:
                    raise DataError(error.cause, error.next_step) from None
                ranked = (zoo_runtime.rank(logits, manifest.labels, top) for logits in run(batch))
                return [[Prediction(**asdict(each)) for each in best] for best in ranked]

            yield predict, fixed


def _installation_warnings(lazy: "Lazy", folder: Path, path: Path, manifest: "Manifest") -> Sequence[str]:
    """About the packages that run the file, as far as the plugin that provides its format is installed."""
    from zoo.contract.formats import ExportFormat
    from zoo_export.installation import installation_warnings

    main = path if path.is_file() else folder / next(iter(manifest.artifacts.values())).file
    return installation_warnings([each for each in lazy.registry.entries(ExportFormat) if each.spec.paths_of(main)])


@contextmanager
def _with_weights(lazy: "Lazy", name: str, top: int, expect_digest: str | None, download: bool) -> Iterator[Opened]:
    from zoo.models.load import open_model

    model = open_model(lazy.registry, name, expect_digest=expect_digest, download=download)
    if model.fresh:
        print_line(f"warning: {name} has fresh weights: its predictions are random.", err=True)
    yield lambda images: model.predict(images, top), 0
