"""`zoo evaluate`: the metrics of a model on a data set."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.data_options import cache_option, data_root_option, download_option, memory_limit_option, workers_option
from zoo.cli.options import device_option, expect_digest_option, json_option, trust_option
from zoo.cli.output import print_json, print_line, print_table
from zoo.cli.progress import progress
from zoo.evaluation import BATCH_SIZE

if TYPE_CHECKING:
    from zoo.api.evaluating import DatasetEvaluation
    from zoo.cli.main import Lazy
    from zoo.evaluation.evaluate import Evaluation

SHOWN, IN_JSON = 5, 20  # worst confusions; the matrix in the JSON has all of them
TOP5 = 5  # classes, of which top-5 is always 100 %
FLIPS_SHOWN = 10  # images that an exported file and its model disagree on, of each file; the JSON has all of them
MANY = 50  # classes; of more, those without images and predictions are not shown


@click.command("evaluate")
@click.argument("model")
@click.option(
    "--data",
    metavar="NAME|PATH",
    help="Name of the data set, or a folder of images.  [default: the one it was trained on]",
)
@click.option(
    "--against",
    metavar="MODEL",
    help="Model to compare with: ARCH.TAG or a path.  [default: the weights that an export folder names]",
)
@click.option("--format", "-f", "formats", default="", help="Formats of a folder, comma-separated.  [default: all]")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Class names of a single exported file: one a line, or a JSON list.  [default: those in the file]",
)
@click.option(
    "--preprocess",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Preprocessing for a single exported file, as in a manifest.json.  [default: that in the file]",
)
@data_root_option
@download_option
@click.option(
    "--split",
    type=click.Choice(["train", "test", "all"]),
    default="test",
    show_default=True,
    help="Split to evaluate on; all: every image.",
)
@click.option(
    "--batch-size", "-b", type=click.IntRange(1), default=BATCH_SIZE, show_default=True, help="Images in a batch."
)
@device_option
@workers_option
@memory_limit_option
@cache_option
@click.option("--skip-corrupt", is_flag=True, help="Leave out images that cannot be read.")
@click.option("--record", is_flag=True, help="Write the metrics into the card of the weights file.")
@trust_option
@expect_digest_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    /,
    model: str,
    formats: str,
    labels: Path | None,
    preprocess: Path | None,
    record: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate MODEL on a data set.

    MODEL is an ARCH.TAG, a path to a weights file, a folder with config.json and model.safetensors, an export folder,
    or an exported file of any origin.

    Shows precision, recall and F1 of every class, the worst confusions, top-1 with its 95 % interval, top-5,
    cross-entropy and the expected calibration error. --record writes them into the card of a weights file, whose digest
    changes.

    Exported files are run themselves, and compared with the model that they were exported from: their accuracy beside
    the model's, how often both predict the same class, and the images on which they do not.
    """
    announce(LOADING)
    from zoo.api.evaluating import evaluate
    from zoo.api.weights.recording import record_metrics, recordable
    from zoo.models.exported import read_preprocess
    from zoo.models.importing.stated import read_labels

    subject = recordable(model, expect_digest=options["expect_digest"], registry=lazy.registry) if record else model
    with progress() as show:
        measured = evaluate(
            subject,
            formats=[name.strip() for name in formats.split(",") if name.strip()],
            labels=None if labels is None else read_labels(labels),
            preprocess=None if preprocess is None else read_preprocess(preprocess),
            **options,
            callback=show,
            registry=lazy.registry,
        )
    if not isinstance(subject, str):
        record_metrics(subject, measured)
    if as_json:
        print_json(
            {
                "model": measured.model,
                "dataset": measured.dataset,
                "split": measured.split,
                "n": measured.n,
                "skipped": measured.skipped,
                **_metrics(measured),
                **_comparisons(measured),
            }
        )
        return
    _print_classes(measured)
    _print_comparisons(measured)
    low, high = measured.interval
    top5 = f"top-5 {100 * measured.top5:.2f} %, " if len(measured.classes) > TOP5 else ""
    print_line(
        f"{measured.model}: top-1 {100 * measured.top1:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %), "
        f"{top5}cross-entropy {measured.loss:.4f}, expected calibration error "
        f"{100 * measured.calibration.error():.2f} % on {measured.dataset} {measured.split}, n={measured.n:,}"
    )


