"""A broken plugin is ignored with a one-line warning; everything else works."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.files.card import read_card

Start = Callable[..., subprocess.Popen[str]]
HOOK = "from zoo import *\n@hookimpl\ndef zoo_specs():\n"
ARCHITECTURE = (
    "    yield Architecture(name={!r}, summary='Made up', build={!r}, input_shape=(1, 8, 8), num_classes=10)\n"
)


class Done:
    """What a process came to, as `explained` reads it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out, self.err = process.communicate(timeout=180)
        self.code = process.returncode


@pytest.fixture
def site(tmp_path: Path) -> Callable[..., str]:
    """Put a distribution with one entry point into a folder for PYTHONPATH, and give that folder."""

    def install(name: str, source: str, **modules: str) -> str:
        folder = tmp_path / "site"
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[zoo]\n{name} = {name}_plugin\n")
        (folder / f"{name}_plugin.py").write_text(source)
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
        return str(folder)

    return install


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("raise ImportError('no engine')", "ImportError: no engine"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import a_package_that_is_not_there", "a_package_that_is_not_there"),
        (HOOK + "    raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        (HOOK + "    yield 'nonsense'", "nonsense"),
        (HOOK + "    yield Loss(name='Bad Name', summary='x', build='a:b')", "Bad Name"),
        (HOOK + "    yield Loss(name='good', summary='x', build='nowhere')", "nowhere"),
        ("x = 1", "zoo_specs"),
    ],
    ids=["raises", "syntax", "exits", "lacks", "hook", "nonsense", "name", "ref", "nothing"],
)
def test_a_broken_plugin_costs_one_line(start_zoo: Start, site: Callable[..., str], source: str, named: str) -> None:
    path = site("rude", source)
    listed = Done(start_zoo("list", "architectures", python_path=path))
    assert listed.code == 0 and "lenet5\t" in listed.out
    assert re.match("warning: .*rude", listed.err) and listed.err.count("\n") == 1
    assert named in listed.err


def test_zoo_plugins_tells_of_every_broken_one(start_zoo: Start, site: Callable[..., str]) -> None:
    site("rude", "raise ImportError('no engine')")
    path = site("ruder", "import sys; sys.exit(7)")
    ran = Done(start_zoo("plugins", "--json", python_path=path))
    errors = {entry["plugin"]: entry["error"] for entry in json.loads(ran.out)["plugins"] if entry["error"]}
    assert ran.code == 0 and errors == {"rude": "ImportError: no engine", "ruder": "SystemExit: 7"}
    assert ran.err.count("warning: ") == ran.err.count("\n") == 2
    assert "SystemExit: 7" in Done(start_zoo("plugins", python_path=path)).out


def test_a_plugin_that_takes_names_of_ours(start_zoo: Start, site: Callable[..., str]) -> None:
    source = (
        HOOK
        + ARCHITECTURE.format("lenet5", "net:Net")
        + "    yield Command(name='list', summary='Mine', run='net:mine')\n"
    )
    path = site("copycat", source, net="import click\n@click.command()\ndef mine():\n    click.echo('my list')\n")
    for listing in ("list", "zoo-kit:list"):
        ran = Done(start_zoo(listing, "architectures", python_path=path))
        assert ran.code == 0 and "lenet5" in ran.out
        assert ran.err.count("warning: ") == ran.err.count("\n") == 1
        assert "copycat:lenet5" in ran.err and "copycat:list" in ran.err
    assert Done(start_zoo("copycat:list", python_path=path)).out == "my list\n"
    ran = Done(start_zoo("summary", "lenet5", python_path=path))
    assert ran.code == 0 and "Conv2d" in ran.out
    result = json.loads(Done(start_zoo("plugins", "--json", python_path=path)).out)
    assert {(entry["kind"], entry["name"]): entry["claimed_by"] for entry in result["conflicts"]} == {
        ("architecture", "lenet5"): ["copycat:lenet5", "zoo-kit:lenet5"],
        ("command", "list"): ["copycat:list", "zoo-kit:list"],
    }


# What follows plants plugins in this process, where torch is loaded already.

