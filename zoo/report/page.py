"""`report.md`: the recipe, the metrics, the worst confusions, and the scores of each class."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.evaluation.evaluate import Evaluation
from zoo.evaluation.scores import Confusion, class_scores
from zoo.files.card import Card
from zoo.report.history import History, stored_row
from zoo.report.names import markdown, one_line

Pictures = Mapping[tuple[int, int], Sequence[str]]  # true and predicted class to paths of pictures


def write_page(
    card: Card,
    evaluation: Evaluation,
    worst: Sequence[Confusion],
    pictures: Pictures,
    trained_on: Sequence[int] = (),
    history: History = (),
    settings: Mapping[str, object] | None = None,
) -> str:
    """Return the page as GitHub-flavoured Markdown. Class names and other texts are escaped.

    Args:
        card: of the evaluated weights; its metrics name the data set and the split.
        worst: the confusions to list.
        pictures: example images of them, as paths relative to the page.
        trained_on: the number of training images of each class; empty if unknown.
        history: the epochs of the run; empty if unknown.
        settings: the values of the recipe to show beside architecture, data set, loss and epochs, by name.
    """
    measured = {(metric.dataset, metric.split, metric.n) for metric in card.metrics}
    on = ", ".join(f"{markdown(dataset)} {markdown(split)}, n={n:,}" for dataset, split, n in sorted(measured))
    parts = [
        f"# {markdown(card.architecture)} on {markdown(card.dataset)}",
        _trained(card, history, settings or {}),
        "## Metrics",
        f"Measured on {on}, with the stored weights.",
        _figures(card, evaluation),
        "![Loss, accuracy and learning rate by epoch](curves.png)",
        "## Confusion matrix",
        "![Confusion matrix](confusion.png)",
        "Rows are true classes, columns are predicted classes, and the numbers count images. Grey rows have no "
        "images. A class whose name cannot be drawn, or looks like another's, is shown as `#N`, its "
        "index in the table of classes.",
        "## Worst confusions",
        _worst(card, worst, pictures),
        "## Classes",
        _classes(card, evaluation, trained_on),
        "Precision: the fraction of the images predicted as a class that belong to it. Recall: the fraction of the "
        "images of a class that are predicted as it. F1: their harmonic mean. n/a: the class has no images, or was "
        "never predicted.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> str:
    """Return a table of cells that are Markdown; the columns from index `right` are right-aligned."""
    rule = ["---" if column < right else "---:" for column in range(len(headings))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{100 * value:.2f} %"


def _trained(card: Card, history: History, settings: Mapping[str, object]) -> str:
    rows = {
        "architecture": f"{card.architecture} of {card.plugin} {card.plugin_version}",
        "parameters": _assigned(card.params),
        "data set": f"{card.dataset}, {len(card.classes):,} classes",
        "input": "×".join(map(str, card.preprocess.input_shape)),
        "loss": _loss(card.recipe),
        "epochs": _epochs(card.recipe, history),
        **{f"`{name}`": value for name, value in settings.items()},
        "versions": ", ".join(f"{name} {version}" for name, version in card.versions.items()),
    }
    shown = [[name, markdown(str(value), 500)] for name, value in rows.items() if str(value)]
    table = _table(["trained", ""], shown, 2)
    command = one_line(card.command, 2000)
    return f"    {command}\n\n{table}" if command else table


def _assigned(params: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def _loss(recipe: Mapping[str, Any]) -> str:
    params = {name: value for name, value in recipe.get("loss_params", {}).items() if value != ()}
    return f"{recipe.get('loss', '')} ({_assigned(params)})" if params else str(recipe.get("loss", ""))


def _epochs(recipe: Mapping[str, Any], history: History) -> object:
    if not (history and recipe.get("hold_out")):
        return recipe.get("epochs", "")
    early = f" of {recipe['epochs']}, stopped early" if len(history) < recipe["epochs"] else ""
    return f"{len(history)}{early}; stored: epoch {stored_row(history)['epoch']:g}, the best on the hold-out"


def _figures(card: Card, evaluation: Evaluation) -> str:
    low, high = evaluation.interval
    rows = [
        ["top-1", _percent(evaluation.top1), f"95 % Wilson interval {100 * low:.2f} to {100 * high:.2f} %"],
        ["top-5", _percent(evaluation.top5), ""],
        ["loss", f"{evaluation.loss:.4f}", f"mean of {markdown(_loss(card.recipe)) or 'the loss'}"],
        [
            "expected calibration error",
            _percent(evaluation.calibration.error()),
            "15 bins of the largest softmax probability (Guo et al. 2017)",
        ],
    ]
    return _table(["metric", "value", "details"], rows, 3).replace("| --- | --- |", "| --- | ---: |", 1)


def _worst(card: Card, worst: Sequence[Confusion], pictures: Pictures) -> str:
    if not worst:
        return "Every image was classified correctly."
    rows = []
    for one in worst:
        paths = pictures.get((one.true, one.predicted), ())
        rows.append(
            [
                markdown(card.classes[one.true]),
                markdown(card.classes[one.predicted]),
                f"{one.count:,} ({_percent(one.fraction)})",
                " ".join(f"![example {number}]({path})" for number, path in enumerate(paths, 1)),
            ]
        )
    return _table(
        ["true class", "predicted class", "images (of the class)", "examples, as the model sees them"], rows, 4
    )


def _classes(card: Card, evaluation: Evaluation, trained_on: Sequence[int]) -> str:
    rows = [
        [
            str(index),
            markdown(name),
            *(f"{count:,}" for count in (*trained_on[index : index + 1], score.support, score.predicted)),
            *(_percent(value) for value in (score.precision, score.recall, score.f1)),
        ]
        for index, (name, score) in enumerate(zip(card.classes, class_scores(evaluation.confusion), strict=True))
    ]
    trained = ["training images"] if trained_on else []
    headings = ["#", "class", *trained, "images", "predicted", "precision", "recall", "F1"]
    return _table(headings, rows, 2)