def _metrics(measured: "DatasetEvaluation") -> dict[str, Any]:
    from zoo.evaluation.scores import class_scores, worst_confusions

    return {
        "top1": measured.top1,
        "top1_interval_95": list(measured.interval),
        "top5": measured.top5,
        "cross_entropy": measured.loss,
        "expected_calibration_error": measured.calibration.error(),
        "calibration": {"probability": "softmax of the logits", "bins": measured.calibration.bins()},
        "classes": list(measured.classes),
        "per_class": [
            {
                "class": name,
                "support": score.support,
                "predicted": score.predicted,
                "correct": score.correct,
                "precision": score.precision,
                "recall": score.recall,
                "f1": score.f1,
            }
            for name, score in zip(measured.classes, class_scores(measured.confusion), strict=True)
        ],
        "worst_confusions": [
            {
                "true": measured.classes[pair.true],
                "predicted": measured.classes[pair.predicted],
                "count": pair.count,
                "fraction": pair.fraction,
            }
            for pair in worst_confusions(measured.confusion, IN_JSON)
        ],
        "confusion": measured.confusion.tolist(),
    }


def _comparisons(measured: "DatasetEvaluation") -> dict[str, Any]:
    """The exported files beside the model that they are compared with; nothing for a model that is no export."""
    if not measured.artifacts:
        return {}
    against = measured.against
    return {
        "against": None if against is None else {"model": against.model, **_summary(against)},
        "artifacts": {
            name: {
                **_summary(each),
                "agreement": each.agreement,
                "flips": None if each.flips is None else [asdict(flip) for flip in each.flips],
            }
            for name, each in measured.artifacts.items()
        },
    }


def _summary(measured: "Evaluation") -> dict[str, Any]:
    return {
        "top1": measured.top1,
        "top1_interval_95": list(measured.interval),
        "top5": measured.top5,
        "cross_entropy": measured.loss,
    }


def _print_comparisons(measured: "DatasetEvaluation") -> None:
    if not measured.artifacts:
        return
    beside = [] if measured.against is None else [(f"{measured.against.model} (model)", measured.against)]
    rows = []
    for name, each in [*beside, *measured.artifacts.items()]:
        low, high = each.interval
        agreement, flips = getattr(each, "agreement", None), getattr(each, "flips", None)
        rows.append(
            [
                name,
                f"{100 * each.top1:.2f} %",
                f"{100 * low:.2f} to {100 * high:.2f} %",
                "" if agreement is None else f"{100 * agreement:.2f} %",
                "" if flips is None else f"{len(flips):,}",
            ]
        )
    print_table(["file", "top-1", "95 % interval", "agreement", "flipped images"], rows)
    for name, each in measured.artifacts.items():
        if not each.flips:
            continue
        print_table(
            [f"flipped in {name}", "label", "model", "file", "model's margin", "file's margin"],
            [
                [
                    flip.file or flip.index,
                    flip.label,
                    flip.model,
                    flip.artifact,
                    f"{flip.model_margin:.3g}",
                    f"{flip.artifact_margin:.3g}",
                ]
                for flip in each.flips[:FLIPS_SHOWN]
            ],
        )
        if len(each.flips) > FLIPS_SHOWN:
            print_line(f"and {len(each.flips) - FLIPS_SHOWN:,} more flipped images; --json lists all of them")


def _print_classes(measured: "DatasetEvaluation") -> None:
    from zoo.evaluation.scores import class_scores, worst_confusions

    def percent(value: float | None) -> str:
        return "n/a" if value is None else f"{100 * value:.1f} %"

    scores = class_scores(measured.confusion)
    print_table(
        ["class", "images", "correct", "precision", "recall", "F1"],
        [
            [name, score.support, score.correct, percent(score.precision), percent(score.recall), percent(score.f1)]
            for name, score in zip(measured.classes, scores, strict=True)
            if score.support or score.predicted or len(scores) <= MANY
        ],
    )
    names, worst = measured.classes, worst_confusions(measured.confusion, SHOWN)
    if worst:
        print_table(
            ["worst confusions", "taken for", "images", "of the class"],
            [[names[pair.true], names[pair.predicted], pair.count, percent(pair.fraction)] for pair in worst],
        )
