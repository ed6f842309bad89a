"""What the report of a run says, as plain text: the pages in Markdown and HTML are made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from zoo.evaluation.evaluate import Evaluation
from zoo.evaluation.scores import Confusion, class_scores
from zoo.files.card import Card
from zoo.report.history import History, stored_row
from zoo.report.names import one_line

MIN_CLASSES_FOR_TOP5 = 6  # with five classes or fewer, top-5 is always 100 %
LONG = 500  # characters of a value


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a report says of a run beyond its card and its evaluation; what is empty is not shown.

    Args:
        run, weights, data: the run folder, the stored weights file, and the folder of the data set.
        seconds: of training, without evaluation.
        train: the evaluation of the stored weights on training images, without augmentation.
    """

    run: Path | None = None
    weights: Path | None = None
    data: Path | None = None
    seconds: float = 0.0
    train: Evaluation | None = None


@dataclass(frozen=True)
class Example:
    """An image that was classified wrongly: the path of its picture, relative to the page, and its source file."""

    picture: str
    file: str = ""


@dataclass(frozen=True)
class WorstRow:
    """A confusion of two classes: their names, the images, and examples."""

    true: str
    predicted: str
    images: str
    examples: Sequence[Example]


@dataclass(frozen=True)
class Content:
    """The texts of a report.

    Args:
        trained: names and values; the name of a recipe's field is marked with `True`.
        figures: metric, value and details.
        classes: a row for each class under `headings`; all but the first two cells are numbers.
    """

    title: str
    command: str
    trained: Sequence[tuple[str, str, bool]]
    measured_on: str
    figures: Sequence[tuple[str, str, str]]
    worst: Sequence[WorstRow]
    headings: Sequence[str]
    classes: Sequence[Sequence[str]]


def make_content(
    card: Card,
    evaluation: Evaluation,
    worst: Sequence[Confusion],
    pictures: Mapping[tuple[int, int], Sequence[Example]],
    trained_on: Sequence[int] = (),
    history: History = (),
    settings: Mapping[str, object] | None = None,
    facts: RunFacts | None = None,
) -> Content:
    """The content of a report.

    Args:
        card: of the evaluated weights; its metrics name the data set and the split.
        worst: the confusions to list.
        pictures: example images of them, by true and predicted class.
        trained_on: the number of training images of each class; empty if unknown.
        history: the epochs of the run; empty if unknown.
        settings: the values of the recipe to show beside architecture, data set, loss and epochs, by name.
        facts: of the run.
    """
    facts = facts or RunFacts()
    measured = {(metric.dataset, metric.split, metric.n) for metric in card.metrics}
    scores = class_scores(evaluation.confusion)
    return Content(
        title=f"{one_line(card.architecture)} on {one_line(card.dataset)}",
        command=one_line(card.command, 2000),
        trained=[row for row in _trained(card, history, settings or {}, facts) if row[1]],
        measured_on=", ".join(f"{name} {split}, n={n:,}" for name, split, n in sorted(measured)),
        figures=_figures(card, evaluation, facts),
        worst=[
            WorstRow(
                card.classes[one.true],
                card.classes[one.predicted],
                f"{one.count:,} ({percent(one.fraction)})",
                pictures.get((one.true, one.predicted), ()),
            )
            for one in worst
        ],
        headings=[
            *("#", "class", *(["training images"] if trained_on else [])),
            *("images", "predicted", "precision", "recall", "F1"),
        ],
        classes=[
            [
                str(index),
                name,
                *(f"{count:,}" for count in (*trained_on[index : index + 1], score.support, score.predicted)),
                *(percent(value) for value in (score.precision, score.recall, score.f1)),
            ]
            for index, (name, score) in enumerate(zip(card.classes, scores, strict=True))
        ],
    )


def percent(value: float | None) -> str:
    """A fraction as a percentage; `n/a` for none."""
    return "n/a" if value is None else f"{100 * value:.2f} %"


def _trained(
    card: Card, history: History, settings: Mapping[str, object], facts: RunFacts
) -> list[tuple[str, str, bool]]:
    rows = {
        "architecture": f"{card.architecture} of {card.plugin} {card.plugin_version}",
        "parameters": _assigned(card.params),
        "data set": f"{card.dataset}, {len(card.classes):,} classes",
        "data folder": facts.data or "",
        "input": "×".join(map(str, card.preprocess.input_shape)),
        "loss": loss_text(card.recipe),
        "epochs": _epochs(card.recipe, history),
        "training time": str(timedelta(seconds=round(facts.seconds))) if facts.seconds else "",
        "run folder": facts.run or "",
        "weights file": facts.weights or "",
    }
    last = {"versions": ", ".join(f"{name} {version}" for name, version in card.versions.items())}
    return [
        *((name, one_line(str(value), LONG), False) for name, value in rows.items()),
        *((name, one_line(str(value), LONG), True) for name, value in settings.items()),
        *((name, one_line(value, LONG), False) for name, value in last.items()),
    ]


def _assigned(params: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def loss_text(recipe: Mapping[str, Any]) -> str:
    """The loss of a recipe with its parameters."""
    params = {name: value for name, value in recipe.get("loss_params", {}).items() if value != ()}
    return f"{recipe.get('loss', '')} ({_assigned(params)})" if params else str(recipe.get("loss", ""))


def _epochs(recipe: Mapping[str, Any], history: History) -> object:
    if not (history and recipe.get("hold_out")):
        return recipe.get("epochs", "")
    early = f" of {recipe['epochs']}, stopped early" if len(history) < recipe["epochs"] else ""
    return f"{len(history)}{early}; stored: epoch {stored_row(history)['epoch']:g}, the best on the hold-out"


def _figures(card: Card, evaluation: Evaluation, facts: RunFacts) -> list[tuple[str, str, str]]:
    low, high = evaluation.interval
    rows = [("top-1", percent(evaluation.top1), f"95 % Wilson interval {100 * low:.2f} to {100 * high:.2f} %")]
    if facts.train is not None:
        images = f"on {facts.train.n:,} training images, without augmentation"
        rows.append(("top-1 in training", percent(facts.train.top1), images))
    if len(card.classes) >= MIN_CLASSES_FOR_TOP5:
        rows.append(("top-5", percent(evaluation.top5), ""))
    return [
        *rows,
        ("loss", f"{evaluation.loss:.4f}", f"mean of {loss_text(card.recipe) or 'the loss'}"),
        (
            "expected calibration error",
            percent(evaluation.calibration.error()),
            "15 bins of the largest softmax probability (Guo et al. 2017)",
        ),
    ]
