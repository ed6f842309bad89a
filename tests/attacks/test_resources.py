"""Numbers out of range, and limits of the machine: a sentence that names it, and exit code 1 or 2."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zoo.contract.callback import Callback
from zoo.contract.errors import (
    DataError,
    DeviceError,
    ExportError,
    PluginError,
    UsageError,
    ZooError,
    is_out_of_memory,
    limit_error,
    lost_worker,
)
from zoo.contract.evidence import Probe
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import read_item
from zoo.data.images import open_image
from zoo.data.reader import Reader
from zoo.models.forward import explain_model_errors
from zoo.training.distributed.rendezvous import ENVIRONMENT, from_environment
from zoo.training.recipe.recipe import FIELDS, Recipe
from zoo_export.truth.reference import make_references

Run = Callable[..., Any]
Refused = Callable[..., str]
Start = Callable[..., "subprocess.Popen[str]"]
TRAIN = ("train", "lenet5", "--data", "digits", "--epochs", "1", "-b", "256", "--device", "cpu")
WAIT = 300  # seconds, for a slow machine
CPU = torch.device("cpu")
HUGE = 10**400
NUMBERS = [name for name, declaration in FIELDS.items() if declaration.type in (int, float)]
NO_MEMORY = (
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("std::bad_alloc"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
)
KILLED = RuntimeError("DataLoader worker (pid 71) is killed by signal: Killed. ")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "1e308", str(HUGE)])
def test_numbers_on_the_command_line(run_zoo: Run, refused: Refused, here: Path, name: str, value: str) -> None:
    if name in ("lr", "weight_decay", "clip_grad") and value == "1e308":
        pytest.skip("is a number that diverges")
    refused(run_zoo(*TRAIN, FIELDS[name].flag, value), 2)
    assert not list(here.iterdir())


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e308", str(HUGE), "'1'", "true", "[1]", "1979-05-27"])
def test_numbers_in_a_recipe_file(run_zoo: Run, refused: Refused, here: Path, name: str, value: str) -> None:
    if name in ("lr", "weight_decay", "clip_grad") and value == "1e308":
        pytest.skip("is a number that diverges")
    (here / "a.toml").write_text(f'architecture = "lenet5"\ndata = "digits"\n{name} = {value}\n')
    assert name in refused(run_zoo("train", "--recipe", "a.toml", "--device", "cpu"), 2)
    assert [path.name for path in here.iterdir()] == ["a.toml"]


@pytest.mark.parametrize("opt", ["adamw", "sgd", "muon"])
def test_integers_do_where_floats_are_meant(run_zoo: Run, here: Path, opt: str) -> None:
    lines = ("momentum = 0", "weight_decay = 0", "lr = 1", "warmup_epochs = 1", "clip_grad = 1", "epochs = 1")
    text = "\n".join(('architecture = "resnet20"' if opt == "muon" else 'architecture = "lenet5"', *lines))
    (here / "a.toml").write_text(f'{text}\ndata = "digits"\nopt = "{opt}"\nbatch_size = 700\n')
    ran = run_zoo("train", "--recipe", "a.toml", "--device", "cpu")
    assert ran.code in (0, 1) and "Traceback" not in ran.err, ran.err
    assert ran.code == 0 or "--lr" in ran.err
    recipe = Recipe(architecture="a", data="b", momentum=0, lr=1, warmup_epochs=2)
    assert [type(value) for value in (recipe.momentum, recipe.lr, recipe.warmup_epochs)] == [float] * 3


@pytest.mark.parametrize("flag", ["--lr", "--weight-decay", "--clip-grad"])
def test_huge_numbers_are_refused_or_diverge(run_zoo: Run, refused: Refused, here: Path, flag: str) -> None:
    assert flag in refused(run_zoo(*TRAIN, flag, "1e308"), 2)
    ran = run_zoo(*TRAIN, flag, "1e38")
    if ran.code:
        assert "--lr" in refused(ran, 1)


@pytest.mark.parametrize("value", ["nan", "inf", "1e999"])
@pytest.mark.parametrize("flags", [("--smoothing",), ("--loss", "focal", "--loss-param", "gamma=")])
def test_parameters_must_be_finite(run_zoo: Run, refused: Refused, here: Path, value: str, flags: Any) -> None:
    words = (*flags, value) if len(flags) == 1 else (*flags[:-1], flags[-1] + value)
    refused(run_zoo(*TRAIN, *words), 2)
    assert not list(here.iterdir())


def test_more_workers_than_a_machine_has_are_refused(run_zoo: Run, refused: Refused, here: Path) -> None:
    refused(run_zoo(*TRAIN, "-j", "1000000000"), 2)


@pytest.mark.parametrize("variable", ["ZOO_WEIGHTS", "ZOO_DATA", "ZOO_CACHE"])
@pytest.mark.parametrize("length", [300, 5000])
def test_over_long_variables(
    run_zoo: Run, here: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, variable: str, length: int
) -> None:
    monkeypatch.setenv(variable, "x" * length)
    for words in (("weights", "list"), ("train", "lenet5", "--data", "folder", "--epochs", "1"), ("show", "lenet5")):
        ran = run_zoo(*words)
        assert ran.code in (0, 1, 2) and "Traceback" not in ran.err, ran.err
        assert ran.code == 0 or "ZOO_" in ran.err or "data root" in ran.err
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORLD_SIZE", str(10**12)),
        ("WORLD_SIZE", "-1"),
        ("WORLD_SIZE", "two"),
        ("WORLD_SIZE", ""),
        ("WORLD_SIZE", "1e3"),
        ("RANK", "-1"),
        ("RANK", "7"),
        ("RANK", "nan"),
        ("LOCAL_RANK", "9"),
        ("LOCAL_WORLD_SIZE", "0"),
        ("MASTER_PORT", "http"),
        ("MASTER_PORT", "99999999"),
        ("MASTER_PORT", "-1"),
    ],
)
def test_environment_of_a_rank(
    run_zoo: Run, refused: Refused, here: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for variable, good in zip(ENVIRONMENT, ("0", "2", "127.0.0.1", "29555"), strict=True):
        monkeypatch.setenv(variable, good)
    assert from_environment().world_size == 2
    monkeypatch.setenv(name, value)
    refused(run_zoo(*TRAIN), 2)
    assert not list(here.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "codes"),
    [("ulimit -v 200000", {1}), ("ulimit -v 1000000", {1}), ("ulimit -n 8", {0, 1}), ("ulimit -f 0", {1})],
)
def test_limits_of_the_shell(start_zoo: Start, here: Path, limit: str, codes: set[int]) -> None:
    process = start_zoo(*TRAIN, before=f"{limit}; ulimit -c 0")
    err = process.communicate(timeout=WAIT)[1]
    assert process.returncode in codes, (process.returncode, err)
    assert "Traceback" not in err
    if process.returncode:
        assert err.splitlines()[-2].startswith("error: ") and not list(here.glob("weights/*"))


@pytest.mark.slow
def test_without_a_home(here: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "ZOO_CACHE", "ZOO_DATA")}
    code = "from zoo.cli.main import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code, *TRAIN], env=kept, capture_output=True, text=True, cwd=here, timeout=WAIT
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: str(error)[:20])
def test_memory_that_ran_out_is_not_the_fault_of_an_image(
    error: Exception, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Greedy:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> tuple[Any, int]:
            raise error

    assert is_out_of_memory(error) and not is_out_of_memory(RuntimeError("shapes differ"))
    with pytest.raises(DeviceError, match="out of memory"):
        read_item(Greedy(), 0)
    preprocess = Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,))
    with pytest.raises(DeviceError, match="out of memory"):
        list(Reader(Greedy(), preprocess, 0).batches(torch.arange(1), 1))
    with pytest.raises(DeviceError, match="out of memory"), explain_model_errors(CPU):
        raise error
    monkeypatch.setattr("PIL.Image.Image.load", lambda self: (_ for _ in ()).throw(error))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: (_ for _ in ()).throw(error))
    with pytest.raises(DeviceError, match=r"out of memory.*0\.png"):
        open_image(pictures / "red" / "0.png")


# In a process of its own: PyTorch raises the error wherever the main thread happens to be, in pytest itself if need be.
KILLING = """
import os, signal
import numpy as np, torch
from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data.reader import Reader

