"""What a deployer relies on: the folder runs with numpy and onnxruntime alone, and notices when it is wrong."""

import ast
import csv
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

import zoo_runtime
from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data.images import fit_image, normalise, normalise_array, open_image
from zoo_runtime import Difference, Error, Model, manifest_digest, read_manifest

LABELS = ["zero", "one", "zwölf", "日本"]
PREPROCESS = Preprocess(size=(6, 5), mean=(0.3,), std=(0.2,), shorter_side=None, interpolation="bilinear")
RUNTIME = Path(zoo_runtime.__file__)
WEIGHTS = np.random.default_rng(0).normal(size=(30, len(LABELS))).astype(np.float32)
GUARD = """
import atexit, os, sys
REFUSED = set(os.environ["REFUSED"].split(","))
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Guard())
def tell():
    tops = {name.partition(".")[0] for name in sys.modules}
    with open(os.environ["TELL"], "w") as file:
        file.write(",".join(sorted(tops)))
atexit.register(tell)
"""


def graph(weights: Any = WEIGHTS, nodes: list[Any] | None = None, output: int = TensorProto.FLOAT) -> bytes:
    """An ONNX file that flattens and multiplies, or does what `nodes` do after that, from `y` to `logits`."""
    nodes = nodes or [helper.make_node("Identity", ["y"], ["logits"])]
    first = [helper.make_node("Flatten", ["input"], ["x"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    made = helper.make_graph(
        [*first, *nodes],
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 6, 5])],
        [helper.make_tensor_value_info("logits", output, None)],
        [helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.ravel())],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def seal(folder: Path, change: Callable[[dict[str, Any]], Any] | None = None) -> None:
    """Describe the files as they now are, apply `change` to the manifest, and give it its digest."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    for name in data["files"]:
        content = (folder / name).read_bytes()
        data["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    if change:
        change(data)
    data["digest"] = manifest_digest(data)
    path.write_text(json.dumps(data, indent=1), "utf-8")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "tiny.digits"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph())
    (folder / "README.md").write_text("# tiny\n")
    shutil.copy(RUNTIME, folder / "zoo_runtime.py")
    arrays: dict[str, Any] = {}
    probes: list[dict[str, Any]] = []
    for name, n in (("batch-1", 1), ("batch-3", 3)):
        x = np.random.default_rng(n).normal(size=(n, 1, 6, 5)).astype(np.float32)
        truth = x.reshape(n, -1).astype(np.float64) @ WEIGHTS.astype(np.float64)
        arrays |= {f"{name}.input": x, f"{name}.truth": truth}
        peak = float(f"{np.abs(truth).max():.3g}")
        rounding_error = float(f"{2.0**-23 * peak:.3g}")
        probes.append(
            {"name": name, "n": n, "rounding_error": rounding_error, "tolerance": 20 * rounding_error, "peak": peak}
        )
    np.savez(folder / "golden.npz", **arrays)
    data = {
        "format": 2,
        "name": "tiny.digits",
        "verdict": "pass",
        "card": {"anything": ["at", "all"]},
        "input": {"name": "input", "dtype": "float32", "shape": ["batch", 1, 6, 5]},
        "output": {"name": "logits", "dtype": "float32", "shape": ["batch", len(LABELS)]},
        "preprocess": PREPROCESS.to_dict(),
        "labels": LABELS,
        "artifacts": {"onnx": {"files": {"model": "model.onnx"}, "format": "zoo-kit:onnx"}},
        "files": dict.fromkeys(["model.onnx", "golden.npz", "zoo_runtime.py", "README.md"]),
        "versions": {"torch": "2.11"},
        "certificate": {"verdict": "pass", "override": None, "tolerance_factor": 20, "probes": probes},
    }
    (folder / "manifest.json").write_text(json.dumps(data))
    seal(folder)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / original.name))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "seven.png"
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (20, 31, 3), np.uint8)).save(path)
    return path


def shell(folder: Path, *arguments: str | Path, without: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """`python zoo_runtime.py` in the folder, in a process that has no torch, no zoo and none of `without`."""
    guard = folder.parent / "guard"
    guard.mkdir(exist_ok=True)
    (guard / "sitecustomize.py").write_text(GUARD)
    tell = folder.parent / "modules"
    refused = f"torch,torchvision,zoo,zoo_export,onnx,{without}"
    environment = os.environ | {"PYTHONPATH": str(guard), "REFUSED": refused, "TELL": str(tell)}
    environment |= {"PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": ""} | options.pop("environment", {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    command = [sys.executable, "zoo_runtime.py", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, encoding="utf-8", check=False, **options)
    assert not {"torch", "zoo", "zoo_export", "onnx"} & set(tell.read_text().split(",")), "the proof must be torch-free"
    return done


def explained(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """It ended with `code` and exactly two lines that say why."""
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("  next: "), done.stderr
    assert lines[0].endswith(".") and not lines[0].endswith("..")
    for word in words:
        assert word in done.stderr


def refused(kind: type[Error], call: Callable[[], Any], *words: str) -> None:
    """It raises just this kind of error, with sentences that hold `words`."""
    with pytest.raises(Error) as caught:
        call()
    assert type(caught.value) is kind
    for word in words:
        assert word in str(caught.value)


# running


def test_runs_and_gives_the_logits(folder: Path) -> None:
    x = np.random.default_rng(5).normal(size=(4, 1, 6, 5)).astype(np.float32)
    y = Model(folder).run(x)
    assert y.dtype == np.float32 and y.shape == (4, len(LABELS))
    np.testing.assert_allclose(y, x.reshape(4, -1) @ WEIGHTS, rtol=1e-4, atol=1e-5)
    flipped = np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1]
    np.testing.assert_array_equal(Model(folder).run(flipped), y)


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.zeros((1, 1, 6, 5)), "float64"),
        (np.zeros((1, 1, 6, 5), np.uint8), "uint8"),
        (torch.zeros(1, 1, 6, 5), "numpy"),
        ([[0.0]], "list"),
        (np.zeros((1, 6, 5), np.float32), "[1, 6, 5]"),
        (np.zeros((0, 1, 6, 5), np.float32), "[0, 1, 6, 5]"),
        (np.zeros((1, 3, 6, 5), np.float32), "[1, 3, 6, 5]"),
        (np.zeros((1, 1, 5, 6), np.float32), "[1, 1, 5, 6]"),
    ],
)
def test_an_input_of_another_form_is_refused(folder: Path, x: Any, word: str) -> None:
    refused(Error, lambda: Model(folder).run(x), word, "float32" if "[" not in word else "['batch', 1, 6, 5]")


def test_predicts_the_classes_of_an_image(folder: Path, picture: Path) -> None:
    model = Model(folder)
    best = model.predict(picture, top=3)
    logits = model.run(model.prepare(Image.open(picture))[None])[0].astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum()
    assert [one.index for one in best] == list(np.argsort(-shares)[:3])
    assert [one.label for one in best] == [LABELS[one.index] for one in best]
    assert [one.probability for one in best] == pytest.approx(sorted(shares)[::-1][:3], rel=1e-12)
    everything = model.predict(str(picture), top=99)
    assert len(everything) == len(LABELS) and sum(one.probability for one in everything) == pytest.approx(1)
    refused(Error, lambda: model.predict(picture, top=0), "top is 0")
    refused(Error, lambda: zoo_runtime.rank(logits, LABELS, 0), "top is 0")


def test_an_output_that_is_not_finite_gets_no_probabilities(folder: Path, picture: Path) -> None:
    (folder / "model.onnx").write_bytes(graph(WEIGHTS * np.float32(np.inf)))
    refused(Error, lambda: Model(folder).predict(picture), "not finite")


def test_large_logits_do_not_overflow(folder: Path, picture: Path) -> None:
    (folder / "model.onnx").write_bytes(graph(WEIGHTS * 1e30))
    assert Model(folder).predict(picture)[0].probability == 1


def test_the_provider_is_the_one_asked_for_or_it_is_an_error(folder: Path) -> None:
    assert Model(folder).providers == ("CPUExecutionProvider",)
    assert Model(folder, providers="CPUExecutionProvider").providers == ("CPUExecutionProvider",)
    refused(
        Error, lambda: Model(folder, ["NoSuchExecutionProvider", "CPUExecutionProvider"]), "NoSuchExecutionProvider"
    )
    refused(Error, lambda: Model(folder, []), "no provider")
    refused(Error, lambda: Model(folder, threads=-1), "threads", "-1")


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no CUDA device")
def test_cuda_that_cannot_be_had_does_not_become_the_cpu(folder: Path) -> None:
    refused(Error, lambda: Model(folder, providers=("CUDAExecutionProvider",)), "CUDAExecutionProvider", "silently")


def test_a_session_that_fell_back_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    real = onnxruntime.InferenceSession

    def fall_back(path: str, options: Any, providers: Any) -> Any:
        assert providers == [("CUDAExecutionProvider", {"use_tf32": "0"})], "TensorFloat-32 would not be float32"
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(onnxruntime, "InferenceSession", fall_back)
    refused(Error, lambda: Model(folder, providers=("CUDAExecutionProvider",)), "CUDAExecutionProvider", "silently")


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no CUDA device")
def test_auto_is_the_cpu_where_there_is_no_gpu(folder: Path, picture: Path) -> None:
    assert Model(folder, "auto").providers == ("CPUExecutionProvider",)
    assert shell(folder, picture, "--provider", "auto").stdout == shell(folder, picture).stdout


def test_threads_reach_onnxruntime(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    real, threads = onnxruntime.InferenceSession, []

    def session(path: str, options: Any, providers: Any) -> Any:
        threads.append(options.intra_op_num_threads)
        return real(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    Model(folder, threads=3)
    Model(folder)
    assert threads == [3, 0]


# several images


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with five images, one of them damaged and one in a folder, and a text file."""
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.JPG", "d.bmp", "more/e.png")):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 7, 3), np.uint8)
        Image.fromarray(pixels).save(photos / name)
    (photos / "c.png").write_text("no image")
    (photos / "notes.txt").write_text("notes")
    return photos