NETS = """
import sys, torch
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.head = nn.Linear(64 * in_channels, num_classes)
    def forward(self, x):
        return self.head(x.flatten(1))
class Wide(Net):
    def __init__(self, num_classes, in_channels):
        super().__init__(num_classes + 1, in_channels)
class Scalar(Net):
    def forward(self, x):
        return super().forward(x).sum()
class Pair(Net):
    def forward(self, x):
        return super().forward(x), x
class Raising(Net):
    def forward(self, x):
        raise RuntimeError("forward went wrong")
def raises(**given): raise ValueError("build went wrong")
def exits(**given): sys.exit(0)
def nothing(**given): return None
def text(**given): return "a network"
def narrow(num_classes): return Net(num_classes, 1)
"""
LOSSES = """
import torch
from torch import nn
def vector(): return nn.CrossEntropyLoss(reduction="none")
def number(): return lambda logits, target: 0.5
def raising(): return lambda logits, target: 1 / 0
def nothing(): return None
def nan(): return lambda logits, target: logits.sum() * float("nan")
def detached(): return lambda logits, target: torch.tensor(1.0)
"""
SETS = """
import sys, numpy as np
GREY = np.zeros((8, 8), np.uint8)
class Items:
    def __init__(self, item, n=20): self.item, self.n = item, n
    def __len__(self): return self.n
    def __getitem__(self, index): return self.item(index)
def raises(*given): raise OSError("the disk is gone")
def exits(*given): sys.exit(0)
def nothing(*given): return None
def stream(*given): return iter([(GREY, 0)])
def empty(*given): return Items(None, 0)
def bare(*given): return [1, 2, 3]
def triple(*given): return Items(lambda index: (GREY, 0, 0))
def item_raises(*given): return Items(lambda index: 1 / 0)
def too_high(*given): return Items(lambda index: (GREY, 10))
def too_low(*given): return Items(lambda index: (GREY, -1))
def huge(*given): return Items(lambda index: (GREY, 2**70))
def words(*given): return Items(lambda index: (GREY, "cat"))
def floats(*given): return Items(lambda index: (GREY / 255.0, 0))
def flat(*given): return Items(lambda index: (np.zeros(64, np.uint8), 0))
def late(*given): return Items(lambda index: (GREY, 0) if index < 15 else None)
"""


@pytest.fixture
def planted(site: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "Architecture": ("nets", "Net Wide Scalar Pair Raising raises exits nothing text narrow nowhere", ARCHITECTURE),
        "Loss": (
            "losses",
            "vector number raising nothing nan detached",
            "    yield Loss(name={!r}, summary='Made up', build={!r})\n",
        ),
        "Dataset": (
            "sets",
            "raises exits nothing stream empty bare triple item_raises too_high too_low huge words floats flat late",
            "    yield Dataset(name={!r}, summary='Made up', load={!r}, classes=tuple('0123456789'))\n",
        ),
    }
    source = HOOK + "".join(
        template.format(f"{module}_{name}".lower(), f"planted_{module}:{name}")
        for module, every, template in names.values()
        for name in every.split()
    )
    modules = {"planted_nets": NETS, "planted_losses": LOSSES, "planted_sets": SETS}
    monkeypatch.syspath_prepend(site("planted", source, **modules))


TRAIN = ("--epochs", "1", "-b", "512")


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "ValueError: build went wrong"),
        ("exits", "SystemExit"),
        ("nothing", "NoneType"),
        ("text", "a str"),
        ("narrow", "TypeError"),
        ("nowhere", "has no nowhere"),
        ("wide", "(512, 11)"),
        ("scalar", "a tensor ()"),
        ("pair", "a tuple"),
        ("raising", "forward went wrong"),
    ],
)
def test_an_architecture_that_breaks_the_contract(
    run_zoo: Callable[..., Any], explained: Callable[..., str], here: Path, name: str, message: str
) -> None:
    assert message in explained(run_zoo("train", f"nets_{name}", "--data", "digits", *TRAIN), 1)
    explained(run_zoo("export", f"nets_{name}", "-f", "torchscript"), 1)
    if name not in ("wide", "scalar", "pair"):  # whose layers are there to be looked at
        assert message in explained(run_zoo("summary", f"nets_{name}"), 1)
    assert not list(here.iterdir())
    assert run_zoo("list").err == ""


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vector", "losses:vector"),
        ("number", "losses:number"),
        ("raising", "ZeroDivisionError"),
        ("nothing", "not callable"),
        ("nan", "finite"),
        ("detached", "does not require grad"),
    ],
)
def test_a_loss_that_breaks_the_contract(
    run_zoo: Callable[..., Any], explained: Callable[..., str], here: Path, name: str, message: str
) -> None:
    ran = run_zoo("train", "nets_net", "--data", "digits", "--loss", f"losses_{name}", *TRAIN)
    assert message in explained(ran, 1)
    assert not list(here.iterdir())


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", "the disk is gone"),
        ("exits", "SystemExit"),
        ("nothing", "NoneType"),
        ("stream", "no len()"),
        ("empty", "no images"),
        ("bare", "TypeError for image 0"),
        ("triple", "too many values"),
        ("item_raises", "ZeroDivisionError for image 0"),
        ("too_high", "label 10"),
        ("too_low", "label -1"),
        ("huge", "image 0"),
        ("words", "'cat'"),
        ("floats", "float64"),
        ("flat", "(64,)"),
        ("late", "image 15"),
    ],
)
def test_a_data_set_that_breaks_the_contract(
    run_zoo: Callable[..., Any],
    explained: Callable[..., str],
    here: Path,
    trained: Path,
    name: str,
    message: str,
) -> None:
    assert message in explained(run_zoo("train", "lenet5", "--data", f"sets_{name}", *TRAIN), 1)
    assert message in explained(run_zoo("evaluate", str(trained), "--data", f"sets_{name}"), 1)
    assert not list(here.iterdir())


