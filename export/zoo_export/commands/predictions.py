"""What `zoo predict` writes: predictions as text, CSV or JSON, and the images that could not be read."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from zoo.api.terminal import cells, erase_announcement
from zoo.cli.output import print_line
from zoo.contract.errors import DataError
from zoo.contract.prediction import Prediction
from zoo.contract.printable import json_line, plain

COLUMNS = ("image", "rank", "label", "index", "probability")  # of the CSV
LISTED = 10  # images that an error names

Outcome = list[Prediction] | DataError  # of an image
Predict = Callable[[list[Path]], list[list[Prediction]]]


def classify(predict: Predict, images: Sequence[Path], batch_size: int) -> Iterator[list[tuple[Path, Outcome]]]:
    """Classify images, and yield the outcomes of a batch as soon as it is done.

    Args:
        predict: classifies several images at once, and raises `DataError` if one of them cannot be read.
    """
    for start in range(0, len(images), batch_size):
        batch = list(images[start : start + batch_size])
        try:
            yield list(zip(batch, predict(batch), strict=True))
        except DataError as error:
            yield [(path, _alone(predict, path)) for path in batch] if len(batch) > 1 else [(batch[0], error)]


def _alone(predict: Predict, path: Path) -> Outcome:
    try:
        return predict([path])[0]
    except DataError as error:
        return error


def write_predictions(outcomes: Iterable[list[tuple[Path, Outcome]]], form: str) -> None:
    """Write the outcomes to standard output, as they come.

    Args:
        form: `text`, `csv` or `json`, an array with one image a line.

    Raises:
        DataError: after the last one, if some of the images could not be read.
    """
    done, bad = 0, list[DataError]()
    if form == "csv":
        _print_csv([COLUMNS])
    for batch in outcomes:
        done += len(batch)
        bad += [outcome for _, outcome in batch if isinstance(outcome, DataError)]
        good = [(path, outcome) for path, outcome in batch if not isinstance(outcome, DataError)]
        if form == "json":
            _print_json([_json(path, outcome) for path, outcome in batch], "[\n" if done == len(batch) else ",\n")
        elif form == "csv":
            rows = ((path, rank, *asdict(each).values()) for path, best in good for rank, each in enumerate(best, 1))
            _print_csv(rows)
        else:
            _print(good)
    if form == "json":
        erase_announcement()
        click.echo("\n]" if done else "[]")
    if bad:
        raise _summary(bad, done)


def _json(path: Path, outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, DataError):
        return {"image": str(path), "error": outcome.cause}
    return {"image": str(path), "predictions": [asdict(each) for each in outcome]}


def _print_json(elements: Sequence[object], before: str) -> None:
    """Write elements of an array, one a line, after what is before the first of them: its bracket, or a comma."""
    erase_announcement()
    click.echo(before + ",\n".join(json_line(element) for element in elements), nl=False)


def _print_csv(rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([plain(cell) for cell in row] for row in rows)
    erase_announcement()
    click.echo(text.getvalue(), nl=False)


def _print(outcomes: Sequence[tuple[Path, list[Prediction]]]) -> None:
    width = max((cells(plain(each.label)) for _, best in outcomes for each in best), default=0)
    for path, best in outcomes:
        print_line(str(path))
        for each in best:
            pad = " " * (width - cells(plain(each.label)))
            print_line(f"  {each.label}{pad}  {100 * each.probability:6.2f} %")


def _summary(bad: Sequence[DataError], total: int) -> DataError:
    """One error for all images that could not be read."""
    if total == 1:
        return bad[0]
    causes = [" ".join(error.cause.split()).removesuffix(".") for error in bad]
    more = f"; and {len(causes) - LISTED:,} more" if len(causes) > LISTED else ""
    return DataError(
        f"{len(bad):,} of {total:,} images could not be classified: {'; '.join(causes[:LISTED])}{more}.",
        "Repair or remove these files.",
    )
