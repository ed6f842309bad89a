"""A Markdown page about the weights files in a folder, made from their cards and the plots beside them."""

from collections.abc import Callable
from math import prod
from pathlib import Path
from urllib.parse import quote

from zoo.contract.errors import WeightsError
from zoo.contract.pretrained import Metric
from zoo.evaluation.scores import wilson
from zoo.files.card import Card, read_card
from zoo.files.folders import SUFFIX
from zoo.files.header import Header
from zoo.report.names import markdown, one_line

MAX_CELL = 500  # characters
PICTURES = {"curves": "Loss and accuracy by epoch", "confusion": "Confusion matrix"}


def cards_page(folder: Path, command_of: Callable[[Card], str] = lambda card: card.command) -> str:
    """Return Markdown with a table of the weights files in `folder`, and a section for each.

    A section has the command, the versions, and the plots `NAME.curves.png` and `NAME.confusion.png` if they exist.

    Args:
        command_of: returns the command to show for a card; by default, the one that the card records.

    Raises:
        WeightsError: the folder has no weights files, or one of them is invalid.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise WeightsError(f"There are no weights files in {folder}.", "Choose a folder with .safetensors files.")
    read = [(path, *read_card(path)) for path in paths]
    rows = [_row(path, card, header) for path, card, header in read]
    parts = [
        "# Weights",
        "`zoo weights page` generates this page from the cards in the weights files. Top-1 is the accuracy of the "
        "stored weights on all n images of the split, with its 95 % Wilson interval.",
        "\n".join(
            (
                "| weights | architecture | parameters | input | trained on | top-1 | measured on | size | licence |",
                "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
                *rows,
            )
        ),
        *(_section(path, card, command_of(card)) for path, card, _ in read),
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
    return f"| {' | '.join(markdown(text, MAX_CELL) for text in cells)} |"


def _accuracy(top1: Metric) -> str:
    low, high = wilson(round(top1.value * top1.n), top1.n)
    return f"{100 * top1.value:.2f} % ({100 * low:.2f} to {100 * high:.2f})"


def _section(path: Path, card: Card, command: str) -> str:
    name = markdown(_name(path), MAX_CELL)
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    pictures = [
        f"![{caption} of {name}]({quote(_name(path))}.{kind}.png)"
        for kind, caption in PICTURES.items()
        if path.with_name(f"{_name(path)}.{kind}.png").is_file()
    ]
    parts = [f"## {name}", f"    {one_line(command, 2000)}", f"Trained with {markdown(versions, MAX_CELL)}."]
    return "\n\n".join([*parts, *pictures])


def _name(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)
