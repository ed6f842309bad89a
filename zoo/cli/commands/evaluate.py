"""`zoo evaluate`: measure a weights file on a data set."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import (
    cache_option,
    data_root_option,
    device_option,
    download_option,
    json_option,
    memory_limit_option,
    workers_option,
)
from zoo.cli.output import plain, print_json, print_table
from zoo.cli.progress import progress

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.evaluation.evaluate import Evaluation

SHOWN, TOLD = 5, 20  # the worst confusions that people and programs get; the matrix in the JSON has them all


@click.command("evaluate", short_help="Measure a weights file")
@click.argument("model")
@click.option("--data", help="Name of a data set.  [default: the one it was trained on]")
@data_root_option
@download_option
@click.option("--split", type=click.Choice(["train", "test"]), default="test", show_default=True)
@click.option("--batch-size", "-b", type=click.IntRange(1), default=256, show_default=True)
@device_option
@workers_option
@memory_limit_option
@cache_option
@click.option("--skip-corrupt", is_flag=True, help="Leave out images that cannot be read.")
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    model: str,
    data: str | None,
    data_root: Path | None,
    download: bool,
    split: str,
    batch_size: int,
    device: str,
    workers: int | None,
    memory_limit: float,
    cache: bool,
    skip_corrupt: bool,
    as_json: bool,
) -> None:
    """Measure MODEL, an ARCH.TAG or a path to a weights file: accuracy, loss, calibration, every class, confusions."""
    from zoo.contract.errors import DataError, UsageError, WeightsError
    from zoo.contract.specs import Dataset, Loss
    from zoo.data.corrupt import corrupt_warning, refuse_corrupt
    from zoo.data.datasets import class_names, load_dataset, open_split
    from zoo.data.load_split import ReadOptions
    from zoo.evaluation.evaluate import evaluate
    from zoo.files import folders
    from zoo.files.folders import is_weights
    from zoo.models.devices import pick_device
    from zoo.models.load import open_model
    from zoo.models.losses import build_loss
    from zoo.models.memory import enough_memory

    if not is_weights(model):
        raise UsageError(
            f"{model!r} is a bare architecture, whose fresh weights know nothing.",
            "Name an ARCH.TAG or a weights file.",
        )
    where = pick_device(device)
    opened = open_model(lazy.registry, model)
    card = opened.card
    if not (data or card.dataset):
        raise UsageError(f"{model} does not say which data set it was trained on.", "Name one with --data.")
    entry = lazy.registry.find(Dataset, data or card.dataset_name)
    root = folders.data_root(data_root)
    images = load_dataset(entry, root, split, download)
    classes = class_names(entry, images)
    if classes != card.classes:
        raise DataError(
            f"The classes of {entry.spec.name} ({_few(classes)}) are not those that {model} tells apart "
            f"({_few(card.classes)}).",
            "Choose the data set that its card names, or one with the same class names.",
        )
    loss = build_loss(lazy.registry.find(Loss, "cross_entropy"))
    with progress() as show:
        options = ReadOptions(
            workers=workers,
            memory_limit=memory_limit,
            cache=cache,
            skip_corrupt=skip_corrupt,
            on_progress=lambda split, done, n: show.update(f"reading {split} images", done, n),
        )
        with enough_memory(where):
            held = open_split(entry, root, split, images, card.preprocess, len(classes), where, options)
        refuse_corrupt([held], skip=skip_corrupt)
        for note in (*held.notes, *corrupt_warning([held])):
            show.line(plain(note))
    measured = evaluate(
        opened.module.to(where),
        held.batches,
        card.preprocess,
        loss,
        num_classes=len(classes),
        device=where,
        batch_size=batch_size,
    )
    if not math.isfinite(measured.loss):
        raise WeightsError(
            f"{model} gives logits that are not finite on {entry.spec.name}.", "Train it again with a lower --lr."
        )
    if as_json:
        print_json(
            {
                "model": opened.name,
                "dataset": entry.spec.name,
                "split": split,
                "n": measured.n,
                "skipped": len(held.corrupt),
                **_figures(measured, classes),
            }
        )
        return
    _tell_classes(measured, classes)
    low, high = measured.interval
    click.echo(
        f"{opened.name}: top-1 {100 * measured.top1:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %), "
        f"top-5 {100 * measured.top5:.2f} %, cross-entropy {measured.loss:.4f}, expected calibration error "
        f"{100 * measured.calibration.error():.2f} % on {entry.spec.name} {split}, n={measured.n:,}"
    )


def _figures(measured: "Evaluation", classes: tuple[str, ...]) -> dict[str, Any]:
    from zoo.evaluation.scores import class_scores, worst_confusions

    return {
        "top1": measured.top1,
        "top1_interval_95": list(measured.interval),
        "top5": measured.top5,
        "cross_entropy": measured.loss,
        "expected_calibration_error": measured.calibration.error(),
        "calibration": {"probability": "softmax of the logits", "bins": measured.calibration.bins()},
        "classes": list(classes),
        "per_class": [
            {
                "class": name,
                "support": score.support,
                "predicted": score.predicted,
                "right": score.right,
                "precision": score.precision,
                "recall": score.recall,
                "f1": score.f1,
            }
            for name, score in zip(classes, class_scores(measured.confusion), strict=True)
        ],
        "worst_confusions": [
            {
                "true": classes[pair.true],
                "predicted": classes[pair.predicted],
                "count": pair.count,
                "share": pair.share,
            }
            for pair in worst_confusions(measured.confusion, TOLD)
        ],
        "confusion": measured.confusion.tolist(),
    }


def _tell_classes(measured: "Evaluation", classes: tuple[str, ...]) -> None:
    from zoo.evaluation.scores import class_scores, worst_confusions

    def share(value: float | None) -> str:
        return "n/a" if value is None else f"{100 * value:.1f} %"

    scores = class_scores(measured.confusion)
    print_table(
        ["class", "images", "right", "precision", "recall", "F1"],
        [
            [name, score.support, score.right, share(score.precision), share(score.recall), share(score.f1)]
            for name, score in zip(classes, scores, strict=True)
        ],
    )
    worst = worst_confusions(measured.confusion, SHOWN)
    if worst:
        print_table(
            ["worst confusions", "taken for", "images", "of the class"],
            [[classes[pair.true], classes[pair.predicted], pair.count, share(pair.share)] for pair in worst],
        )


def _few(classes: tuple[str, ...]) -> str:
    return f"{len(classes)}: {', '.join(classes[:3])}{', …' if len(classes) > 3 else ''}"