class Killing:
    labels = tuple(range(2)) * 20
    def __len__(self):
        return len(self.labels)
    def __getitem__(self, index):
        if index == 30:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory runs out
        return np.zeros((8, 8), np.uint8), index % 2

try:
    list(Reader(Killing(), Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,)), 1).batches(torch.arange(40), 4))
except DataError as error:
    print(error)
"""


def test_killed_worker_is_not_the_fault_of_the_model() -> None:
    for error in (KILLED, PluginError("a", "b").with_traceback(None)):
        if error is not KILLED:
            error.__cause__ = KILLED
        assert isinstance(lost_worker(error), DataError)
    with pytest.raises(DataError, match="71"), explain_model_errors(CPU):
        raise KILLED
    assert lost_worker(RuntimeError("the model's own")) is None


def test_killed_worker_is_named() -> None:
    done = subprocess.run([sys.executable, "-c", KILLING], capture_output=True, text=True, timeout=120)
    assert "killed" in done.stdout, done.stderr


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError(), FileNotFoundError()])
def test_worker_that_died_with_a_batch_is_named(error: Exception) -> None:
    def batches() -> Iterator[Any]:
        raise error
        yield

    reader = Reader([(np.zeros((8, 8), np.uint8), 0)], Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,)), 0)
    reader._loader = batches()
    with pytest.raises(DataError, match="killed"):
        list(reader.batches(torch.arange(1), 1))


def test_worker_death_during_another_error_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> Iterator[Any]:
        raise EOFError
        yield

    def close() -> None:
        raise KILLED  # PyTorch's handler of SIGCHLD raises it anywhere

    reader = Reader([(np.zeros((8, 8), np.uint8), 0)], Preprocess(size=(8, 8), mean=(0.5,), std=(0.5,)), 0)
    reader._loader = batches()
    monkeypatch.setattr(reader, "close", close)
    with pytest.raises(DataError, match="killed"):
        list(reader.batches(torch.arange(1), 1))


def test_bus_errors_are_of_shared_memory() -> None:
    lost = lost_worker(RuntimeError("DataLoader worker (pid 1) is killed by signal: Bus error. It is possible"))
    assert lost is not None and "/dev/shm" in lost.next_step


def test_limits_are_named() -> None:
    for error, word in (
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (ImportError("libx.so: cannot open shared object file: Too many open files"), "ulimit -n"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "y" * 9000), "ZOO_DATA"),
        (MemoryError(), "ulimit -v"),
    ):
        limit = limit_error(error)
        assert isinstance(limit, ZooError) and word in limit.next_step and len(str(limit)) < 300
    assert limit_error(OSError(errno.ENOENT, "No such file")) is None and limit_error(KeyError("x")) is None


class Drawing(nn.Module):
    """A model whose forward draws from a generator, evaluation mode or not."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.source = source

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        import random

        draws: dict[str, Callable[[], float]] = {
            "numpy": lambda: float(np.random.rand()),
            "python": random.random,
            "torch": lambda: float(torch.rand(())),
            "own": lambda: float(np.random.default_rng().random()),
            "none": lambda: 1.0,
        }
        logits: torch.Tensor = self.linear(images.flatten(1)) * (1 + 1e-3 * draws[self.source]())
        return logits


