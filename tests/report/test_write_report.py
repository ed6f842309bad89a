"""A run's report is whole: every picture on the page is there, every name is shown, and it can be made again."""

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import zoo.report.write
from zoo.contract.errors import OutputError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import InMemorySplit
from zoo.evaluation.evaluate import evaluate
from zoo.files.card import Card
from zoo.report.content import RunFacts, make_content
from zoo.report.history import read_history, stored_row
from zoo.report.page import write_page
from zoo.report.write import write_report
from zoo.training.recipe.recipe import Recipe
from zoo.training.recipe.table import recipe_rows

RGB = Preprocess(size=(2, 3), mean=(0.0,) * 3, std=(1.0,) * 3)
CLASSES = ("a|b", "<script>alert(1)</script>", "猫\n\x1b[31m", "x" * 4000)
HISTORY = "epoch,lr,train_loss,test_loss,test_top1,images_per_second\n1,0.1,2.0,1.5,0.5,10\n2,0.05,1.0,0.9,0.6,11\n"


class Fixed(nn.Module):
    """Classifies an image as its first pixel says."""

    def forward(self, images: Tensor) -> Tensor:
        return 3 * torch.nn.functional.one_hot((images[:, 0, 0, 0] * 255).round().long(), 4).float()


def report(folder: Path, card: Card, predicted: list[int], labels: list[int]) -> str:
    images = torch.zeros(len(labels), 3, 2, 3, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor(predicted, dtype=torch.uint8)
    images[:, 2] = 200
    test = InMemorySplit(images, torch.tensor(labels))
    measured = evaluate(Fixed(), test, RGB, cross_entropy, num_classes=4, device=torch.device("cpu"))
    (folder / "history.csv").write_text(HISTORY)
    card = replace(card, classes=CLASSES, preprocess=RGB, dataset="pets", metrics=measured.metrics("pets", "test"))
    facts = RunFacts(
        run=Path("runs/net"),
        weights=Path("weights/net.safetensors"),
        data=Path("/photos"),
        seconds=3661,
        train=measured,
    )
    page = write_report(
        folder, card, measured, Fixed(), test, facts=facts, file_of=lambda index: f"day/{index}_one.jpg"
    )
    return page.read_text()


def test_the_page_says_what_was_measured_on_what(tmp_path: Path, card: Card) -> None:
    page = report(tmp_path, card, [1, 1, 1, 0, 3, 0], [0, 0, 1, 0, 3, 3])
    assert "# tiny on pets\n" in page
    assert "Measured on pets test, n=6" in page
    assert "| top-1 | 50.00 % | 95 % Wilson interval 18.76 to 81.24 % |" in page
    rows = [line for line in page.splitlines() if re.match(r"\| \d ", line)]
    assert rows[0] == r"| 0 | a\|b | 3 | 2 | 50.00 % | 33.33 % | 40.00 % |"
    assert rows[1].startswith(r"| 1 | \<script\>alert(1)\</script\> | 1 | 3 | 33.33 % | 100.00 % | 50.00 % |")
    assert rows[2].endswith("| 0 | 0 | n/a | n/a | n/a |")
    assert len(rows) == 4
    assert "\x1b" not in page
    assert max(map(len, page.splitlines())) < 500


def test_the_page_shows_which_epoch_is_stored(tmp_path: Path, card: Card) -> None:
    """Of two epochs that are as often right on the hold-out, the one of the lower loss, and then the first."""
    held = ["epoch,lr,train_loss,hold_out_loss,hold_out_top1"]
    held += [
        f"{number},0.1,1,{loss},{top1}" for number, loss, top1 in ((1, 9, 0.5), (2, 8, 0.9), (3, 7, 0.9), (4, 7, 0.9))
    ]
    (tmp_path / "history.csv").write_text("\n".join(held))
    history = read_history(tmp_path / "history.csv")
    assert stored_row(history)["epoch"] == 3
    shown = rows_of_the_page(replace(card, recipe={"epochs": 30, "hold_out": 0.1}), history=history)
    assert all(text in shown["epochs"] for text in ("4 of 30", "epoch 3"))


def test_the_page_shows_the_settings_that_did_something(card: Card) -> None:
    recipe = Recipe(
        architecture="net",
        data="pets",
        loss="focal",
        loss_params={"gamma": 1.5, "class_weights": ()},
        model_ema_decay=0.9,
        grad_accum_steps=2,
        crop=0,
        hflip=False,
        weight_decay=0.0,
    ).to_dict()
    shown = rows_of_the_page(replace(card, recipe=recipe), settings=recipe_rows(recipe))
    assert shown["loss"] == "focal (gamma=1.5)"
    expected = {"model_ema_decay": "0.9", "grad_accum_steps": "2", "crop": "0", "hflip": "False", "weight_decay": "0.0"}
    expected |= {"opt": "adamw", "sched": "cosine", "lr": "0.001", "warmup_epochs": "1.0", "seed": "0"}
    assert expected.items() <= {name.strip("`"): value for name, value in shown.items()}.items()
    off = {"layer_decay", "mixup", "decay_rate", "loss_params", "amp", "version", "img_size", "aa", "balance"}
    assert not {f"`{name}`" for name in off} & set(shown)
    assert "warmup_epochs" not in recipe_rows(recipe | {"sched": "one_cycle"})
    assert recipe_rows(recipe | {"sched": "step"})["decay_rate"] == 0.1


@pytest.mark.parametrize(("classes", "shown"), [(2, False), (5, False), (6, True)])
def test_top5_is_shown_from_six_classes_on(card: Card, classes: int, shown: bool) -> None:
    images = InMemorySplit(torch.zeros(1, 3, 2, 3, dtype=torch.uint8), torch.tensor([0]))
    module = nn.Sequential(nn.Flatten(), nn.Linear(18, classes))
    measured = evaluate(module, images, RGB, cross_entropy, num_classes=classes, device=torch.device("cpu"))
    card = replace(card, classes=tuple("abcdef"[:classes]), metrics=measured.metrics("pets", "test"))
    assert ("| top-5 |" in write_page(make_content(card, measured, (), {}))) is shown


def rows_of_the_page(card: Card, **more: Any) -> dict[str, str]:
    """What the page's first table says, by the first cell of the row."""
    images = InMemorySplit(torch.zeros(1, 3, 2, 3, dtype=torch.uint8), torch.tensor([0]))
    measured = evaluate(Fixed(), images, RGB, cross_entropy, num_classes=4, device=torch.device("cpu"))
    card = replace(card, classes=CLASSES, metrics=measured.metrics("pets", "test"))
    cells = [
        line.strip("| ").split(" | ") for line in write_page(make_content(card, measured, (), {}, **more)).splitlines()
    ]
    return {row[0]: row[1] for row in cells if len(row) == 2}


def test_every_picture_on_the_page_exists(tmp_path: Path, card: Card) -> None:
    page = report(tmp_path, card, [1, 1, 1, 1, 1, 1, 0, 3, 0], [0, 0, 0, 0, 0, 1, 0, 3, 3])
    paths = re.findall(r"!\[[^]]*]\(([^)]*)\)", page)
    assert paths[:2] == ["curves.png", "confusion.png"]
    assert paths[2:] == [*(f"examples/0_as_1_{n}.png" for n in (1, 2, 3, 4)), "examples/3_as_0_1.png"]
    assert sorted(path.name for path in (tmp_path / "examples").iterdir()) == [path[9:] for path in paths[2:]]
    with Image.open(tmp_path / paths[2]) as image:
        assert (image.size, image.mode) == ((96, 64), "RGB")
        assert image.getpixel((0, 0)) == (1, 0, 200)
        assert image.getpixel((95, 63)) == (0, 0, 200)
    assert "| a\\|b | \\<script\\>alert(1)\\</script\\> | 5 (83.33 %) |" in page


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text outside style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open[-1:] not in (["style"], ["script"]) else ""


def test_the_html_page_is_whole_and_asks_for_nothing(tmp_path: Path, card: Card) -> None:
    report(tmp_path, card, [1, 1, 1, 0, 3, 0], [0, 0, 1, 0, 3, 3])
    page = Tags((tmp_path / "report.html").read_text())
    assert not page.open and "alert(1)" in page.text and "\x1b" not in page.text
    assert [tag for tag, _ in page.tags].count("script") == 1  # the name of a class is none
    pictures = [str(attributes["src"]) for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 5 and all(picture.startswith("data:image/png;base64,") for picture in pictures)
    assert b64decode(pictures[0].partition(",")[2]) == (tmp_path / "curves.png").read_bytes()
    assert not any({"href", "src"} & set(attributes) for tag, attributes in page.tags if tag != "img")
    for text in ("pets test, n=6", "not linear", "square root", "one.jpg", "50.00 %", "Wilson"):
        assert text in page.text, text
    assert [attributes for tag, attributes in page.tags if tag == "table"][-1] == {"class": "sortable"}


def test_the_page_names_files_and_facts(tmp_path: Path, card: Card) -> None:
    page = report(tmp_path, card, [1, 1, 1, 0, 3, 0], [0, 0, 1, 0, 3, 3])
    assert page.count("one.jpg") == 3 and "![example 1](examples/0_as_1_1.png) day/0\\_one.jpg<br>" in page
    assert "![example 2](examples/0_as_1_2.png) day/1\\_one.jpg" in page
    shown = {row[0]: row[1] for line in page.splitlines() if len(row := line.strip("| ").split(" | ")) >= 2}
    assert shown["training time"] == "1\\:01\\:01" and shown["weights file"] == "weights/net.safetensors"
    assert shown["run folder"] == "runs/net" and shown["data folder"] == "/photos"
    assert shown["top-1 in training"] == "50.00 %" and "top-5" not in shown  # there are four classes
    assert "Colours are not linear" in page


def test_without_a_mistake_there_are_no_examples(tmp_path: Path, card: Card) -> None:
    assert "examples/" not in report(tmp_path, card, [0, 1], [0, 1])
    assert not (tmp_path / "examples").exists()


def test_a_report_made_again_has_the_same_bytes(tmp_path: Path, card: Card) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    report(tmp_path, card, [1, 2, 0], [0, 0, 0])
    first = files()
    report(tmp_path, card, [3, 3, 0], [0, 1, 2])
    assert files().keys() != first.keys()
    report(tmp_path, card, [1, 2, 0], [0, 0, 0])
    assert files() == first


def test_what_cannot_be_drawn_is_explained_and_leaves_no_page(
    tmp_path: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(tmp_path, card, [1], [0])

    def fail(*arguments: object) -> bytes:
        raise RuntimeError("no ink")

    monkeypatch.setattr(zoo.report.write, "draw_confusion", fail)
    with pytest.raises(OutputError, match="RuntimeError: no ink"):
        report(tmp_path, card, [1], [0])
    assert not (tmp_path / "report.md").exists() and not (tmp_path / "report.html").exists()
