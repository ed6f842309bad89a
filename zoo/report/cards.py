"""A page about the weights files in a folder, from nothing but their cards and the pictures beside them."""

from math import prod
from pathlib import Path
from urllib.parse import quote

from zoo.contract.errors import WeightsError
from zoo.evaluation.scores import wilson
from zoo.files.card import Card, Metric, read_card
from zoo.files.folders import SUFFIX
from zoo.files.header import Header
from zoo.report.names import markdown, one_line

LONGEST = 500  # letters of a cell
PICTURES = {"curves": "Loss and accuracy by epoch", "confusion": "Confusion matrix"}


def cards_page(folder: Path) -> str:
    """Markdown: a table of the weights files in `folder`, then how each was made, with the pictures `NAME.curves.png`
    and `NAME.confusion.png` where they lie beside it.

    Raises:
        WeightsError: the folder has no weights files, or one of them is unsound.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise WeightsError(f"There are no weights files in {folder}.", "Name a folder that has some.")
    read = [(path, *read_card(path)) for path in paths]
    rows = [_row(path, card, header) for path, card, header in read]
    parts = [
        "# Weights",
        "Made from the cards in the files by `zoo weights page`. Accuracy is of the weights as stored, with its 95 % "
        "Wilson interval, on all n images of the split.",
        "\n".join(
            (
                "| weights | architecture | parameters | input | trained on | top-1 | measured on | size | licence |",
                "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
                *rows,
            )
        ),
        *(_section(path, card) for path, card, _ in read),
    ]
    return "\n\n".join(parts) + "\n"


def _row(path: Path, card: Card, header: Header) -> str:
    top1 = next((metric for metric in card.metrics if metric.name == "top1"), None)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    count = sum(prod(tensor.shape) for name, tensor in header.tensors.items() if not name.endswith(buffers))
    cells = (
        _name(path),
        card.architecture,
        f"{count:,}",
        "×".join(map(str, card.preprocess.input_shape)),
        card.dataset,
        "" if top1 is None else _accuracy(top1),
        "" if top1 is None else f"{top1.dataset} {top1.split}, n={top1.n:,}",
        f"{path.stat().st_size / 1e6:.2f} MB",
        card.licence,
    )
    return f"| {' | '.join(markdown(text, LONGEST) for text in cells)} |"


def _accuracy(top1: Metric) -> str:
    low, high = wilson(round(top1.value * top1.n), top1.n)
    return f"{100 * top1.value:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def _section(path: Path, card: Card) -> str:
    name = markdown(_name(path), LONGEST)
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    pictures = [
        f"![{words} of {name}]({quote(_name(path))}.{kind}.png)"
        for kind, words in PICTURES.items()
        if path.with_name(f"{_name(path)}.{kind}.png").is_file()
    ]
    parts = [f"## {name}", f"    {one_line(card.command, 2000)}", f"Made with {markdown(versions, LONGEST)}."]
    return "\n\n".join([*parts, *pictures])


def _name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)
