"""`zoo evaluate`: the metrics of a model on a data set."""

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.data_options import cache_option, data_root_option, download_option, memory_limit_option, workers_option
from zoo.cli.options import device_option, expect_digest_option, json_option, trust_option
from zoo.cli.output import print_json, print_line, print_table
from zoo.cli.progress import progress
from zoo.evaluation import BATCH_SIZE

if TYPE_CHECKING:
    from zoo.api.evaluating import DatasetEvaluation
    from zoo.cli.main import Lazy

SHOWN, IN_JSON = 5, 20  # worst confusions; the matrix in the JSON has all of them


@click.command("evaluate")
@click.argument("model")
@click.option("--data", help="Name of the data set.  [default: the one it was trained on]")
@data_root_option
@download_option
@click.option(
    "--split", type=click.Choice(["train", "test"]), default="test", show_default=True, help="Split to evaluate on."
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
def command(lazy: "Lazy", /, model: str, record: bool, as_json: bool, **options: Any) -> None:
    """Evaluate MODEL on a data set.

    MODEL is an ARCH.TAG, a path to a weights file, an export folder or an artifact in one.

    Shows precision, recall and F1 of every class, the worst confusions, top-1 with its 95 % interval, top-5,
    cross-entropy and the expected calibration error. --record writes them into the card of a weights file, whose digest
    changes.
    """
    from zoo.api.evaluating import evaluate
    from zoo.api.weights.recording import record_metrics, recordable

    subject = recordable(model, expect_digest=options["expect_digest"], registry=lazy.registry) if record else model
    with progress() as show:
        measured = evaluate(subject, **options, callback=show, registry=lazy.registry)
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
            }
        )
        return
    _print_classes(measured)
    low, high = measured.interval
    print_line(
        f"{measured.model}: top-1 {100 * measured.top1:.2f} % (95 % interval {100 * low:.2f} to {100 * high:.2f} %), "
        f"top-5 {100 * measured.top5:.2f} %, cross-entropy {measured.loss:.4f}, expected calibration error "
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
        ],
    )
    names, worst = measured.classes, worst_confusions(measured.confusion, SHOWN)
    if worst:
        print_table(
            ["worst confusions", "taken for", "images", "of the class"],
            [[names[pair.true], names[pair.predicted], pair.count, percent(pair.fraction)] for pair in worst],
        )
