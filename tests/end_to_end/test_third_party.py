"""A plugin in a folder of its own, installed with pip, has all that first-party plugins have."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Run a line of Python in a folder of its own, with both example plugins installed by pip."""
    folder = tmp_path_factory.mktemp("third_party")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    for name in ("zoo_tiny", "zoo_smooth"):
        source = folder / name
        subprocess.run(["cp", "-r", str(EXAMPLES / name), str(source)], check=True)
        subprocess.run([*pip, "--target", str(site), str(source)], check=True, capture_output=True, timeout=300)

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="module")
def zoo(python: Python) -> Python:
    """Run `zoo` there."""
    return partial(python, "from zoo.cli.main import main; main()")


def test_the_plugin_is_nine_lines() -> None:
    lines = (EXAMPLES / "zoo_tiny/zoo_tiny/__init__.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) == 9


def test_it_is_listed_with_its_distribution(zoo: Python) -> None:
    listed = json.loads(zoo("list", "--json").stdout)
    names = {entry["name"]: entry["distribution"] for kind in listed.values() for entry in kind}
    assert names["tiny_cnn"] == "zoo-tiny"
    assert names["smooth_l1"] == "zoo-smooth"


def test_it_trains_exports_and_is_verified(zoo: Python) -> None:
    options = ["--data", "digits", "--epochs", "8", "-b", "32", "--lr", "0.01", "--json"]
    trained = zoo("train", "tiny_cnn", *options)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["top1"] > 0.9
    exported = zoo("export", "tiny_cnn.digits")
    assert exported.returncode == 0, exported.stderr
    verified = zoo("verify", "exports/tiny_cnn.digits", "--json")
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["artifacts"].keys() == {"onnx", "torchscript"}


def test_a_loss_of_its_own_trains_a_built_in_model(zoo: Python) -> None:
    options = ["--data", "digits", "--epochs", "8", "-b", "32", "--lr", "0.003", "--tag", "smooth", "--json"]
    trained = zoo("train", "lenet5", "--loss", "smooth_l1", *options)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["top1"] > 0.9
    card = json.loads(zoo("weights", "show", "lenet5.smooth", "--json").stdout)
    assert card["recipe"]["loss"] == "smooth_l1"


def test_both_keep_the_contract(python: Python) -> None:
    ran = python(
        "from zoo.testing import check_architecture, check_loss, check_plugin\n"
        "check_plugin('zoo_tiny'), check_plugin('zoo_smooth'), check_architecture('tiny_cnn'), check_loss('smooth_l1')"
    )
    assert ran.returncode == 0, ran.stderr
