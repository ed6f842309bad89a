"""`report.md`: the recipe, the metrics, the worst confusions, and the scores of each class."""

from collections.abc import Sequence

from zoo.report.content import LONG, Content, Example
from zoo.report.names import markdown

MATRIX = (
    "Rows are true classes, columns are predicted classes, and the numbers count images. Colours are not linear: they "
    "follow the square root of the fraction of the true class, so that few mistakes are visible, and 25 % is half as "
    "dark as 100 %. Grey rows have no images. A class whose name cannot be drawn, or looks like another's, is shown as "
    "#N, its index in the table of classes."
)
SCORES = (
    "Precision: the fraction of the images predicted as a class that belong to it. Recall: the fraction of the images "
    "of a class that are predicted as it. F1: their harmonic mean. n/a: the class has no images, or was never "
    "predicted."
)
NO_MISTAKE = "Every image was classified correctly."


def write_page(content: Content) -> str:
    """Return the page as GitHub-flavoured Markdown. Class names and other texts are escaped."""
    parts = [
        f"# {markdown(content.title, LONG)}",
        _trained(content),
        "## Metrics",
        f"Measured on {markdown(content.measured_on, LONG)}, with the stored weights.",
        _figures(content),
        "![Loss, accuracy and learning rate by epoch](curves.png)",
        "## Confusion matrix",
        "![Confusion matrix](confusion.png)",
        markdown(MATRIX, 2 * LONG),
        "## Worst confusions",
        _worst(content),
        "## Classes",
        _table(content.headings, [[row[0], markdown(row[1]), *row[2:]] for row in content.classes], 2),
        SCORES,
    ]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> str:
    """Return a table of cells that are Markdown; the columns from index `right` are right-aligned."""
    rule = ["---" if column < right else "---:" for column in range(len(headings))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def _trained(content: Content) -> str:
    rows = [[f"`{name}`" if field else name, markdown(value, LONG)] for name, value, field in content.trained]
    table = _table(["trained", ""], rows, 2)
    return f"    {content.command}\n\n{table}" if content.command else table


def _figures(content: Content) -> str:
    rows = [[name, value, markdown(details, LONG)] for name, value, details in content.figures]
    return _table(["metric", "value", "details"], rows, 3).replace("| --- | --- |", "| --- | ---: |", 1)


def _worst(content: Content) -> str:
    if not content.worst:
        return NO_MISTAKE
    rows = [
        [
            markdown(row.true),
            markdown(row.predicted),
            row.images,
            "<br>".join(_example(number, example) for number, example in enumerate(row.examples, 1)),
        ]
        for row in content.worst
    ]
    return _table(
        ["true class", "predicted class", "images (of the class)", "examples, as the model sees them"], rows, 4
    )


def _example(number: int, example: Example) -> str:
    picture = f"![example {number}]({example.picture})"
    return f"{picture} {markdown(example.file, LONG)}" if example.file else picture