READABLE = ["a.png", "b.JPG", "d.bmp", "more/e.png"]


def test_several_images_are_predicted_as_one_by_one(folder: Path, photos: Path) -> None:
    model = Model(folder)
    paths = [photos / name for name in READABLE]
    single = [model.predict(path) for path in paths]
    for images in (paths, tuple(map(str, paths)), iter(paths), map(Image.open, paths)):
        for each, expected in zip(model.predict(images, batch_size=3), single, strict=True):  # type: ignore[arg-type]
            assert [one.index for one in each] == [one.index for one in expected]
            assert [one.probability for one in each] == pytest.approx([one.probability for one in expected])
    assert model.predict([]) == []
    refused(Error, lambda: model.predict(photos), str(photos / "c.png"))


@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_predict_each_goes_past_a_damaged_image(folder: Path, photos: Path, batch_size: int) -> None:
    results = list(Model(folder).predict_each(photos, top=2, batch_size=batch_size))
    assert [result.image for result in results] == [
        photos / n for n in ("a.png", "b.JPG", "c.png", "d.bmp", *READABLE[3:])
    ]
    assert [len(result.predictions) for result in results] == [2, 2, 0, 2, 2]
    assert [result.error is None for result in results] == [True, True, False, True, True]
    assert "c.png" in str(results[2].error)


