"""The page about weights files is what their cards say, and nothing in a card does more than be read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from zoo.contract.errors import WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained import Metric
from zoo.files.card import Card
from zoo.files.weights import save_weights
from zoo.report.cards import cards_page
from zoo.training.recipe.file import command_of_card

ROOT = Path(__file__).parents[2]
CARD = Card(
    architecture="net",
    plugin="kit",
    plugin_version="1",
    classes=("a", "b"),
    preprocess=Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,)),
    dataset="pets",
    command="zoo train net --data pets",
    metrics=(Metric(name="top1", value=0.75, dataset="pets", split="test", n=4000),),
    licence="MIT",
)


def save(folder: Path, name: str, card: Card = CARD) -> None:
    tensors = {"weight": torch.zeros(2, 64), "bn.running_mean": torch.zeros(64)}
    save_weights(folder / f"{name}.safetensors", tensors, card)


def test_each_file_has_a_line_with_its_figure_interval_and_n(tmp_path: Path) -> None:
    save(tmp_path, "net.pets")
    save(tmp_path, "net.fresh", replace(CARD, metrics=(), dataset="", command=""))
    rows = [line for line in cards_page(tmp_path).splitlines() if line.startswith("| net.")]
    assert rows == [
        "| net.fresh | net | 128 | 1×8×8 |  |  |  | 0.00 MB | MIT |",
        "| net.pets | net | 128 | 1×8×8 | pets | 75.00 % (73.63 to 76.32) | pets test, n=4,000 | 0.00 MB | MIT |",
    ]


def test_pictures_beside_a_file_are_on_the_page(tmp_path: Path) -> None:
    save(tmp_path, "net.pets")
    assert "![" not in cards_page(tmp_path)
    (tmp_path / "net.pets.confusion.png").write_bytes(b"")
    assert "](net.pets.confusion.png)" in cards_page(tmp_path)


def test_names_and_cards_cannot_break_the_page(tmp_path: Path) -> None:
    save(tmp_path, "net.a|b <i>", replace(CARD, licence="x | y\n# z", command="zoo\n# heading"))
    page = cards_page(tmp_path)
    assert "\\|b \\<i\\>" in page and "x \\| y \\# z" in page
    assert "\n# heading" not in page and "\n# z" not in page


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights files"):
        cards_page(tmp_path)


def test_page_of_the_shipped_weights_is_up_to_date() -> None:
    assert (ROOT / "weights" / "README.md").read_text(encoding="utf-8") == cards_page(ROOT / "weights", command_of_card)
