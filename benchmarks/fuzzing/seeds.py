"""The valid files that everything starts from: made once, by zoo's own commands, and kept in folders by name."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from fuzzing import valid
from fuzzing.case import remove
from fuzzing.process import call
from fuzzing.sandbox import Sandbox, Seeds

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/fixtures/release_0_1_0/exports/lenet5.old"
MODEL = "lenet5.digits"  # comes with zoo
MODULES = "modules.json"
RECIPE = {
    "architecture": "lenet5",
    "data": "folder",
    "epochs": 2,
    "batch_size": 4,
    "opt": "sgd",
    "lr": 0.05,
    "weight_decay": 0.001,
    "momentum": 0.9,
    "clip_grad": 1.0,
    "grad_accum_steps": 1,
    "sched": "step",
    "decay_milestones": [0.5, 0.75],
    "decay_rate": 0.1,
    "warmup_epochs": 0.5,
    "model_ema_decay": 0.9,
    "version": 3,
    "hold_out": 0.2,
    "patience": 1,
    "crop": 2,
    "hflip": False,
    "aa": "trivial",
    "reprob": 0.1,
    "mixup": 0.2,
    "cutmix": 1.0,
    "balance": "none",
    "skip_corrupt": False,
    "seed": 3,
    "img_size": 28,
    "channels": 1,
    "loss": "focal",
    "loss_params": {"gamma": 1.5},
    "layer_decay": 0.9,
    "initial_checkpoint": "",
    "freeze": False,
}


def make_seeds(sandbox: Sandbox, folder: Path, names: Iterable[str]) -> None:
    """Make seed folders below `folder`, and list the modules that this takes. In a process of its own."""
    os.environ.update(sandbox.environment)
    os.environ["ZOO_ARTIFACT_TIME_LIMIT"] = "300"  # valid files finish, on a machine that is busy too
    for name in names:
        sandbox.clear()
        os.chdir(sandbox.box)
        MAKERS[name](partial(_keep, sandbox.box, folder / name))
    path = folder / MODULES
    before = json.loads(path.read_text()) if path.exists() else []
    path.write_text(json.dumps(sorted({*before, *sys.modules})))


def load_seeds(folder: Path) -> Seeds:
    """What `make_seeds` wrote."""
    return {
        each.name: {
            str(path.relative_to(each)): path.read_bytes() for path in sorted(each.rglob("*")) if path.is_file()
        }
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }


Keep = Callable[[], None]  # the files as they are now are those of the seed folder


def _export(name: str, keep: Keep) -> None:
    _zoo("export", MODEL, "-o", "out", "-f", name)
    valid.picture("x.png")
    keep()
    _zoo("verify", "out", "--trust")
    _zoo("verify", f"out/model.{name}", "--against", MODEL, "--trust")
    _zoo("predict", "out", "x.png", "--trust")


def _signed(keep: Keep) -> None:
    _zoo("export", MODEL, "-o", "out", "-f", "torchscript")
    valid.keys()
    _zoo("sign", "out", "--key", "private.pem")
    keep()
    _zoo("verify", "out", "--key", "public.pem", "--trust")


def _old(keep: Keep) -> None:
    valid.copy(OLD, "out")
    valid.picture("x.png")
    keep()
    _zoo("verify", "out", "--trust", "--format", "onnx")


def _weights(keep: Keep) -> None:
    valid.saved_again(ROOT / f"weights/{MODEL}.safetensors", "weights/lenet5.made.safetensors")
    valid.picture("x.png")
    keep()
    for command in (["show", "lenet5.made"], ["verify", "lenet5.made"], ["list"], ["page", "weights"]):
        _zoo("weights", *command)
    _zoo("evaluate", "lenet5.made")
    _zoo("summary", "lenet5.made")


def _recipe(keep: Keep) -> None:
    valid.pictures_of_classes()
    Path("recipe.toml").write_text("".join(f"{name} = {valid.toml(value)}\n" for name, value in RECIPE.items()))
    keep()
    _train("--recipe", "recipe.toml")


def _run(keep: Keep) -> None:
    valid.pictures_of_classes()
    _train("lenet5", "--data", "folder", "-b", "2", "--epochs", "1", "--name", "r", "--checkpoint-every", "0")
    keep()
    _train("--resume", "runs/r")


def _config(keep: Keep) -> None:
    Path("config/zoo").mkdir(parents=True)
    Path("config/zoo/config.toml").write_text(
        'prefer = ["zoo-kit/classic:resnet18", "zoo-losses:focal"]\nplugins = ["zoo-tiny", "zoo-server/serve"]\n'
    )
    keep()
    for command in ("list", "plugins", "doctor"):
        _zoo(command)


def _images(keep: Keep, *, cached: bool) -> None:
    valid.pictures_of_classes()
    valid.weights("lenet5.small", ("a", "b"), "folder")
    if not cached:
        keep()
    _zoo("evaluate", "weights/lenet5.small.safetensors", "--data-root", "data")
    if cached:
        keep()


def _idx(keep: Keep) -> None:
    valid.idx_files()
    valid.weights("lenet5.idx", tuple("0123456789"), "mnist")
    keep()
    _zoo("evaluate", "weights/lenet5.idx.safetensors", "--data-root", "data")


def _pictures(keep: Keep) -> None:
    """The images that are damaged; no command runs in this folder."""
    valid.pictures_of_formats()
    keep()


MAKERS: dict[str, Callable[[Keep], None]] = {
    **{name: partial(_export, name) for name in ("onnx", "torchscript", "pt2")},
    "signed": _signed,
    "old": _old,
    "weights": _weights,
    "recipe": _recipe,
    "run": _run,
    "config": _config,
    "images": partial(_images, cached=False),
    "cache": partial(_images, cached=True),
    "idx": _idx,
    "pictures": _pictures,
}


def _zoo(*arguments: str) -> None:
    if code := call(list(arguments)):
        raise SystemExit(f"zoo {' '.join(arguments)}: exit code {code}")


def _train(*arguments: str) -> None:
    """Train until the fuzzer's own interrupt."""
    code = call(["train", *arguments, "--device", "cpu"])
    if code not in (0, 130):
        raise SystemExit(f"zoo train {' '.join(arguments)}: exit code {code}")


def _keep(box: Path, folder: Path) -> None:
    remove(folder)
    for path in sorted(box.rglob("*")):
        if path.is_file():
            target = folder / path.relative_to(box)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
