"""`zoo evaluate --data PATH`: what is judged, parts of folders, and classes that a model does not know."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.contract.errors import UsageError

Run = Callable[..., Any]
COLOURS = {"blue": (40, 40, 200), "green": (40, 200, 40), "red": (200, 40, 40)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of each of three colours."""
    folder = tmp_path_factory.mktemp("evaluated") / "colours"
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(10):
            noise = generator.integers(-30, 30, (28, 28, 3))
            Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def model(photos: Path) -> str:
    arguments: dict[str, Any] = {"epochs": 8, "lr": 0.003, "device": "cpu", "crop": 0}
    run = zoo.train("lenet5", data=photos, output=photos.parent, runs=photos.parent / "runs", **arguments)
    return str(run.weights)


def measured(ran: Any) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    result: dict[str, Any] = json.loads(ran.out)
    return result


def test_a_flat_folder_is_not_judged_by_a_fifth_in_silence(run_zoo: Run, model: str, photos: Path) -> None:
    ran = run_zoo("evaluate", model, "--data", str(photos), "--json")
    assert measured(ran)["n"] == 6 and "a fifth" in ran.err and "--split all" in ran.err and "6 images" in ran.err
    assert measured(run_zoo("evaluate", model, "--data", str(photos), "--split", "train", "--json"))["n"] == 24
    ran = run_zoo("evaluate", model, "--data", str(photos), "--split", "all", "--json")
    whole = measured(ran)
    assert (whole["n"], whole["split"]) == (30, "all") and "all 30 images" in ran.err and "a fifth" not in ran.err
    assert [one["support"] for one in whole["per_class"]] == [10, 10, 10] and whole["top1"] == 1.0
    assert zoo.evaluate(model, data=photos, split="all").n == 30
    with pytest.raises(UsageError, match="half"):
        zoo.evaluate(model, data=photos, split="half")  # type: ignore[arg-type]


def test_both_splits_of_other_data_sets(run_zoo: Run, trained: Path) -> None:
    assert measured(run_zoo("evaluate", str(trained), "--split", "all", "--json"))["n"] == 1797


def test_a_folder_with_test_only_and_some_classes(run_zoo: Run, model: str, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "red", tmp_path / "few" / "test" / "red")
    shutil.copytree(photos / "blue", tmp_path / "few" / "test" / "blue")
    for split in ("test", "all"):
        result = measured(run_zoo("evaluate", model, "--data", str(tmp_path / "few"), "--split", split, "--json"))
        assert result["n"] == 20 and [one["support"] for one in result["per_class"]] == [10, 0, 10]
    shutil.copytree(photos / "green", tmp_path / "one" / "green")
    result = measured(run_zoo("evaluate", model, "--data", str(tmp_path / "one"), "--split", "all", "--json"))
    assert result["n"] == 10 and result["top1"] == 1.0
    ran = run_zoo("evaluate", model, "--data", str(tmp_path / "few"), "--split", "train")
    assert ran.code == 1 and "no train folder" in ran.err


def test_a_mismatch_names_both_sides(run_zoo: Run, model: str, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "other")
    (tmp_path / "other" / "green").rename(tmp_path / "other" / "grün")
    shutil.rmtree(tmp_path / "other" / "blue")
    ran = run_zoo("evaluate", model, "--data", str(tmp_path / "other"))
    assert ran.code == 1 and "grün" in ran.err and "green" in ran.err and "blue" in ran.err and "red" not in ran.err


def test_top5_is_left_out_for_few_classes(run_zoo: Run, model: str, photos: Path, trained: Path) -> None:
    assert "top-5" not in run_zoo("evaluate", model, "--data", str(photos)).out
    assert "top-5" in run_zoo("evaluate", str(trained)).out