def test_predict_each_holds_one_batch(folder: Path, photos: Path) -> None:
    taken = []

    def images() -> Iterator[Path]:
        for name in READABLE:
            taken.append(name)
            yield photos / name

    results = Model(folder).predict_each(images(), batch_size=2)
    next(results)
    assert taken == READABLE[:2]
    refused(Error, lambda: next(Model(folder).predict_each(photos, batch_size=0)), "batch_size is 0")


def test_a_fixed_batch_size_is_kept(folder: Path, photos: Path) -> None:
    expected = Model(folder).predict([photos / name for name in READABLE])
    seal(folder, lambda data: data["input"].update(shape=[3, 1, 6, 5]))
    model = Model(folder)
    refused(Error, lambda: model.run(np.zeros((1, 1, 6, 5), np.float32)), "[3, 1, 6, 5]")
    for batch_size in (1, 2, 32):
        predicted = model.predict([photos / name for name in READABLE], batch_size=batch_size)
        assert [[p.index for p in each] for each in predicted] == [[p.index for p in each] for each in expected]


def test_bytes_and_file_objects_are_images(folder: Path, picture: Path) -> None:
    model = Model(folder)
    content, expected = picture.read_bytes(), model.predict(picture)
    for image in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert model.predict(image) == expected
    with picture.open("rb") as file:
        assert model.predict(file) == expected
    for damaged in (b"", b"text", content[:100], io.StringIO("text")):
        refused(Error, lambda damaged=damaged: model.predict(damaged), "The image", "cannot be used")  # type: ignore[misc]


def test_a_folder_without_images_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(Error, lambda: Model(folder).predict(tmp_path / "empty"), "empty", ".png")


def test_many_threads_use_one_model(folder: Path, picture: Path) -> None:
    model = Model(folder)
    expected = model.predict(picture)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(model.predict, [picture] * 40)) == [expected] * 40


# verifying


def test_a_sound_folder_is_proven(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "notes.txt").write_text("a file of mine")
    report = Model(folder).verify()
    assert report.passed and [(probe.probe, probe.n) for probe in report.probes] == [("batch-1", 1), ("batch-3", 3)]
    for probe in report.probes:
        assert probe.error is not None and probe.ratio == pytest.approx(probe.error / probe.rounding_error)
        assert probe.error <= probe.tolerance and probe.passed and not probe.reason
    worst = max(probe.ratio or 0 for probe in report.probes)
    for text in ("model.onnx: computes what the model computes", f" {worst:.1f} rounding errors", "2 probes, 4 images"):
        assert text in report.summary
    assert zoo_runtime.verify(folder) == report
    assert report.providers == ("CPUExecutionProvider",)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "zoo_runtime.py", "README.md", "manifest.json"])
def test_a_changed_byte_names_its_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    # the middle; in the script, a letter of its docstring, so that it still runs
    content[len(content) // 2 if name != "zoo_runtime.py" else 10] ^= 1
    (folder / name).write_bytes(content)
    explained(shell(folder, "--verify"), 3, name)
    refused(Difference, lambda: zoo_runtime.verify(folder), name)


def test_a_changed_byte_anywhere_in_the_manifest_is_noticed(folder: Path) -> None:
    path = folder / "manifest.json"
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        refused(Difference, lambda: read_manifest(folder), "manifest.json")


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "README.md"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "longer", "a folder"])
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if damage == "a folder":
        (folder / name).mkdir()
    elif damage != "missing":
        (folder / name).write_bytes(content[:-1] if damage == "truncated" else content + b"\0")
    refused(Difference, lambda: zoo_runtime.verify(folder), name)


