"""What an artifact of unknown origin can do to the process that opens it: nothing, but fail with a sentence."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import zoo_runtime
from zoo.api.exporting import export
from zoo.api.loading import load
from zoo.containment import process
from zoo.containment.errors import ContainmentError
from zoo.containment.limits import MEMORY, SECONDS
from zoo.containment.protocol import Decoder, InvalidFrame, encode
from zoo.contract.errors import DifferenceError, ExportError, UsageError
from zoo.contract.exporting.artifact import Paths
from zoo_export.containment.artifact import ContainedArtifact
from zoo_export.verify import verify_folder

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "fixtures" / "release_0_1_0" / "exports" / "lenet5.old"
SEVEN = ROOT / "examples" / "seven.png"
MODEL = "lenet5.digits"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the system has no such restrictions")


@pytest.fixture
def contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ContainedArtifact]]:
    """An artifact whose runner is one of the functions of `hostile_runners.py`."""
    (tmp_path / "model.artifact").touch()
    monkeypatch.syspath_prepend(Path(__file__).parent)
    opened: list[ContainedArtifact] = []

    def make(name: str, seconds: float = 20, memory: float = 1, reads: Sequence[str] = ()) -> ContainedArtifact:
        monkeypatch.setenv(SECONDS, str(seconds))
        monkeypatch.setenv(MEMORY, str(memory))
        paths = Paths({"model": tmp_path / "model.artifact"})
        opened.append(ContainedArtifact(f"hostile_runners:{name}", "hostile", "zoo-hostile", paths, reads=reads))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def run_once(artifact: ContainedArtifact, n: int = 1) -> Any:
    (run,) = artifact.load().values()
    return run(np.zeros((n, 1, 2, 2), np.float32))


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def is_gone(pid: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("killed", "SIGKILL"),
        ("crash", "SIGSEGV"),
        ("leaves", "exit code 7"),
        ("closes", "closed its pipe"),
        ("fills", MEMORY),
        ("garbage", "no answer"),
        ("forges", "larger than any logits"),
    ],
)
def test_a_child_that_fails_is_explained(contained, name: str, named: str) -> None:
    artifact = contained(name)
    with pytest.raises(ContainmentError) as caught:
        run_once(artifact)
    assert caught.value.exit_code == 1
    assert named in caught.value.cause + caught.value.next_step and "model.artifact" in caught.value.cause
    assert "--trust" in caught.value.next_step and len(caught.value.cause) < 400


@pytest.mark.parametrize("name", ["sleeps", "spins"])
def test_an_endless_run_ends_at_the_time_limit(contained, name: str) -> None:
    began = time.monotonic()
    artifact = contained(name, seconds=3)
    with pytest.raises(ContainmentError, match="3 s") as caught:
        run_once(artifact)
    assert SECONDS in caught.value.next_step and time.monotonic() - began < 15
    with pytest.raises(ContainmentError, match="3 s"):  # and it is not started again
        run_once(artifact)


@pytest.mark.parametrize(("name", "named"), [("read_forever", SECONDS), ("read_too_much", MEMORY)])
def test_reading_a_file_is_tried_within_the_limits(contained, name: str, named: str) -> None:
    contained("pid", reads=["hostile_runners:read_nothing"]).read()  # its reader says what is wrong with the file
    with pytest.raises(ContainmentError) as caught:
        contained("pid", seconds=3, reads=[f"hostile_runners:{name}"]).read()
    assert named in caught.value.next_step


@LINUX
def test_a_child_killed_from_outside_is_noticed(contained) -> None:
    artifact = contained("pid")
    (run,) = artifact.load().values()
    pid = int(run(np.zeros((1, 1, 2, 2), np.float32))[0, 0])
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ContainmentError, match="SIGKILL"):
        run(np.zeros((1, 1, 2, 2), np.float32))


@LINUX
def test_a_child_ends_when_it_is_closed_or_collected(contained) -> None:
    artifact = contained("pid")
    pid = int(run_once(artifact)[0, 0])
    artifact.close()
    assert is_gone(pid)
    with pytest.raises(ContainmentError):
        artifact.load()


def test_a_gigabyte_of_print_is_neither_shown_nor_kept(contained, capfd) -> None:
    artifact = contained("prints", seconds=60)
    tracemalloc.start()
    run_once(artifact)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert capfd.readouterr() == ("", "")
    assert peak < 20e6 and len(artifact._process._output) <= process.KEPT_OUTPUT


def test_an_error_of_a_runner_is_short_and_printable(contained) -> None:
    with pytest.raises(ExportError) as caught:
        run_once(contained("raises"))
    assert not isinstance(caught.value, ContainmentError)
    assert "ValueError" in caught.value.cause and caught.value.cause.isprintable() and len(caught.value.cause) < 600


@LINUX
@pytest.mark.parametrize("name", ["writes", "changes", "removes", "connects", "forks", "executes", "descriptors"])
def test_a_child_is_refused_what_it_does_not_need(contained, tmp_path: Path, name: str) -> None:
    assert run_once(contained(name))[0, 0] == 1
    assert (tmp_path / "model.artifact").exists() and not (tmp_path / "written").exists()


def test_a_child_has_no_secrets_of_the_environment(contained, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_TEST_SECRET", "x")
    assert run_once(contained("environment"))[0, 0] == 0


def test_doctor_says_which_limits_are_in_force(run_zoo) -> None:
    limits = json.loads(run_zoo("doctor", "--json").out)["limits_on_artifacts"]
    assert limits.keys() == {"memory", "processor time", "no writing of files", "no network", "no other programs"}
    assert all(limits.values())


def test_what_a_runner_returns_is_judged_not_believed(contained) -> None:
    assert run_once(contained("double")).dtype == np.float64
    with pytest.raises(ExportError, match="str"):
        run_once(contained("words"))
    with pytest.raises(ContainmentError, match="larger"):
        run_once(contained("wide"))


@pytest.mark.parametrize("value", ["0", "-1", "nan", "x", "1e99"])
def test_a_malformed_limit_is_wrong_usage(contained, monkeypatch, value: str) -> None:
    for name in (SECONDS, MEMORY):
        with pytest.raises(UsageError, match=name), monkeypatch.context() as patch:
            contained("pid")
            patch.setenv(name, value)
            ContainedArtifact("hostile_runners:pid", "hostile", "zoo-hostile", Paths({"model": OLD / "model.onnx"}))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x03{x}",
        b"\x00\x00\xea\x60" + b"[" * 60_000,
        *(
            len(text).to_bytes(4, "big") + text
            for array in (
                1,
                {},
                {"dtype": "object", "shape": [1]},
                {"dtype": "float32", "shape": 3},
                {"dtype": "float32", "shape": [-1]},
                {"dtype": "float32", "shape": [1.5]},
                {"dtype": "float32", "shape": [True]},
                {"dtype": "float32", "shape": [2**70]},
                {"dtype": "float32", "shape": [1] * 99},
                {"dtype": "float32", "shape": [2**20, 2**20]},
                {"dtype": ["float32"], "shape": [1]},
            )
            for text in [json.dumps({"array": array}).encode()]
        ),
    ],
)
def test_a_malformed_frame_is_refused_before_memory_is_taken(data: bytes) -> None:
    with pytest.raises(InvalidFrame):
        decode(data)


def test_frames_of_random_bytes_are_refused_or_read() -> None:
    rng = random.Random(0)
    good = b"".join(encode({"runners": ["a"]}, np.arange(6, dtype=np.float32).reshape(2, 3)))
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            decode(bytes(data))
        except InvalidFrame:
            continue
    header, array = decode(good)
    assert header == {"runners": ["a"]} and array is not None and array.tolist() == [[0, 1, 2], [3, 4, 5]]


def decode(data: bytes) -> Any:
    decoder, source = Decoder(2**20), BytesIO(data)
    while decoder.frame is None and (count := source.readinto(decoder.space)):
        decoder.advance(count)
    return decoder.frame or ({}, None)


def endless_onnx() -> onnx.ModelProto:
    """A Loop whose condition is always true, on the way from the images to the logits."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["after"]), helper.make_node("Add", ["value", "value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("before", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("after", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    return classifier(
        [
            helper.make_node("Constant", [], ["true"], value=helper.make_tensor("t", TensorProto.BOOL, [], [True])),
            helper.make_node("Loop", ["", "true", "features"], ["looped"], body=body),
        ],
        "looped",
    )


def huge_onnx() -> onnx.ModelProto:
    """100 GB of ones, whose number depends on the images, so that no optimization computes it beforehand."""
    size = helper.make_tensor("s", TensorProto.INT64, [1], [25_000_000_000])
    return classifier(
        [
            helper.make_node("Constant", [], ["number"], value=size),
            helper.make_node("ConstantOfShape", ["number"], ["ones"]),
            helper.make_node("ReduceSum", ["ones"], ["total"], keepdims=0),
            helper.make_node("Add", ["features", "total"], ["sum"]),
        ],
        "sum",
    )


def classifier(nodes: list[onnx.NodeProto], result: str) -> onnx.ModelProto:
    """`nodes` between `features`, `[N, 10]` of the first pixels, and the logits."""

    def number(name: str, value: int) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [1], [value]))

    graph = helper.make_graph(
        [
            number("zero", 0),
            number("ten", 10),
            number("one", 1),
            helper.make_node("Flatten", ["input"], ["flat"]),
            helper.make_node("Slice", ["flat", "zero", "ten", "one"], ["features"]),
            *nodes,
            helper.make_node("Identity", [result], ["logits"]),
        ],
        "hostile",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def folder_with(place: Path, name: str, content: bytes, source: Path = OLD) -> Path:
    """A copy of an export folder in which one file has another content, under right hashes."""
    shutil.copytree(source, place)
    (place / name).write_bytes(content)
    manifest = json.loads((place / "manifest.json").read_text("utf-8"))
    digest = hashlib.sha256(content).hexdigest()
    manifest["files"][name] = {"sha256": digest, "bytes": len(content)}
    for artifact in manifest["certificate"]["artifacts"].values():
        if name in artifact["sha256"]:
            artifact["sha256"][name] = digest
    manifest["digest"] = zoo_runtime.manifest_digest(manifest)
    (place / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    return place


@pytest.mark.parametrize(("make", "named"), [(endless_onnx, SECONDS), (huge_onnx, MEMORY)])
def test_a_hostile_onnx_file_ends_with_a_sentence(
    run_zoo, tmp_path, monkeypatch, make: Callable[[], onnx.ModelProto], named: str
) -> None:
    monkeypatch.setenv(SECONDS, "4")
    folder = folder_with(tmp_path / "made", "model.onnx", make().SerializeToString())
    for arguments in (
        ("predict", str(folder), str(SEVEN)),
        ("verify", str(folder), "-f", "onnx"),
        ("verify", str(folder / "model.onnx"), "--against", MODEL),
        ("evaluate", str(folder), "--data", "digits"),
    ):
        ran = run_zoo(*arguments)
        assert (ran.code, ran.out) == (1, ""), (arguments, ran)
        error, step = ran.err.splitlines()[-2:]  # messages may come before
        assert named in step and error.startswith("error: ") and "Traceback" not in ran.err, (arguments, ran.err)


class Forever(torch.nn.Module):
    """Loops that each have a bound, as the gate of the format demands, and together as good as none."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        for _ in range(90_000):
            for _ in range(90_000):
                images = images * 1.0
        return images.flatten(1)[:, :10]


def test_an_endless_torchscript_file_ends_with_a_sentence(tmp_path, monkeypatch, capfd) -> None:
    path = tmp_path / "model.torchscript"
    torch.jit.save(torch.jit.script(Forever()), path)
    monkeypatch.setenv(SECONDS, "60")
    artifact = ContainedArtifact(
        "zoo_export.formats.torchscript.format:runner", "torchscript", "zoo-kit", Paths({"model": path})
    )
    try:
        (run,) = artifact.load().values()
        artifact._limits = type(artifact._limits)(0, 3.0)
        with pytest.raises(ContainmentError, match="3 s"):
            run(np.zeros((1, 1, 32, 32), np.float32))
    finally:
        artifact.close()
    assert capfd.readouterr() == ("", "")


def descendants(pid: int) -> set[int]:
    """The processes that `pid` has started, and those that these have started."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(status.read_text().rpartition(")")[2].split()[1]), []).append(
                int(status.parent.name)
            )
        except OSError:
            continue
    below, left = set[int](), [pid]
    while left:
        children = parents.get(left.pop(), [])
        below.update(children)
        left += children
    return below


