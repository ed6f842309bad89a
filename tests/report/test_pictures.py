"""Pictures are drawn for any names and any number of classes, without a word, and are the same bytes every time."""

import io
import logging
import warnings
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from zoo.report import curves, matrix
from zoo.report.curves import draw_curves
from zoo.report.matrix import draw_confusion

HOSTILE = ["$x^2", "\\frac{", "猫" * 300, "\x00\n\x1b[0m", "a" * 5000, "", "_private", "$$", "\ud800"]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Warnings are errors here, and nothing may be logged."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(opened(png).convert("RGB")).astype(int)


def history(epochs: int, **more: float) -> list[dict[str, float]]:
    return [
        {"epoch": n, "lr": 0.1 / n, "train_loss": 2 / n, "test_loss": 3 / n, "test_top1": 1 - 1 / (n + 1), **more}
        for n in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 20, 21, 50, 51, 100, 249, 251, 1000])
def test_a_matrix_of_any_size_is_a_picture_of_a_size_to_look_at(classes: int) -> None:
    image = opened(draw_confusion(np.diag(np.arange(classes)), [f"class {k}" for k in range(classes)], "demo"))
    assert image.format == "PNG"
    assert all(400 <= side <= 1300 for side in image.size)


def test_names_of_any_kind_are_drawn() -> None:
    confusion = np.eye(len(HOSTILE), dtype=np.int64)
    assert opened(draw_confusion(confusion, HOSTILE, "$bad_title^")).size[0] <= 1300
    assert opened(draw_curves(history(3), "$bad_title^")).size == (800, 800)


@pytest.mark.parametrize("classes", [3, 40, 100, 1000])
def test_one_confusion_in_a_hundred_images_can_be_seen(classes: int) -> None:
    names = [str(k) for k in range(classes)]
    clean = 100 * np.eye(classes, dtype=np.int64)
    confused = clean.copy()
    confused[classes - 1, 0] = 1
    difference = abs(pixels(draw_confusion(clean, names, "")) - pixels(draw_confusion(confused, names, ""))).sum(2)
    assert (difference > 20).sum() >= 9


def test_the_picture_says_that_its_colours_are_not_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = []

    def keep(figure: Figure) -> bytes:
        bars.append(figure.axes[1])
        return b""

    monkeypatch.setattr(matrix, "png", keep)
    for classes in (3, 300):  # of which several share a cell
        draw_confusion(np.eye(classes, dtype=np.int64), [str(k) for k in range(classes)], "")
    for bar in bars:
        assert "square-root" in bar.get_ylabel()
        ticks = {text.get_text(): float(bar.transData.transform((0, y))[1]) for text, y in ticks_of(bar)}
        assert (ticks["25 %"] - ticks["0 %"]) / (ticks["100 %"] - ticks["0 %"]) == pytest.approx(0.5, abs=0.01)


def ticks_of(axes: Axes) -> Iterator[tuple[Text, float]]:
    return zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)


def test_class_without_images_is_grey() -> None:
    confusion = np.array([[5, 0, 0], [0, 0, 0], [0, 0, 5]])
    result = pixels(draw_confusion(confusion, ["a", "b", "c"], ""))
    grey = (result == 0xE4).all(2).sum()
    confusion[1, 1] = 1
    assert (pixels(draw_confusion(confusion, ["a", "b", "c"], "")) == 0xE4).all(2).sum() < grey / 10


def test_counts_too_long_for_their_cells_are_left_out() -> None:
    def ink(count: int) -> int:
        picture = draw_confusion(count * np.eye(20, dtype=np.int64), [str(k) for k in range(20)], "")
        return int((pixels(picture)[100:900, 100:900] == 255).all(2).sum())  # white letters on dark cells

    assert ink(10**15) < ink(10)


@pytest.mark.parametrize("epochs", [1, 2, 30, 400])
def test_curves_of_any_length_are_drawn(epochs: int) -> None:
    assert opened(draw_curves(history(epochs), "demo")).size == (800, 800)


def test_every_column_of_loss_and_accuracy_is_drawn() -> None:
    few, more = (draw_curves(rows, "demo") for rows in (history(4), history(4, hold_out_loss=1.5, hold_out_top1=0.5)))
    assert (pixels(few) != pixels(more)).any()


def test_figures_that_are_not_finite_leave_a_gap() -> None:
    rows = history(5)
    rows[2] |= {"test_loss": float("nan"), "train_loss": float("inf")}
    assert opened(draw_curves(rows, "demo"))
    assert opened(draw_curves([row | {"test_loss": float("nan"), "test_top1": float("nan")} for row in rows], "demo"))


def test_bytes_do_not_depend_on_matplotlib_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> list[bytes]:
        return [draw_confusion(np.eye(3, dtype=np.int64), ["a", "b", "c"], "demo"), draw_curves(history(3), "demo")]

    first = draw()
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "red")
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 20.0)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    before = dict(matplotlib.rcParams)
    assert draw() == first
    assert dict(matplotlib.rcParams) == before
    for png in first:
        assert set(opened(png).info) <= {"dpi"}


def test_no_axis_of_shares_goes_beyond_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    actual = []

    def look(figure: Figure) -> bytes:
        actual.append((figure.axes[1].get_ylim(), list(figure.axes[1].get_yticks()), figure.axes[0].get_yscale()))
        return b""

    monkeypatch.setattr(curves, "png", look)
    for top1 in (1.0, 0.97, 0.0):
        curves.draw_curves(history(5, test_top1=top1), "demo")
    for (low, high), ticks, _ in actual:
        assert ticks and min(ticks) >= 0 and max(ticks) <= 100 and low >= -1 and high <= 101
    curves.draw_curves([row | {"train_loss": 10.0 ** -row["epoch"], "test_loss": 0.0} for row in history(5)], "demo")
    assert [scale for _, _, scale in actual] == ["linear"] * 3 + ["log"]
