"""What `zoo predict` writes: predictions as text, CSV or JSON, and the images that could not be read."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from zoo.cli.output import print_json
from zoo.contract.errors import DataError
from zoo.contract.prediction import Prediction
from zoo.contract.printable import plain

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
    """Write the outcomes to standard output, as they come unless `form` is `json`.

    Args:
        form: `text`, `csv` or `json`.

    Raises:
        DataError: after the last one, if some of the images could not be read.
    """
    done, bad, listed = 0, list[DataError](), list[dict[str, object]]()
    if form == "csv":
        click.echo(_csv([COLUMNS]), nl=False)
    for batch in outcomes:
        done += len(batch)
        bad += [outcome for _, outcome in batch if isinstance(outcome, DataError)]
        good = [(path, outcome) for path, outcome in batch if not isinstance(outcome, DataError)]
        if form == "json":
            listed += [_json(path, outcome) for path, outcome in batch]
        elif form == "csv":
            rows = ((path, rank, *asdict(each).values()) for path, best in good for rank, each in enumerate(best, 1))
            click.echo(_csv(rows), nl=False)
        else:
            _print(good)
    if form == "json":
        print_json(listed)
    if bad:
        raise _summary(bad, done)


def _json(path: Path, outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, DataError):
        return {"image": str(path), "error": outcome.cause}
    return {"image": str(path), "predictions": [asdict(each) for each in outcome]}


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([plain(cell) for cell in row] for row in rows)
    return text.getvalue()


def _print(outcomes: Sequence[tuple[Path, list[Prediction]]]) -> None:
    width = max((len(plain(each.label)) for _, best in outcomes for each in best), default=0)
    for path, best in outcomes:
        click.echo(plain(path))
        for each in best:
            click.echo(f"  {plain(each.label):<{width}}  {100 * each.probability:6.2f} %")


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