@LINUX
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_child_outlives_the_process_that_started_it(tmp_path, number: int, code: int) -> None:
    folder = folder_with(tmp_path / "made", "model.onnx", endless_onnx().SerializeToString())
    command = [sys.executable, "-m", "zoo", "predict", str(folder), str(SEVEN)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        until, below = time.monotonic() + 60, set[int]()
        while time.monotonic() < until and not (len(below) == 2 and all(map(has_computed, below))):
            time.sleep(0.1)
            below = descendants(running.pid)  # the one that forks, and the one that runs the file
        assert len(below) == 2
        running.send_signal(number)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == code and "Traceback" not in errors
    assert all(is_gone(pid) for pid in below)


# Starts to load a file, and waits to be killed.
KILLED = """
import sys, threading, time
from pathlib import Path
from zoo.containment import forking
from zoo.contract.exporting.artifact import Paths
from zoo_export.containment.artifact import ContainedArtifact
sys.path.insert(0, str(Path("tests/attacks").absolute()))
paths = Paths({"model": Path("pyproject.toml")})
made = ContainedArtifact("hostile_runners:keeps_the_lock", "hostile", "zoo-hostile", paths)
print(forking._servers[0].process.pid, flush=True)
threading.Thread(target=made.load, daemon=True).start()
time.sleep(1000)
"""


@LINUX
def test_no_child_that_loads_outlives_its_parent() -> None:
    """The child keeps Python's lock, as libraries do, so that none of its threads could see that the parent ended."""
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        until, below = time.monotonic() + 60, set[int]()
        while not any(has_computed(pid, 2) for pid in below) and time.monotonic() < until:
            time.sleep(0.1)
            below = descendants(server)
        assert any(has_computed(pid, 2) for pid in below)
        parent.kill()
    assert all(is_gone(pid) for pid in (*below, server))


def has_computed(pid: int, seconds: float = 0.2) -> bool:
    """Whether a process has computed for that long; after its fork, that is."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    except OSError:
        return False
    return ticks > seconds * os.sysconf("SC_CLK_TCK")


def refuse(*arguments: Any) -> None:
    raise AssertionError("a child was started")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder with ONNX alone, made while no child can be started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "fork_child", refuse)
        return export(MODEL, tmp_path_factory.mktemp("exported") / "out", formats=["onnx"]).path


def test_an_export_starts_no_child_nor_does_trust(run_zoo, exported, monkeypatch) -> None:
    monkeypatch.setattr(process, "fork_child", refuse)
    out = exported
    assert run_zoo("verify", str(out), "--trust").code == 0
    assert run_zoo("verify", str(out / "model.onnx"), "--against", MODEL, "--trust").code == 0
    assert run_zoo("predict", str(out), str(SEVEN), "--trust").code == 0
    assert load(out, trust=True).predict(SEVEN, top=1)
    with pytest.raises(AssertionError, match="child"):
        load(out)


def test_a_loaded_artifact_predicts_as_in_this_process(exported) -> None:
    assert load(exported).predict(SEVEN) == load(exported, trust=True).predict(SEVEN)


def bomb(sound: Path, place: Path) -> None:
    """A golden.npz of 64 KB with an array that is declared to have 12.8 GB, and has 64 MB."""
    declared = BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (2, 1, 40_000, 40_000)}
    np.lib.format.write_array_header_1_0(declared, header)
    with zipfile.ZipFile(sound) as kept, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in kept.namelist():
            big = name == "noise-2.input.npy"
            archive.writestr(name, declared.getvalue() + bytes(64 << 20) if big else kept.read(name))


def test_a_golden_file_that_unpacks_to_more_is_refused(registry, exported, tmp_path) -> None:
    bomb(exported / "golden.npz", tmp_path / "golden.npz")
    folder = folder_with(tmp_path / "made", "golden.npz", (tmp_path / "golden.npz").read_bytes(), exported)
    tracemalloc.start()
    with pytest.raises(DifferenceError, match=r"golden\.npz"):
        verify_folder(registry, folder, trust=True)
    with pytest.raises(zoo_runtime.Difference, match=r"golden\.npz"):
        zoo_runtime.verify(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