COMMANDS = """
import click, sys
@click.command()
@click.argument("count", type=int)
@click.pass_obj
def hello(lazy, count):
    "Say hello."
    click.echo("hello " * count + str(len(lazy.registry.plugins) > 5))
@click.command()
def refuses(): raise click.ClickException("no luck today")
@click.command()
def fails(): sys.exit(5)
@click.command()
def counts(): return 3
def function(): pass
nothing = None
"""


def test_commands_of_plugins(
    run_zoo: Callable[..., Any],
    explained: Callable[..., str],
    site: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = "hello refuses fails function nothing nowhere"
    lines = [f"    yield Command(name={n!r}, summary='Made up', run='its_commands:{n}')\n" for n in names.split()]
    monkeypatch.syspath_prepend(site("guest", HOOK + "".join(lines), its_commands=COMMANDS))
    assert "hello" in run_zoo("--help").out
    assert run_zoo("hello", "2").out == "hello hello True\n"
    assert "Say hello." in run_zoo("hello", "--help").out
    assert "zoo hello --help" in explained(run_zoo("hello", "many"), 2)
    assert "no luck today" in explained(run_zoo("refuses"), 1)
    with pytest.raises(SystemExit) as end:
        run_zoo("fails")
    assert end.value.code == 5
    for name, message in (("function", "a function"), ("nothing", "NoneType"), ("nowhere", "no nowhere")):
        assert message in explained(run_zoo(name), 1)


def copycat(kind: str) -> str:
    """A spec of `kind` under a name of zoo's own, of which nothing can be imported."""
    name, fields = {
        "Architecture": ("lenet5", "build='absent:x', input_shape=(1, 32, 32)"),
        "Collection": ("timm", "names='copycat_names:names', architecture='absent:x'"),
        "Command": ("train", "run='absent:x'"),
        "Dataset": ("digits", "load='absent:x'"),
        "ExportFormat": ("onnx", "export='absent:x', runner='absent:x', suffix='.onnx', default=True"),
        "Loss": ("cross_entropy", "build='absent:x'"),
        "Precision": ("fp32", "rules='absent:x'"),
    }[kind]
    return f"    yield {kind}(name={name!r}, summary='Made up', {fields})\n"


@pytest.fixture
def impostor(site: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The distribution `impostor`, which takes a name of ours for each kind of spec."""
    kinds = ["Architecture", "Collection", "Command", "Dataset", "ExportFormat", "Loss", "Precision"]
    names = "def names():\n    return ['resnet18']\n"
    path = site("impostor", HOOK + "".join(map(copycat, kinds)), copycat_names=names)
    monkeypatch.syspath_prepend(path)
    return path


@pytest.mark.usefixtures("impostor")
def test_names_of_ours_stay_ours_with_one_warning(run_zoo: Callable[..., Any], here: Path) -> None:
    ran = run_zoo("train", "lenet5", "--data", "digits", "--epochs", "1", "-b", "512", "--tag", "mine")
    assert ran.code == 0, ran.err
    warned = [line for line in ran.err.splitlines() if line.startswith("warning: ") and "impostor" in line]
    assert len(warned) == 1
    for name in ("lenet5", "train", "digits", "onnx", "cross_entropy", "fp32"):
        assert f"impostor:{name}" in warned[0]
    card, _ = read_card(here / "weights" / "lenet5.mine.safetensors")
    assert card.recipe["loss"] == "cross_entropy"  # whatever else is installed
    ran = run_zoo("export", "weights/lenet5.mine.safetensors", "-o", "made")
    assert ran.code == 0 and (here / "made" / "model.onnx").is_file(), ran.err
    ran = run_zoo("verify", "made/model.onnx", "--against", "weights/lenet5.mine.safetensors")
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("impostor")
def test_the_others_are_reached_by_qualified_names(
    run_zoo: Callable[..., Any], explained: Callable[..., str], here: Path
) -> None:
    assert "impostor" in explained(run_zoo("impostor:train"), 1)
    for option in ("--loss=impostor:cross_entropy", "--data=impostor:digits"):
        assert "impostor" in explained(run_zoo("train", "lenet5", "--data", "digits", option, *TRAIN), 1)
    assert "impostor" in explained(run_zoo("export", "lenet5", "-f", "impostor:onnx", "-o", "made"), 1)
    assert "impostor" in explained(run_zoo("summary", "impostor:lenet5"), 1)
    assert not list(here.iterdir())


@pytest.mark.usefixtures("impostor")
def test_a_member_of_our_collection_stays_ours(run_zoo: Callable[..., Any]) -> None:
    ran = run_zoo("show", "timm/resnet18", "--json")
    assert ran.code == 0 and "zoo-kit" in ran.out
    assert "impostor:timm/resnet18" in ran.err


@pytest.mark.usefixtures("impostor")
def test_a_preference_settles_it_without_a_warning(
    run_zoo: Callable[..., Any], explained: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    preferred = ("lenet5", "digits", "onnx", "cross_entropy", "fp32")
    monkeypatch.setenv("ZOO_PREFER", ",".join(f"impostor:{name}" for name in (*preferred, "train")))
    assert "impostor" in explained(run_zoo("train", "lenet5"), 1)
    assert "impostor" not in run_zoo("list").err


def test_zoo_raise_errors_is_for_authors(start_zoo: Start, site: Callable[..., str], monkeypatch: Any) -> None:
    monkeypatch.setenv("ZOO_RAISE_ERRORS", "1")
    done = Done(start_zoo("list", python_path=site("rude", "1 / 0")))
    assert done.code == 1 and "ZeroDivisionError" in done.err and "Traceback" in done.err


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("name", ["raising", "raises"])
@pytest.mark.parametrize(
    "arguments", [("train", "--data", "digits", *TRAIN), ("export", "-f", "torchscript"), ("summary",)]
)
def test_errors_of_models_name_file_and_line(
    run_zoo: Callable[..., Any],
    explained: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    arguments: tuple[str, ...],
) -> None:
    wrong = {"raising": "forward went wrong", "raises": "build went wrong"}[name]
    line = next(number for number, text in enumerate(NETS.splitlines(), 1) if wrong in text)
    ran = run_zoo(arguments[0], f"nets_{name}", *arguments[1:])
    message = explained(ran, 1)
    assert f"planted_nets.py:{line}" in message and wrong in message and "ZOO_RAISE_ERRORS=1" in message
    assert "Traceback" not in ran.err
    monkeypatch.setenv("ZOO_RAISE_ERRORS", "1")
    ran = run_zoo(arguments[0], f"nets_{name}", *arguments[1:])
    assert ran.code == 1 and "Traceback" in ran.err and f'planted_nets.py", line {line}' in ran.err
    assert "error: " in ran.err and "  next: " in ran.err


def test_any_error_has_a_traceback_for_authors(run_zoo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_RAISE_ERRORS", "1")
    for arguments, code in ((("summary", "nosuch"), 1), (("train", "--nosuch"), 2)):
        ran = run_zoo(*arguments)
        assert ran.code == code and "Traceback" in ran.err and "nosuch" in ran.err


STATEFUL = """
from torch.nn.functional import cross_entropy
def build():
    kept = [0.0]
    def loss(logits, target):
        kept[0] = 0.9 * kept[0] + cross_entropy(logits, target)
        return kept[0]
    return loss
"""


def test_backward_error_names_the_loss_too(
    start_zoo: Start, site: Callable[..., str], explained: Callable[..., str]
) -> None:
    path = site("odd", HOOK + "    yield Loss(name='odd', summary='x', build='odd_loss:build')", odd_loss=STATEFUL)
    message = explained(Done(start_zoo("train", "lenet5", "--data", "digits", "--loss", "odd", python_path=path)), 1)
    assert "loss odd" in message and "Trying to backward" in message
