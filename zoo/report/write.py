"""Write the report of a finished run into its folder."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from zoo.contract.errors import OutputError, ZooError
from zoo.data.batches import Batches
from zoo.evaluation.evaluate import Evaluation
from zoo.evaluation.mistakes import Mistake, find_mistakes
from zoo.evaluation.scores import worst_confusions
from zoo.files.atomic import new_folder, write_file
from zoo.files.card import Card
from zoo.report.content import Example, RunFacts, make_content
from zoo.report.curves import draw_curves
from zoo.report.history import read_history
from zoo.report.html import write_html
from zoo.report.matrix import draw_confusion
from zoo.report.names import one_line
from zoo.report.page import write_page

CONFUSIONS, EXAMPLES = 8, 4  # confusions on the page, and example images of each
MIN_SIDE, MAX_SIDE = 96, 128  # pixels of the longer side of an example image


def write_report(
    run: Path,
    card: Card,
    evaluation: Evaluation,
    module: nn.Module,
    test: Batches,
    trained_on: Sequence[int] = (),
    settings: Mapping[str, object] | None = None,
    facts: RunFacts | None = None,
    file_of: Callable[[int], str] = lambda index: "",
) -> Path:
    """Write `curves.png`, `confusion.png`, `examples/`, `report.md` and `report.html` into a run folder.

    `report.html` is the same page as one file, with its pictures in it.

    An earlier report is replaced. The same run and versions produce the same bytes.

    Args:
        run: the folder, which contains `history.csv`.
        card: of the weights; its metrics name the data set and the split.
        evaluation: of `module` on `test`.
        trained_on: the number of training images of each class; empty if unknown.
        module: on the device of the batches of `test`.
        settings: the values of the recipe to show, by name; see `make_content`.
        facts: of the run.
        file_of: the file of an image of `test`, by its index; empty if it has none.

    Returns:
        The path of `report.md`.

    Raises:
        OutputError: a plot or file could not be made. Then no page is left.
    """
    page, whole = run / "report.md", run / "report.html"
    for old in (page, whole):
        old.unlink(missing_ok=True)
    try:
        worst = worst_confusions(evaluation.confusion, CONFUSIONS)
        pairs = [(one.true, one.predicted) for one in worst]
        classes = len(card.classes)
        mistakes = find_mistakes(module, test, card.preprocess, pairs, num_classes=classes, each=EXAMPLES)
        name, on = (one_line(text) for text in (f"{card.architecture} on {card.dataset}", _measured_on(card)))
        history = read_history(run / "history.csv")
        write_file(run / "curves.png", draw_curves(history, name), force=True)
        matrix = draw_confusion(evaluation.confusion.numpy(), card.classes, f"{name}\n{on}")
        write_file(run / "confusion.png", matrix, force=True)
        pictures = _write_examples(run / "examples", mistakes, file_of)
        content = make_content(card, evaluation, worst, pictures, trained_on, history, settings, facts)
        write_file(whole, write_html(content, lambda path: (run / path).read_bytes()).encode())
        write_file(page, write_page(content).encode())
    except ZooError:
        raise
    except Exception as error:  # matplotlib, and a damaged history, raise many types
        raise OutputError(
            f"The report of the run could not be written: {type(error).__name__}: {error}",
            f"The weights are saved. The metrics of each epoch are in {run / 'history.csv'}.",
        ) from error
    return page


def _measured_on(card: Card) -> str:
    metric = card.metrics[0]
    return f"{metric.dataset} {metric.split}, n={metric.n:,}"


def _write_examples(
    folder: Path, mistakes: Mapping[tuple[int, int], Sequence[Mistake]], file_of: Callable[[int], str]
) -> dict[tuple[int, int], list[Example]]:
    named = {
        pair: [(f"{pair[0]}_as_{pair[1]}_{number}.png", mistake) for number, mistake in enumerate(some, 1)]
        for pair, some in mistakes.items()
    }
    if named or folder.exists():
        with new_folder(folder, force=True, replaceable=_ours) as filled:
            for name, mistake in (one for some in named.values() for one in some):
                (filled / name).write_bytes(_png(mistake.image))
    return {
        pair: [Example(f"{folder.name}/{name}", file_of(mistake.index)) for name, mistake in some]
        for pair, some in named.items()
    }


def _ours(folder: Path) -> bool:
    return all(path.suffix == ".png" and "_as_" in path.name for path in folder.iterdir())


def _png(image: Tensor) -> bytes:
    """Return uint8 `[C, H, W]` as a PNG file, enlarged by a whole factor if it is small, or shrunk if it is large."""
    pixels = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
    factor = MIN_SIDE // max(picture.size)
    if factor > 1:
        picture = picture.resize((factor * picture.width, factor * picture.height), Image.Resampling.NEAREST)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()
