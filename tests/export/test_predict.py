"""`zoo predict` says the same of an image whatever it is given the model as."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo_runtime
from zoo.contract.prediction import Prediction
from zoo.files.weights import save_weights
from zoo.models.load import open_model
from zoo_export.commands.predictions import Outcome, classify, write_predictions

KINDS = ("weights", "both", "torchscript")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Grey, colour, with transparency, 16 bits, palette; larger and smaller than the model sees."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    made = {
        "grey.png": Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)),
        "colour.png": Image.fromarray(rng.integers(0, 256, (61, 47, 3), np.uint8)),
        "small.jpg": Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)),
        "clear.png": Image.fromarray(rng.integers(0, 256, (40, 40, 4), np.uint8)),
        "deep.png": Image.fromarray(rng.integers(0, 65536, (30, 33), np.uint16)),
        "palette.gif": Image.fromarray(rng.integers(0, 256, (35, 35, 3), np.uint8)).convert("P"),
    }
    for name, image in made.items():
        image.save(folder / name)
    return [folder / name for name in made]


def test_weights_onnx_and_torchscript_agree(run_zoo, lenet, images) -> None:
    told = {}
    for kind in KINDS:
        ran = run_zoo("predict", str(lenet[kind]), *map(str, images), "--json")
        assert ran.code == 0, ran.err
        told[kind] = json.loads(ran.out)
    for kind in KINDS[1:]:
        for one, other in zip(told["weights"], told[kind], strict=True):
            assert one["image"] == other["image"]
            assert [entry["label"] for entry in one["predictions"]] == [
                entry["label"] for entry in other["predictions"]
            ]
            assert [entry["index"] for entry in one["predictions"]] == [
                entry["index"] for entry in other["predictions"]
            ]
            mine, theirs = ([entry["probability"] for entry in entry_of["predictions"]] for entry_of in (one, other))
            np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_images_that_differ_are_told_apart(run_zoo, lenet, images) -> None:
    told = json.loads(run_zoo("predict", str(lenet["both"]), *map(str, images), "--json").out)
    assert len({json.dumps(one["predictions"]) for one in told}) == len(images)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_probabilities_likeliest_first(run_zoo, lenet, images, kind: str) -> None:
    (told,) = json.loads(run_zoo("predict", str(lenet[kind]), str(images[0]), "--top", "10", "--json").out)
    shares = [entry["probability"] for entry in told["predictions"]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert sorted(entry["index"] for entry in told["predictions"]) == list(range(10))
    assert {entry["label"] for entry in told["predictions"]} >= {"zero", "nine"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("top", "given"), [("1", 1), ("3", 3), ("99", 10)])
def test_top_says_how_many(run_zoo, lenet, images, kind: str, top: str, given: int) -> None:
    (told,) = json.loads(run_zoo("predict", str(lenet[kind]), str(images[0]), "--top", top, "--json").out)
    assert len(told["predictions"]) == given


def test_without_json_it_is_a_line_a_class(run_zoo, lenet, images) -> None:
    ran = run_zoo("predict", str(lenet["both"]), str(images[0]), "--top", "2")
    first, *rest = ran.out.splitlines()
    assert first == str(images[0])
    assert len(rest) == 2 and all(line.endswith("%") for line in rest)


def test_the_folders_own_runner_says_the_same(run_zoo, lenet, images) -> None:
    (told,) = json.loads(run_zoo("predict", str(lenet["both"]), str(images[1]), "--json").out)
    found = zoo_runtime.Model(lenet["both"]).predict(images[1])
    assert [(entry["label"], entry["probability"]) for entry in told["predictions"]] == [
        (entry.label, entry.probability) for entry in found
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["missing.png", "text.png", "cut.png", "folder.png"])
def test_a_bad_image_is_an_error_that_names_it(run_zoo, lenet, images, tmp_path, kind: str, bad: str) -> None:
    path = tmp_path / bad
    if bad == "text.png":
        path.write_text("no image")
    if bad == "cut.png":
        path.write_bytes(images[0].read_bytes()[:200])
    if bad == "folder.png":
        path.mkdir()
    alone = run_zoo("predict", str(lenet[kind]), str(path))
    assert (alone.code, alone.out) == (1, "")
    assert bad in alone.err and alone.err.startswith("error: ") and "\n  next: " in alone.err
    ran = run_zoo("predict", str(lenet[kind]), str(path), str(images[0]), "--top", "1")
    if bad == "folder.png":  # which has no images
        assert (ran.code, ran.out) == (1, "") and bad in ran.err
        return
    assert ran.code == 1 and ran.out.splitlines()[0] == str(images[0]) and ran.out.count("\n") == 2
    assert bad in ran.err and "1 of 2" in ran.err


@pytest.mark.parametrize("kind", KINDS)
def test_folders_patterns_and_batches(run_zoo, lenet, images, tmp_path, kind: str) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for image in images:
        shutil.copy(image, tmp_path / "photos" / "deep" / image.name)
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "photos" / "bad.png").write_bytes(b"no image")
    (tmp_path / "photos" / "[1].png").write_bytes(images[0].read_bytes())
    expected = json.loads(run_zoo("predict", str(lenet[kind]), *map(str, images), "-b", "1", "--json").out)
    expected = {Path(one["image"]).name: one["predictions"][0]["label"] for one in expected}

    whole = run_zoo("predict", str(lenet[kind]), str(tmp_path / "photos"), "-b", "4", "--json")
    listed = json.loads(whole.out)
    assert whole.code == 1 and "1 of 8" in whole.err and "bad.png" in whole.err
    assert [one["image"] for one in listed if "error" in one] == [str(tmp_path / "photos" / "bad.png")]
    labels = {Path(one["image"]).name: one["predictions"][0]["label"] for one in listed if "error" not in one}
    assert labels == {**expected, "[1].png": expected["grey.png"]}

    matched = run_zoo("predict", str(lenet[kind]), str(tmp_path / "photos/*/*.png"), "--csv", "--top", "2")
    heading, *rows = csv.reader(matched.out.splitlines())
    assert matched.code == 0 and heading == ["image", "rank", "label", "index", "probability"]
    pngs = sorted(image.name for image in images if image.suffix == ".png")
    assert [(Path(row[0]).name, row[1]) for row in rows] == [(name, rank) for name in pngs for rank in "12"]
    assert [row[2] for row in rows[::2]] == [expected[name] for name in pngs]

    assert "[1].png" in run_zoo("predict", str(lenet[kind]), str(tmp_path / "photos" / "[1].png")).out
    nothing = run_zoo("predict", str(lenet[kind]), str(tmp_path / "*.gif"))
    assert nothing.code == 1 and "*.gif" in nothing.err
    assert run_zoo("predict", str(lenet[kind]), str(images[0]), "--csv", "--json").code == 2


def test_predictions_come_batch_by_batch() -> None:
    calls: list[int] = []

    def predict(paths: list[Path]) -> list[list[Prediction]]:
        calls.append(len(paths))
        return [[Prediction("a", 0, 1.0)] for _ in paths]

    outcomes = classify(predict, [Path(str(number)) for number in range(10)], 4)
    assert len(next(outcomes)) == 4 and calls == [4]
    assert [len(batch) for batch in outcomes] == [4, 2]


@pytest.mark.parametrize(("form", "lines"), [("text", 2), ("csv", 1), ("json", 1)])
def test_each_batch_is_written_when_it_is_done(capsys, form: str, lines: int) -> None:
    written = [""]

    def outcomes() -> Iterator[list[tuple[Path, Outcome]]]:
        for number in range(3):
            yield [(Path(f"{number}.png"), [Prediction("a", 0, 1.0)])]
            written.append(written[-1] + capsys.readouterr().out)

    write_predictions(outcomes(), form)
    for number in range(3):
        assert f"{number}.png" in written[number + 1] and f"{number}.png" not in written[number]
        assert len(written[number + 1][len(written[number]) :].strip("\n").splitlines()) == lines + (
            number == 0 and form != "text"
        ) + (number > 0 and form == "json")
    if form == "json":
        whole = json.loads(written[-1] + capsys.readouterr().out)
        assert [one["image"] for one in whole] == ["0.png", "1.png", "2.png"]


def test_json_without_an_image_is_an_empty_array(capsys) -> None:
    write_predictions([], "json")
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("kind", ["both", "torchscript"])
def test_a_changed_folder_is_not_used(run_zoo, lenet, images, tmp_path, kind: str) -> None:
    folder = shutil.copytree(lenet[kind], tmp_path / "copy")
    with (folder / "model.torchscript").open("ab") as file:
        file.write(b"x")
    ran = run_zoo("predict", str(folder), str(images[0]))
    assert (ran.code, ran.out) == (3, "")
    assert "model.torchscript" in ran.err


def test_fresh_weights_are_said_to_mean_nothing(run_zoo, images) -> None:
    ran = run_zoo("predict", "lenet5", str(images[0]))
    assert ran.code == 0
    assert "fresh weights" in ran.err


def test_logits_that_are_not_finite_are_no_prediction(run_zoo, registry, images, tmp_path) -> None:
    fresh = open_model(registry, "lenet5")
    weights = fresh.module.state_dict()
    weights["classifier.5.weight"].fill_(3e38)
    save_weights(tmp_path / "lenet5.huge.safetensors", weights, fresh.card)
    ran = run_zoo("predict", str(tmp_path / "lenet5.huge.safetensors"), str(images[0]))
    assert (ran.code, ran.out) == (1, "")
    assert "not finite" in ran.err and "\n  next: " in ran.err


def test_a_folder_with_onnx_is_used_without_torch(lenet, images) -> None:
    code = (
        "import sys; from zoo.cli.main import run; code = run(sys.argv[1:]);"
        "heavy = [n for n in ('torch', 'torchvision', 'onnx', 'onnxscript') if n in sys.modules];"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    arguments = [sys.executable, "-c", code, "predict", str(lenet["both"]), str(images[0])]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


def test_no_label_reaches_the_terminal_as_a_command(run_zoo, registry, images, tmp_path) -> None:
    fresh = open_model(registry, "lenet5")
    card = type(fresh.card)(
        **{**vars(fresh.card), "classes": tuple(f"\x1b]0;{index}\x07\u202e" for index in range(10))}
    )
    save_weights(tmp_path / "lenet5.hostile.safetensors", fresh.module.state_dict(), card)
    ran = run_zoo("predict", str(tmp_path / "lenet5.hostile.safetensors"), str(images[0]))
    assert ran.code == 0, ran.err
    assert all(line.isprintable() for line in ran.out.splitlines())
