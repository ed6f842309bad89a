"""`zoo predict`: classify images."""

import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import json_option
from zoo.cli.output import plain, print_json
from zoo_export.commands.messages import warning

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from zoo.cli.main import Lazy
    from zoo.contract.evidence import Manifest
    from zoo.contract.preprocess import Preprocess
    from zoo_runtime import Prediction

    Classify = Callable[[Path, int], list[Prediction]]


@click.command("predict", short_help="Classify images")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to name.")
@json_option
@click.pass_obj
def command(lazy: "Lazy", model: str, images: tuple[Path, ...], top: int, as_json: bool) -> None:
    """Classify IMAGES with MODEL: an export folder, an ARCH.TAG, a path to a weights file, or an architecture."""
    folder = Path(model)
    classify = _folder(lazy, folder) if (folder / "manifest.json").exists() else _model(lazy, model)
    rows = [(path, classify(path, top)) for path in images]
    if as_json:
        print_json([{"image": str(path), "predictions": [asdict(entry) for entry in best]} for path, best in rows])
        return
    width = max(len(plain(entry.label)) for _, best in rows for entry in best)
    for path, best in rows:
        click.echo(plain(path))
        for entry in best:
            click.echo(f"  {plain(entry.label):<{width}}  {100 * entry.probability:6.2f} %")


def _folder(lazy: "Lazy", folder: Path) -> "Classify":
    """Through `zoo_runtime` where it can run the folder, so that torch need not be loaded."""
    import zoo_runtime
    from zoo.contract.evidence.format1 import upgraded
    from zoo_export.bundle.folder import explained, read_folder

    manifest = read_folder(folder)
    if text := warning(manifest.verdict, manifest.certificate.override):
        click.echo(f"warning: {text}", err=True)
    if zoo_runtime.FORMAT in manifest.artifacts:
        with explained(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shown above
            model = zoo_runtime.Model(folder, upgrade=upgraded)

        def classify(path: Path, top: int) -> "list[Prediction]":
            with explained(folder):
                return model.predict(path, top)

        return classify
    return _by_runner(lazy, folder, manifest)


def _by_runner(lazy: "Lazy", folder: Path, manifest: "Manifest") -> "Classify":
    from zoo.contract.formats import ExportFormat
    from zoo_export.artifacts import artifact_paths
    from zoo_export.runners import load_runner

    artifact = next(iter(manifest.artifacts.values()))
    entry = lazy.registry.find(ExportFormat, artifact.format)
    run = next(iter(load_runner(entry, artifact_paths(entry, folder / artifact.file)).values()))
    return _ranked(run, manifest.preprocess, list(manifest.labels))


def _model(lazy: "Lazy", name: str) -> "Classify":
    import torch

    from zoo.models.forward import explained
    from zoo.models.load import open_model

    model = open_model(lazy.registry, name)
    if model.path is None:
        click.echo(f"{name} has fresh weights: what it says means nothing.", err=True)

    def run(batch: "npt.NDArray[np.float32]") -> Any:
        with explained(torch.device("cpu")), torch.inference_mode():
            return model.module(torch.from_numpy(batch)).numpy()

    return _ranked(run, model.card.preprocess, list(model.card.classes))


def _ranked(run: "Callable[[npt.NDArray[np.float32]], Any]", preprocess: "Preprocess", labels: list[str]) -> "Classify":
    import zoo_runtime
    from zoo.data.images import fit_image, normalise_array, open_image
    from zoo_export.bundle.folder import explained

    def classify(path: Path, top: int) -> "list[Prediction]":
        batch = normalise_array(fit_image(open_image(path), preprocess)[None], preprocess)
        with explained(path):
            return zoo_runtime.rank(run(batch)[0], labels, top)

    return classify
