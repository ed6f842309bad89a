"""`zoo evaluate` of exported files: run themselves, beside their model, image by image."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import zoo
from zoo.files.card import Card
from zoo.files.weights import save_weights
from zoo.models.load import open_model
from zoo.registry.registry import Registry

DIGITS = tuple("0123456789")
ON_DIGITS = ("--data", "digits", "--json")


@pytest.fixture(scope="module")
def stored(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of LeNet-5, a bit better than chance, under the name `lenet5.made`."""
    folder = tmp_path_factory.mktemp("weights")
    fresh = open_model(registry, "lenet5")
    card = Card(**{**vars(fresh.card), "classes": DIGITS, "dataset": "digits"})
    save_weights(folder / "lenet5.made.safetensors", fresh.module.state_dict(), card)
    return folder / "lenet5.made.safetensors"


@pytest.fixture(scope="module")
def folder(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of it in every format."""
    path = tmp_path_factory.mktemp("exports") / "made"
    return zoo.export(stored, path, formats=["onnx", "torchscript", "pt2"]).path


@pytest.fixture
def named(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are found by their name."""
    monkeypatch.setenv("ZOO_WEIGHTS", str(stored.parent))


def edited(source: Path, target: Path, **batch: int) -> Path:
    """A copy of an ONNX file without metadata, with the batch or the bias of the head changed."""
    model = onnx.load(source)
    del model.metadata_props[:]
    if batch:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch["batch"]
        del model.graph.value_info[:]
    onnx.save(model, target)
    return target


def test_every_format_is_measured_beside_the_model(run_zoo, folder: Path, named: None) -> None:
    result = json.loads(run_zoo("evaluate", str(folder), "--json").out)
    assert list(result["artifacts"]) == ["model.onnx", "model.torchscript", "model.pt2"]
    assert result["against"]["model"] == "lenet5.made"
    for each in result["artifacts"].values():
        assert (each["agreement"], each["flips"]) == (1.0, [])
        assert each["top1"] == result["against"]["top1"] == result["top1"]


def test_formats_are_chosen_and_the_text_shows_the_model(run_zoo, folder: Path, named: None) -> None:
    out = run_zoo("evaluate", str(folder), "-f", "onnx", "-b", "100").out.splitlines()
    rows = [line.split("\t")[0] for line in out]
    assert "lenet5.made (model)" in rows and "model.onnx" in rows and "model.pt2" not in rows
    assert run_zoo("evaluate", str(folder), "-f", "tflite").code == 1


def test_without_its_model_an_export_is_measured_alone(run_zoo, folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path))
    ran = run_zoo("evaluate", str(folder / "model.onnx"), "--json")
    result = json.loads(ran.out)
    assert ran.code == 0 and "lenet5.made" in ran.err
    assert result["against"] is None and result["artifacts"]["model.onnx"]["agreement"] is None


def test_weights_of_that_name_but_another_digest_are_not_used(run_zoo, folder, registry, tmp_path, monkeypatch) -> None:
    fresh = open_model(registry, "lenet5")
    state = {name: value + 0.5 for name, value in fresh.module.state_dict().items()}
    save_weights(tmp_path / "lenet5.made.safetensors", state, Card(**{**vars(fresh.card), "classes": DIGITS}))
    monkeypatch.setenv("ZOO_WEIGHTS", str(tmp_path))
    ran = run_zoo("evaluate", str(folder), "-f", "torchscript", "--json")
    assert "digest" in ran.err and json.loads(ran.out)["against"] is None


def test_flips_are_named_with_both_margins(run_zoo, folder: Path, registry, tmp_path: Path) -> None:
    fresh = open_model(registry, "lenet5")
    state = fresh.module.state_dict()
    state["classifier.5.bias"] = state["classifier.5.bias"] + torch.linspace(0, 0.05, 10)
    card = Card(**{**vars(fresh.card), "classes": DIGITS, "dataset": "digits"})
    save_weights(tmp_path / "lenet5.other.safetensors", state, card)
    other = str(tmp_path / "lenet5.other.safetensors")
    result = json.loads(run_zoo("evaluate", str(folder), "-f", "onnx", "--against", other, "--json").out)
    each, n = result["artifacts"]["model.onnx"], result["n"]
    assert each["flips"] and each["agreement"] == (n - len(each["flips"])) / n
    for flip in each["flips"]:
        assert flip["model"] != flip["artifact"] and 0 <= flip["index"] < n
        assert flip["model_margin"] > 0 and flip["artifact_margin"] > 0
    shown = run_zoo("evaluate", str(folder), "-f", "onnx", "--against", other).out
    assert f"{each['flips'][0]['index']}\t{each['flips'][0]['label']}\t{each['flips'][0]['model']}" in shown


def test_a_single_file_uses_what_it_says_of_itself(run_zoo, folder: Path, tmp_path: Path) -> None:
    alone = shutil.copy(folder / "model.onnx", tmp_path / "alone.onnx")
    result = json.loads(run_zoo("evaluate", str(alone), *ON_DIGITS).out)
    assert result["model"] == "alone.onnx" and list(result["artifacts"]) == ["alone.onnx"]