@pytest.mark.parametrize("source", ["numpy", "python", "torch", "own"])
def test_models_that_draw_are_not_exported(source: str) -> None:
    probes = [Probe("noise", np.ones((2, 1, 2, 2), np.float32))]
    make_references(Drawing("none").eval(), probes)
    with pytest.raises(ExportError, match="random numbers"):
        make_references(Drawing(source).eval(), probes)


SITE = """
import numpy as np
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
    def forward(self, images):
        return self.linear(images.flatten(1)) * (1 + np.random.rand())

def build(*, num_classes, in_channels):
    return Net(num_classes)
"""


def test_training_warns_of_a_model_that_draws_and_resumes_it(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its evaluations are the same in a resumed run, which ends in the same bytes."""
    from zoo import Architecture
    from zoo.registry.discovery import Plugin, discover
    from zoo.registry.registry import Registry
    from zoo.training.checkpoint.saver import Saver
    from zoo.training.job import run_job
    from zoo.training.prepare import RunPaths
    from zoo.training.resume import ResumeOverrides, find_run, resume_job

    (tmp_path / "drawing_kit.py").write_text(SITE)
    monkeypatch.syspath_prepend(tmp_path)
    spec = Architecture(name="drawing", summary="s", build="drawing_kit:build", input_shape=(1, 8, 8))
    registry = Registry([*discover(), Plugin("kit", "kit", "1", (spec,))])
    recipe = Recipe(architecture="drawing", data="digits", epochs=2, batch_size=512, hold_out=0.2)
    warnings = []

    class Listening(Callback):
        def on_message(self, text: str, *, warning: bool = False) -> None:
            warnings.extend([text] if warning else [])

    paths = {"data_root": tmp_path, "tag": "x"}
    whole = run_job(registry, recipe, RunPaths(**paths, weights=Path("whole")), Listening()).path.read_bytes()
    assert len([text for text in warnings if "NumPy" in text]) == 1

    def due(self: Saver) -> None:
        if self._state.step == 2:  # the first epoch has ended, and has not been evaluated
            monkeypatch.undo()
            monkeypatch.chdir(here)
            monkeypatch.syspath_prepend(tmp_path)
            raise KeyboardInterrupt

    monkeypatch.setattr(Saver, "save_if_due", due)
    with pytest.raises(KeyboardInterrupt):
        run_job(registry, recipe, RunPaths(**paths, run_name="stopped"))
    np.random.rand(5)
    again = resume_job(registry, *find_run("stopped"), ResumeOverrides())
    assert again.path.read_bytes() == whole
    json.loads((again.run / "result.json").read_bytes())


def test_seed_out_of_range() -> None:
    with pytest.raises(UsageError):
        Recipe(architecture="a", data="b", seed=2**63)