def test_scaled_weights_name_the_probes(folder: Path) -> None:
    weights = WEIGHTS.copy()
    weights[:, 1] *= 1.001
    (folder / "model.onnx").write_bytes(graph(weights))
    seal(folder)
    explained(shell(folder, "--verify"), 3, "model.onnx", "batch-1", "batch-3", "rounding errors")
    report = zoo_runtime.verify(folder)
    assert not report.passed and [probe.passed for probe in report.probes] == [False, False]
    assert all(probe.ratio and probe.ratio > 20 for probe in report.probes)


def test_just_within_and_just_beyond_the_tolerance(folder: Path) -> None:
    model = Model(folder)
    error = max(probe.error or 0 for probe in model.verify().probes)
    assert error > 0
    for factor, passed in ((1.01, True), (0.99, False)):

        def change(data: dict[str, Any], tolerance: float = error * factor) -> None:
            for probe in data["certificate"]["probes"]:
                probe["tolerance"] = tolerance
                probe["rounding_error"] = tolerance / data["certificate"]["tolerance_factor"]

        seal(folder, change)
        assert zoo_runtime.verify(folder).passed is passed


NODES = {
    "not finite": [helper.make_node("Log", ["y"], ["logits"])],
    "float64": [helper.make_node("Cast", ["y"], ["logits"], to=TensorProto.DOUBLE)],
    "(3, 1, 4)": [
        helper.make_node("Constant", [], ["axes"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["y", "axes"], ["logits"]),
    ],
    "could not run": [
        helper.make_node("Constant", [], ["shape"], value_ints=[1, 4]),
        helper.make_node("Reshape", ["y", "shape"], ["logits"]),
    ],
}


@pytest.mark.parametrize("word", NODES)
def test_an_output_of_another_form_fails_its_probe(folder: Path, word: str) -> None:
    output = TensorProto.DOUBLE if word == "float64" else TensorProto.FLOAT
    (folder / "model.onnx").write_bytes(graph(nodes=NODES[word], output=output))
    seal(folder)
    report = zoo_runtime.verify(folder)
    assert not report.passed and not report.probes[1].passed
    assert report.probes[1].error is None and word in report.probes[1].reason and word in report.summary
    explained(shell(folder, "--verify"), 3, "batch-3", word)
    data = json.loads(shell(folder, "--verify", "--json").stdout)
    assert data["passed"] is False and data["probes"][1]["error"] is None


def test_an_output_of_another_name_fails(folder: Path) -> None:
    model = onnx.load_from_string(graph())
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    seal(folder)
    report = zoo_runtime.verify(folder)
    assert not report.passed and "logits" in report.probes[0].reason


def test_an_exact_zero_may_have_no_rounding_error(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(graph(WEIGHTS * 0))
    with np.load(folder / "golden.npz") as golden:
        arrays = {key: golden[key] * (0 if key.endswith("truth") else 1) for key in golden.files}
    np.savez(folder / "golden.npz", **arrays)

    def change(data: dict[str, Any]) -> None:
        for probe in data["certificate"]["probes"]:
            probe.update(rounding_error=0.0, tolerance=0.0, peak=0.0)

    seal(folder, change)
    assert zoo_runtime.verify(folder).passed
    (folder / "model.onnx").write_bytes(graph(WEIGHTS * 1e-6))
    seal(folder, change)
    assert not zoo_runtime.verify(folder).passed


def test_nothing_compared_is_no_success(folder: Path) -> None:
    seal(folder, lambda data: data["certificate"].update(probes=[]))
    explained(shell(folder, "--verify"), 3, "manifest.json", "no probe")
    assert not zoo_runtime.Report("x", "model.onnx", (), 20.0, ()).passed


def test_a_precision_with_rules_of_its_own_is_left_to_zoo(folder: Path) -> None:
    seal(folder, lambda data: data.update(precision="int8"))
    explained(shell(folder, "--verify"), 1, "int8", "zoo verify")


def test_reloaded_model_is_not_used_for_another_export(folder: Path) -> None:
    model = Model(folder)
    seal(folder, lambda data: data.update(card={}))
    refused(Difference, model.verify, "manifest.json")


def test_without_an_onnx_artifact_the_files_are_still_checked(folder: Path, picture: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        (folder / "model.onnx").rename(folder / "model.torchscript")
        data["artifacts"] = {"torchscript": {"files": {"model": "model.torchscript"}, "format": "zoo-kit:torchscript"}}
        data["files"]["model.torchscript"] = data["files"].pop("model.onnx")

    seal(folder, change)
    explained(shell(folder, "--verify"), 1, "no ONNX artifact", "zoo verify")
    explained(shell(folder, picture), 1, "no ONNX artifact")
    (folder / "model.torchscript").write_bytes(b"another")
    explained(shell(folder, "--verify"), 3, "model.torchscript")


def golden(folder: Path, content: bytes | None = None, **arrays: Any) -> None:
    """Replace golden.npz by `content`, or some of its arrays by others, and describe it as it now is."""
    if content is None:
        with np.load(folder / "golden.npz") as old:
            np.savez(folder / "golden.npz", **{**{key: old[key] for key in old.files}, **arrays})
    else:
        (folder / "golden.npz").write_bytes(content)
    seal(folder)


class Hostile:
    def __reduce__(self) -> Any:
        return (Path("unpickled").touch, ())


def test_golden_is_never_unpickled(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    golden(folder, pickle.dumps(Hostile()))
    explained(shell(folder, "--verify"), 3, "golden.npz")
    refused(Difference, lambda: zoo_runtime.verify(folder), "golden.npz", "batch-1")
    objects: dict[str, Any] = {"batch-1.input": np.array([Hostile()], object)}
    np.savez(tmp_path / "objects.npz", **objects)
    golden(folder, (tmp_path / "objects.npz").read_bytes())
    refused(Difference, lambda: zoo_runtime.verify(folder), "golden.npz", "batch-1")
    assert not list(tmp_path.rglob("unpickled"))


def test_golden_that_does_not_hold_the_probes_is_refused(folder: Path, original: Path) -> None:
    contents = [b"", b"PK\x03\x04", b"\x93NUMPY", (original / "golden.npz").read_bytes()[:-30]]
    truth = np.zeros((1, 4))
    arrays: list[dict[str, Any]] = [
        {"batch-1.truth": truth.astype(np.float32)},
        {"batch-1.truth": truth[:, :1]},
        {"batch-1.truth": truth[0, 0]},
        {"batch-1.truth": truth * np.nan},
        {"batch-1.input": np.zeros((2, 1, 6, 5), np.float32)},
        {"batch-1.input": np.zeros((1, 1, 6, 5))},
        {"batch-1.input": np.float32(0)},
    ]
    for content in contents:
        golden(folder, content)
        refused(Difference, lambda: zoo_runtime.verify(folder), "golden.npz", "batch-1")
    for change in arrays:
        golden(folder, (original / "golden.npz").read_bytes())
        golden(folder, **change)
        refused(Difference, lambda: zoo_runtime.verify(folder), "golden.npz", "batch-1")


# the manifest


def entry(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda data: data["files"].update({name: {"sha256": "0" * 64, "bytes": 1}})


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "../secret": entry("../secret"),
    "/etc/passwd": entry("/etc/passwd"),
    "C:secret": entry("C:secret"),
    "..\\\\secret": entry("..\\secret"),
    "''": entry(""),
    "'..'": entry(".."),
    "\\x1b": entry("\x1b[2J"),
    "'../model.onnx'": lambda data: data["artifacts"]["onnx"]["files"].update(model="../model.onnx"),
    "'README'": lambda data: data["artifacts"]["onnx"]["files"].update(model="README"),
    "golden.npz": lambda data: data["files"].pop("golden.npz"),
    "README.md": lambda data: data["files"]["README.md"].update(bytes="1"),
    "sha256": lambda data: data["files"]["README.md"].pop("sha256"),
    "no 'versions'": lambda data: data.pop("versions"),
    "no 'card'": lambda data: data.pop("card"),
    "no 'certificate'": lambda data: data.pop("certificate"),
    "labels do": lambda data: data["labels"].pop(),
    "labels": lambda data: data.update(labels=[1, 2, 3, 4]),
    "name": lambda data: data.update(name=None),
    "format": lambda data: data.update(format="1"),
    "input or output": lambda data: data["input"].update(shape=[1, 2]),
    "input": lambda data: data["input"].update(dtype="int8"),
    "not what was written": lambda data: data.update(input=[]),
    "preprocess": lambda data: data["preprocess"].update(std=[0]),
    "preprocess is": lambda data: data["preprocess"].update(size=[6.0, 5]),
    "malformed": lambda data: data["preprocess"].update(shorter_side=1),
    "manifest": lambda data: data["preprocess"].update(mean=["0.3"]),
    "preprocess is m": lambda data: data["preprocess"].update(interpolation="LANCZOS"),
    "certificate": lambda data: data["certificate"].update(tolerance_factor=0),
    "probe": lambda data: data["certificate"]["probes"][0].update(n=0),
    "a probe": lambda data: data["certificate"]["probes"][0].update(tolerance=-1.0),
    "a probe is": lambda data: data["certificate"]["probes"][0].update(rounding_error=10**400),
    "manifest.json is not": lambda data: data["certificate"]["probes"][0].update(rounding_error="0"),
    "'int' and 'list'": lambda data: data["certificate"].update(tolerance_factor=[]),
}


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_manifest_with_a_valid_digest_is_refused(folder: Path, word: str) -> None:
    seal(folder, HOSTILE[word])
    refused(Difference, lambda: read_manifest(folder), "manifest.json", word)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'"text"',
        b'{"digest": "sha256:0"}',
        b'{"digest": NaN}',
        b'{"format": 1e999, "digest": "x"}',
        b"\xff\xfe{}",
        b'{"name": "\\ud800"}',
        b'{"name": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    refused(Difference, lambda: read_manifest(folder), "manifest.json")


def test_deep_json_is_explained_in_the_shell(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"[" * 100_000)
    explained(shell(folder, "--verify"), 3, "manifest.json")


def test_another_format_is_an_error_and_no_difference(folder: Path) -> None:
    seal(folder, lambda data: data.update(format=1))
    refused(Error, lambda: read_manifest(folder), "format 1", "zoo_runtime.py")


def test_the_digest_is_over_the_canonical_json() -> None:
    text = '{"a":[1,2.5,null,true],"z":"ü"}'
    data = {"z": "ü", "digest": "whatever", "a": [1, 2.5, None, True]}
    assert manifest_digest(data) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_a_folder_that_is_no_export_is_an_error(tmp_path: Path, folder: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", folder / "README.md"):
        refused(Error, lambda path=path: Model(path), str(path), "export folder")  # type: ignore[misc]
    explained(shell(folder, "--verify", "--folder", tmp_path), 1, "export folder")


# preprocessing


@st.composite
def pictures(draw: st.DrawFn) -> Image.Image:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mode = draw(st.sampled_from(["L", "RGB", "RGBA", "LA", "P", "1", "CMYK", "YCbCr", "HSV", "I", "I;16"]))
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), np.uint16))
    if mode == "I":
        wide = Image.fromarray(rng.integers(-1000, 70000, (height, width), np.int32))
        wide.format = draw(st.sampled_from(["PNG", "PPM"]))
        return wide
    bands = rng.integers(0, 256, (height, width, 4), np.uint8)
    return (
        Image.fromarray(bands).convert(mode)
        if mode in ("RGBA", "LA")
        else Image.fromarray(bands[..., :3]).convert(mode)
    )


@st.composite
def preprocesses(draw: st.DrawFn) -> Preprocess:
    size = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    channels = draw(st.sampled_from([1, 3]))
    return Preprocess(
        size=size,
        mean=tuple(draw(st.lists(st.floats(-1, 1), min_size=channels, max_size=channels))),
        std=tuple(draw(st.lists(st.floats(0.05, 2), min_size=channels, max_size=channels))),
        shorter_side=draw(st.none() | st.integers(max(size), 30)),
        interpolation=draw(st.sampled_from(["nearest", "bilinear", "bicubic"])),
    )


@settings(max_examples=300, deadline=None)
@given(pictures(), preprocesses())
def test_an_image_is_prepared_as_in_training(picture: Image.Image, preprocess: Preprocess) -> None:
    told = normalise(torch.from_numpy(fit_image(picture, preprocess))[None], preprocess)[0].numpy()
    data = json.loads(json.dumps(preprocess.to_dict()))
    found = zoo_runtime.prepare_image(picture, data)
    assert found.dtype == np.float32 and found.shape == preprocess.input_shape and found.flags.c_contiguous
    assert found.tobytes() == normalise_array(fit_image(picture, preprocess)[None], preprocess)[0].tobytes()
    largest = 1 + max(map(abs, preprocess.mean))
    np.testing.assert_allclose(found, told, rtol=2e-7, atol=2e-7 * largest / min(preprocess.std))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_refused(folder: Path, dtype: Any) -> None:
    """From 0 to 1 or to 255, as they often are, they would all be black."""
    path = folder.parent / f"{np.dtype(dtype).name}.tiff"
    Image.fromarray(np.full((9, 7), 1, dtype)).save(path)
    refused(Error, lambda: Model(folder).prepare(path), str(path), "have 32 bits")
    with pytest.raises(DataError, match=f"{re.escape(str(path))}.*32"):
        fit_image(open_image(path), PREPROCESS)


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3)])
def test_an_array_is_prepared_as_in_training(folder: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    told = normalise(torch.from_numpy(fit_image(array, PREPROCESS))[None], PREPROCESS)[0].numpy()
    np.testing.assert_allclose(Model(folder).prepare(array), told, rtol=1e-6, atol=1e-6)


def test_what_is_no_image_is_refused(folder: Path, picture: Path, tmp_path: Path) -> None:
    content = picture.read_bytes()
    files = {"empty": b"", "text": b"not an image", "cut": content[: len(content) // 2], "head": content[:8]}
    for name, damaged in files.items():
        (tmp_path / f"{name}.png").write_bytes(damaged)
    images: list[Any] = [
        *(tmp_path / f"{name}.png" for name in files),
        tmp_path,
        tmp_path / "nowhere.png",
        "nul\0.png",
        None,
        7,
    ]
    images += [np.zeros((6, 5), np.float32), np.zeros((6, 5, 4), np.uint8), np.zeros(3, np.uint8)]
    images += [np.zeros((0, 5), np.uint8)]
    model = Model(folder)
    for image in images:
        where = str(image).partition("\0")[0] if isinstance(image, str | Path) else "The image"
        refused(Error, lambda image=image: model.prepare(image), where, "cannot be used")  # type: ignore[misc]


# the shell


def test_prints_the_classes_of_images(folder: Path, picture: Path) -> None:
    done = shell(folder, picture, picture, "--top", "2")
    assert done.returncode == 0 and not done.stderr
    best = Model(folder).predict(picture, top=2)
    lines = [str(picture), *(f"{one.probability:8.2%}  {one.label}" for one in best)]
    assert done.stdout.splitlines() == lines * 2


def test_prints_json(folder: Path, picture: Path) -> None:
    done = shell(folder, "--json", picture, "--folder", folder)
    best = [vars(one) for one in Model(folder).predict(picture)]
    assert json.loads(done.stdout) == [{"image": str(picture), "predictions": best}]
    report = json.loads(shell(folder, "--verify", "--json").stdout)
    told = zoo_runtime.verify(folder)
    assert report == json.loads(json.dumps(told.to_dict())) and report["passed"] and report["summary"] == told.summary


def test_goes_on_after_a_damaged_image_and_reports_it(folder: Path, photos: Path) -> None:
    done = shell(folder, photos, "--top", "1", "--batch-size", "2")
    explained(done, 1, str(photos / "c.png"))
    assert done.stdout.splitlines()[::2] == [str(photos / name) for name in READABLE]
    (photos / "empty").mkdir()
    done = shell(folder, photos / "empty", photos / "nowhere.png", photos / "a.png")
    assert done.returncode == 1 and done.stdout.startswith(str(photos / "a.png"))
    assert len(done.stderr.splitlines()) == 4 and "empty" in done.stderr and "nowhere.png" in done.stderr


def test_takes_patterns(folder: Path, photos: Path) -> None:
    done = shell(folder, photos / "[ab].*", photos / "**" / "e.*", "--top", "1")
    assert done.stdout.splitlines()[::2] == [str(photos / name) for name in ("a.png", "b.JPG", "more/e.png")]
    explained(shell(folder, photos / "nothing*"), 1, "nothing*")
    shutil.copy(photos / "a.png", photos / "[x].png")
    assert shell(folder, photos / "[x].png").stdout.startswith(str(photos / "[x].png"))


def test_prints_a_line_of_json_for_each_image(folder: Path, photos: Path) -> None:
    done = shell(folder, photos, "--json")
    rows = json.loads(done.stdout)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 5 + 2
    assert [len(row["predictions"]) for row in rows] == [4, 4, 0, 4, 4]
    assert ["error" in row for row in rows] == [False, False, True, False, False] and "c.png" in rows[2]["error"]
    (photos / "empty").mkdir()
    assert json.loads(shell(folder, photos / "empty", "--json").stdout) == []


def test_prints_csv(folder: Path, photos: Path) -> None:
    done = shell(folder, photos, "--csv", "--top", "2")
    explained(done, 1, "c.png")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["image"] for row in rows] == [str(photos / name) for name in READABLE for _ in range(2)]
    assert [row["rank"] for row in rows] == ["1", "2"] * 4
    best = Model(folder).predict(photos / "a.png")[0]
    assert (rows[0]["label"], int(rows[0]["index"])) == (best.label, best.index)
    assert float(rows[0]["probability"]) == pytest.approx(best.probability, rel=1e-5)


def test_prints_each_batch_as_it_is_done(folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first image is printed before the second is read."""
    printed: list[str] = []
    seen: list[list[str]] = []
    real = zoo_runtime.prepare_image

    def prepare(image: Any, preprocess: Any) -> Any:
        seen.append(printed.copy())
        return real(image, preprocess)

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            printed.append(text)
            return len(text)

    monkeypatch.setattr(zoo_runtime, "prepare_image", prepare)
    for form in ([], ["--json"], ["--csv"]):
        printed.clear()
        seen.clear()
        monkeypatch.setattr(sys, "stdout", Output())
        paths = [str(photos / name) for name in READABLE[:2]]
        assert zoo_runtime.main([*paths, "--batch-size", "1", "--folder", str(folder), *form]) == 0
        assert "a.png" not in "".join(seen[0]) and "a.png" in "".join(seen[1])


def test_benchmark_in_the_shell(folder: Path) -> None:
    done = shell(folder, "--benchmark", "--batch-size", "3", "--json")
    times = json.loads(done.stdout)
    assert done.returncode == 0 and times["batch_size"] == 3 and times["provider"] == "CPUExecutionProvider"
    assert times["images_per_second"] == pytest.approx(3000 / times["median_ms"], rel=0.05)
    assert "tiny.digits" in shell(folder, "--benchmark").stdout


def test_verifies_in_the_shell(folder: Path) -> None:
    done = shell(folder, "--verify")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"PASS: {zoo_runtime.verify(folder).summary}\n", "")


def test_class_names_cannot_break_the_terminal(folder: Path, picture: Path) -> None:
    seal(folder, lambda data: data.update(labels=["\x1b[2Ja", "b\nc", "ü", "日"]))
    done = shell(folder, picture)
    assert (
        done.returncode == 0
        and "\x1b" not in done.stdout
        and "b c" in done.stdout
        and len(done.stdout.splitlines()) == 5
    )
    assert shell(folder, picture, environment={"PYTHONIOENCODING": "ascii"}).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--top", "0", "a.png"],
        ["--top", "x", "a.png"],
        ["--verify", "a.png"],
        ["-z"],
        ["--batch-size", "0", "a.png"],
        ["--threads", "-1", "a.png"],
        ["--benchmark", "a.png"],
        ["--benchmark", "--verify"],
        ["--csv", "--json", "a.png"],
        ["--csv", "--verify"],
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str]) -> None:
    explained(shell(folder, *arguments), 2, "--help")


def test_help(folder: Path) -> None:
    done = shell(folder, "--help")
    assert done.returncode == 0 and "--verify" in done.stdout


def test_images_that_cannot_be_read_are_explained(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("text")
    explained(shell(folder, tmp_path / "text.png"), 1, "text.png")
    explained(shell(folder, tmp_path / "nowhere.png"), 1, "nowhere.png")


def test_a_graph_that_cannot_be_loaded_is_explained(folder: Path, picture: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\0" * 9)
    explained(shell(folder, picture), 1, "model.onnx", "onnxruntime")


@pytest.mark.parametrize(
    ("module", "command"), [("onnxruntime", "onnxruntime"), ("PIL", "pillow"), ("numpy", "numpy onnxruntime pillow")]
)
def test_a_missing_package_is_named_with_its_install_line(
    folder: Path, picture: Path, module: str, command: str
) -> None:
    explained(shell(folder, picture, without=module), 1, f"next: pip install {command}")
    if module == "PIL":
        assert shell(folder, "--verify", without=module).returncode == 0


def test_a_reader_that_is_gone_is_quiet(folder: Path, picture: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = shell(folder, picture, stdout=write)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_is_explained(folder: Path, picture: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        explained(shell(folder, picture, stdout=full), 1, "could not be written")


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo_runtime, "verify", interrupt)
    assert zoo_runtime.main(["--verify"]) == 130
    assert capsys.readouterr() == ("", "")


# the file itself


def test_imports_only_what_a_deployer_has() -> None:
    tree = ast.parse(RUNTIME.read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {module.partition(".")[0] for module in modules}
    assert tops - set(sys.stdlib_module_names) == {"numpy"}
    code = "import sys, zoo_runtime; sys.exit(bool({'torch', 'zoo', 'onnxruntime', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Of Python 3.10 and later. As names: functions and classes; as keywords: arguments.
NEWER_NAMES = {
    "aiter",
    "anext",
    "file_digest",
    "hardlink_to",
    "pairwise",
    "batched",
    "bit_count",
    "add_note",
    "tomllib",
}
NEWER_NAMES |= {"StrEnum", "ExceptionGroup", "BaseExceptionGroup", "chdir", "aclosing", "UTC", "walk", "readinto1"}
NEWER_NAMES |= {"TypeAlias", "Self", "ParamSpec", "Concatenate", "assert_never", "safe_path", "KW_ONLY"}
NEWER_NAMES |= {"stdlib_module_names", "orig_argv", "EncodingWarning", "get_annotations", "UnionType", "NoneType"}
NEWER_KEYWORDS = {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only"), ("glob", "root_dir")}
NEWER_KEYWORDS |= {("is_file", "follow_symlinks"), ("exists", "follow_symlinks"), ("rglob", "case_sensitive")}


def newer_than_python_3_9(source: str) -> list[str]:
    """What in a source needs a later Python."""
    try:
        tree = ast.parse(source, feature_version=(3, 9))
    except SyntaxError as error:
        return [str(error)]
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(part, ast.AST)
        for inner in ast.walk(part)
    }
    postponed = "from __future__ import annotations" in source
    newer = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            newer += [name] if name in NEWER_NAMES else []
        elif isinstance(node, ast.alias):
            newer += [node.name] if set(node.name.split(".")) & NEWER_NAMES else []
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            newer += [f"{called}({word.arg}=)" for word in node.keywords if (called, word.arg) in NEWER_KEYWORDS]
        elif (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.BitOr)
            and not (postponed and id(node) in annotations)
        ):
            types = (ast.Name, ast.Attribute, ast.Subscript)
            named = isinstance(node.left, types) and isinstance(node.right, types)
            none = any(isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right))
            newer += [ast.unparse(node)] if named or none else []
    return newer


def test_runs_on_python_3_9() -> None:
    assert newer_than_python_3_9(RUNTIME.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "match x:\n    case 1: pass",
        "try: pass\nexcept* ValueError: pass",
        "type X = int",
        "def f(x: int | None): pass",
        "isinstance(x, str | os.PathLike)",
        "from __future__ import annotations\nX = int | None",
        "zip(a, b, strict=True)",
        "hashlib.file_digest(file, 'sha256')",
        "@dataclass(slots=True)\nclass A: pass",
        "from itertools import pairwise",
        "sys.flags.safe_path",
    ],
)
def test_what_needs_a_later_python_would_be_noticed(source: str) -> None:
    assert newer_than_python_3_9(source)


def test_the_copy_in_the_folder_can_be_imported(folder: Path, picture: Path) -> None:
    code = f"from zoo_runtime import Model; print(Model('.').predict({str(picture)!r})[0].label)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == Model(folder).predict(picture)[0].label
