"""What lies in an export folder besides the artifacts: a README that can be followed, labels, images with tensors."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import zoo
import zoo_runtime
from zoo.contract.errors import DifferenceError
from zoo.contract.preprocess import Preprocess
from zoo.data.images import fit_image, normalise_array, open_image
from zoo_export.bundle.labels import can_be_listed
from zoo_export.bundle.preparation import preparation
from zoo_export.bundle.preprocessed import image_sizes, pattern, preprocessed_arrays

MODEL = "lenet5.digits"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITHOUT_ZOO = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"zoo", "zoo_export", "torch", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Guard())
sys.path.insert(0, "")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder in every format that comes with zoo."""
    return zoo.export(MODEL, tmp_path_factory.mktemp("made") / "out", formats=["onnx", "torchscript", "pt2"]).path


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of it, with an image."""
    return Path(shutil.copytree(exported, tmp_path / "out"))


def blocks(folder: Path) -> list[str]:
    return BLOCK.findall((folder / "README.md").read_text(encoding="utf-8"))


def image(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")


def run(code: str, folder: Path) -> str:
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def reseal(folder: Path, change: Callable[[dict[str, Any]], object] = lambda data: None) -> None:
    """Give the manifest the hashes of the files as they now are."""
    data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name in data["files"]:
        content = (folder / name).read_bytes()
        data["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    change(data)
    data["digest"] = zoo_runtime.manifest_digest(data)
    (folder / "manifest.json").write_text(json.dumps(data), encoding="utf-8")


def refused_by_both(folder: Path, *words: str) -> None:
    with pytest.raises(DifferenceError) as by_zoo:
        zoo.verify(folder)
    with pytest.raises(zoo_runtime.Difference) as by_runtime:
        zoo_runtime.verify(folder)
    for word in words:
        assert word in by_zoo.value.cause and word in by_runtime.value.cause


# README


def test_the_onnxruntime_snippet_runs_as_it_stands(folder: Path) -> None:
    """With NumPy, onnxruntime and Pillow alone: neither zoo nor its runtime."""
    image(folder)
    (folder / "zoo_runtime.py").unlink()
    prepare, _, snippet, *_ = blocks(folder)
    assert "onnxruntime" in snippet and "zoo" not in prepare + snippet
    label = run(WITHOUT_ZOO + prepare + snippet, folder).strip()
    assert label == zoo.load(MODEL).predict(folder / "image.png")[0].label


def test_every_snippet_of_the_readme_runs(folder: Path) -> None:
    image(folder)
    expected = zoo_runtime.Model(folder).predict(folder / "image.png")[0].label
    code = blocks(folder)
    assert len(code) == 5  # an image; zoo_runtime, onnxruntime, TorchScript, PT2
    printed = run("\n".join(code), folder).splitlines()
    assert len(printed) == 4 and f"label='{expected}'" in printed[0] and printed[1:] == [expected] * 3


def test_a_readme_names_only_what_the_export_has(exported: Path, tmp_path: Path) -> None:
    whole = (exported / "README.md").read_text(encoding="utf-8")
    for word in ("zoo_runtime.py --verify", "zoo_runtime.py IMAGE", "onnxruntime", "torch.jit", "golden.npz"):
        assert word in whole
    scripted = zoo.export(MODEL, tmp_path / "scripted", formats=["torchscript"])
    text = (scripted.path / "README.md").read_text(encoding="utf-8")
    for word in ("zoo_runtime", "onnx", "ONNX", "torch.export"):
        assert word not in text
    assert zoo.verify(scripted.path).verdict == "pass"
    unverified = zoo.export(MODEL, tmp_path / "unverified", formats=["onnx"], verify=False)
    text = (unverified.path / "README.md").read_text(encoding="utf-8")
    assert "zoo_runtime.py IMAGE" in text and "golden.npz" not in text and "zoo_runtime.py --verify" not in text


@st.composite
def preprocesses(draw: st.DrawFn) -> Preprocess:
    size = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    side = draw(st.none() | st.integers(max(size), 30))
    channels = draw(st.sampled_from([1, 3]))
    return Preprocess(
        size=size,
        mean=tuple(draw(st.lists(st.floats(-1, 2), min_size=channels, max_size=channels))),
        std=tuple(draw(st.lists(st.floats(0.05, 2), min_size=channels, max_size=channels))),
        shorter_side=side,
        crop_mode="center" if side is None else draw(st.sampled_from(["center", "squash", "border"])),
        interpolation=draw(st.sampled_from(["nearest", "bilinear", "bicubic"])),
        exif_orientation=draw(st.booleans()),
    )


@given(preprocesses(), st.integers(1, 60), st.integers(1, 60), st.booleans(), st.integers(0, 9))
def test_the_snippet_prepares_images_as_zoo_does(
    tmp_path_factory: pytest.TempPathFactory,
    preprocess: Preprocess,
    height: int,
    width: int,
    listed: bool,
    orientation: int,
) -> None:
    """Bit for bit, and so does the runtime."""
    folder = tmp_path_factory.getbasetemp() / "prepared"
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(folder / "image.png", exif=exif)
    (folder / "labels.txt").write_text("a\nb\n")
    (folder / "manifest.json").write_text('{"labels": ["a", "b"]}')
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(preparation(preprocess, listed=listed), names)
    assert names["labels"] == ["a", "b"]
    fitted = fit_image(open_image(folder / "image.png"), preprocess)
    expected = normalise_array(fitted[None], preprocess)
    assert zoo_runtime.prepare_image(folder / "image.png", preprocess.to_dict()).tobytes() == expected.tobytes()
    assert names["x"].shape == expected.shape and names["x"].tobytes() == expected.tobytes()


# labels.txt


def test_labels_txt_lists_the_labels(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    text = (exported / "labels.txt").read_text(encoding="utf-8")
    assert text == "".join(f"{label}\n" for label in manifest["labels"])
    assert "labels.txt" in manifest["files"]


@pytest.mark.parametrize("content", [b"", b"1\n0\n2\n3\n4\n5\n6\n7\n8\n9\n", b"\xff\n"])
def test_other_labels_are_refused(folder: Path, content: bytes) -> None:
    (folder / "labels.txt").write_bytes(content)
    refused_by_both(folder, "labels.txt")
    reseal(folder)
    refused_by_both(folder, "labels.txt")


@pytest.mark.parametrize("labels", [["a\nb"], ["a", "b\u2028c"], ["a\x85"], ["\r"]])
def test_labels_of_several_lines_are_not_listed(labels: list[str]) -> None:
    assert not can_be_listed(labels) and can_be_listed(["a", "b c", "dö", ""])


# images with their tensors


def test_golden_holds_images_and_their_tensors(exported: Path) -> None:
    preprocess = zoo.load(MODEL).preprocess
    with np.load(exported / "golden.npz") as golden:
        for index, (height, width) in enumerate(image_sizes(preprocess), 1):
            pixels, tensor = golden[f"image-{index}.pixels"], golden[f"image-{index}.tensor"]
            assert pixels.dtype == np.uint8 and pixels.shape == (height, width, 3)
            assert [int(pixels[y, x, c]) for y, x, c in ((0, 0, 0), (5, 9, 2))] == [64, 64 + (27 + 25 + 14 + 160) % 128]
            assert tensor.tobytes() == zoo_runtime.prepare_image(pixels, preprocess.to_dict()).tobytes()
    assert zoo_runtime.verify(exported).prepared_images == 4
    assert "4 prepared" in zoo_runtime.verify(exported).summary


@given(preprocesses())
def test_images_have_several_sizes(preprocess: Preprocess) -> None:
    arrays = preprocessed_arrays(preprocess)
    sizes = {arrays[name].shape[:2] for name in arrays if name.endswith(".pixels")}
    assert preprocess.size in sizes and len(sizes) >= 3
    assert all(arrays[name].shape == preprocess.input_shape for name in arrays if name.endswith(".tensor"))


def test_images_of_a_large_model_stay_small() -> None:
    preprocess = Preprocess(size=(2048, 2048), mean=(0.5,) * 3, std=(0.5,) * 3)
    assert all(max(size) <= 512 for size in image_sizes(preprocess))
    assert pattern(3, 2).shape == (3, 2, 3)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with np.load(folder / "golden.npz") as golden:
        arrays = dict(golden)
    change(arrays)
    np.savez(folder / "golden.npz", **arrays)
    reseal(folder)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "another image": lambda arrays: arrays.update({"image-2.pixels": arrays["image-2.pixels"][::-1]}),
    "a grey image": lambda arrays: arrays.update({"image-2.pixels": arrays["image-2.pixels"][:, :, :1]}),
    "another tensor": lambda arrays: arrays["image-3.tensor"].__iadd__(np.float32(0.1)),
    "a tensor of another shape": lambda arrays: arrays.update({"image-1.tensor": np.zeros((1, 1, 1), np.float32)}),
    "a tensor that is not finite": lambda arrays: arrays["image-1.tensor"].fill(np.nan),
    "no tensor": lambda arrays: arrays.pop("image-1.tensor"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_preprocessing_that_differs_is_refused(folder: Path, kind: str) -> None:
    rewrite(folder, CHANGES[kind])
    with pytest.raises(DifferenceError, match=r"golden\.npz"):
        zoo.verify(folder)
    with pytest.raises(zoo_runtime.Error, match=r"golden\.npz|image"):
        zoo_runtime.verify(folder)


def test_another_resize_rule_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a release of Pillow that resizes otherwise."""
    real = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", lambda self, size, *rest: real(self, size, Image.Resampling.NEAREST))
    refused_by_both(folder, "Preprocessing")


def test_one_level_is_no_difference(folder: Path) -> None:
    preprocess = zoo.load(MODEL).preprocess
    rewrite(folder, lambda arrays: arrays["image-3.tensor"].__iadd__(np.float32(1 / 255 / preprocess.std[0])))
    assert zoo.verify(folder).verdict == "pass" and zoo_runtime.verify(folder).passed


def test_a_folder_without_images_still_verifies(folder: Path) -> None:
    """As releases before this one wrote it."""
    rewrite(folder, lambda arrays: [arrays.pop(name) for name in list(arrays) if name.startswith("image-")])
    (folder / "labels.txt").unlink()
    data = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    del data["files"]["labels.txt"]
    (folder / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    reseal(folder)
    assert zoo.verify(folder).verdict == "pass"
    report = zoo_runtime.verify(folder)
    assert report.passed and report.prepared_images == 0 and "prepared" not in report.summary