def test_a_bare_file_takes_labels_and_preprocessing_from_files(run_zoo, folder: Path, tmp_path: Path) -> None:
    bare = edited(folder / "model.onnx", tmp_path / "bare.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(DIGITS) + "\n")
    (tmp_path / "labels.json").write_text(json.dumps(DIGITS))
    how = ("--preprocess", str(folder / "manifest.json"))
    texts = [
        run_zoo("evaluate", str(bare), "--labels", str(tmp_path / f"labels.{suffix}"), *how, *ON_DIGITS).out
        for suffix in ("txt", "json")
    ]
    assert texts[0] == texts[1] and json.loads(texts[0])["n"] == 359
    for missing in ([], ["--labels", str(tmp_path / "labels.txt")]):
        ran = run_zoo("evaluate", str(bare), *missing, *ON_DIGITS)
        assert ran.code == 2 and "--against" in ran.err


def test_the_model_describes_a_bare_file_and_its_batch_is_kept(run_zoo, folder: Path, stored: Path, tmp_path) -> None:
    bare = edited(folder / "model.onnx", tmp_path / "bare.onnx", batch=7)
    ran = run_zoo("evaluate", str(bare), "--against", str(stored), "--json")
    result = json.loads(ran.out)
    assert result["n"] % 7 and result["artifacts"]["bare.onnx"]["agreement"] == 1.0


@pytest.mark.parametrize(
    ("labels", "size", "code", "named"),
    [
        (DIGITS[:9], [32, 32], 2, "9 labels"),
        ((*DIGITS, "x"), [32, 32], 2, "11 labels"),
        (DIGITS, [28, 28], 2, "28"),
        ([*DIGITS[:9], "nine"], [32, 32], 1, "nine"),
    ],
)
@pytest.mark.parametrize("suffix", ["onnx", "torchscript"])
def test_what_does_not_fit_is_named(run_zoo, folder, tmp_path, labels, size, code: int, named: str, suffix) -> None:
    alone = shutil.copy(folder / f"model.{suffix}", tmp_path / f"alone.{suffix}")
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    preprocess = json.loads((folder / "manifest.json").read_text())["preprocess"]
    (tmp_path / "how.json").write_text(json.dumps({**preprocess, "size": size}))
    files = ("--labels", str(tmp_path / "labels.json"), "--preprocess", str(tmp_path / "how.json"))
    ran = run_zoo("evaluate", str(alone), *files, *ON_DIGITS)
    if (suffix, size) == ("torchscript", [28, 28]):  # it does not say its sizes: running it fails
        assert ran.code == 1 and "alone.torchscript" in ran.err
    else:
        assert ran.code == code and named in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"\xff\xfe", b'["a"', b"a\n\nb"])
def test_labels_that_are_none_are_refused(run_zoo, folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels").write_bytes(content)
    ran = run_zoo("evaluate", str(folder / "model.onnx"), "--labels", str(tmp_path / "labels"), *ON_DIGITS)
    assert ran.code == 2 and "labels" in ran.err


def test_options_of_files_are_refused_for_weights(run_zoo, stored: Path, folder: Path, tmp_path: Path) -> None:
    assert run_zoo("evaluate", str(stored), "-f", "onnx").code == 2
    (tmp_path / "labels").write_text("\n".join(DIGITS))
    ran = run_zoo("evaluate", str(folder), "--labels", str(tmp_path / "labels"))
    assert ran.code == 2 and "--labels" in ran.err


def test_a_data_set_with_some_of_the_classes_in_another_order(registry, stored: Path, tmp_path: Path) -> None:
    from PIL import Image

    from zoo.contract.specs import Dataset
    from zoo.data.datasets import load_dataset

    digits = load_dataset(registry.find(Dataset, "digits"), tmp_path, "test")
    for index in range(len(digits)):
        image, label = digits[index]
        if int(label) in (3, 7):
            place = tmp_path / "images" / "test" / str(int(label))
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.squeeze(np.asarray(image))).save(place / f"{index}.png")
    shutil.copytree(tmp_path / "images" / "test", tmp_path / "images" / "train")
    whole = zoo.evaluate(stored, data="digits", device="cpu")
    some = zoo.evaluate(stored, data="folder", data_root=tmp_path / "images", device="cpu", cache=False)
    assert some.classes == DIGITS and some.n == int(whole.confusion[[3, 7]].sum())
    assert torch.equal(some.confusion[[3, 7]], whole.confusion[[3, 7]])


def test_a_module_of_ones_own_is_compared_with(folder: Path, registry: Registry) -> None:
    class Constant(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[[4]].repeat(len(images), 1) + 0 * images.sum()

    result = zoo.evaluate(folder, formats=["torchscript"], against=Constant(), device="cpu", trust=True)
    compared = result.artifacts["model.torchscript"]
    assert compared.flips is not None and {flip.model for flip in compared.flips} == {"4"}
    assert all(flip.model_margin == 1 for flip in compared.flips)
