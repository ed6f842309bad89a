"""From a recipe to the command line that gives it."""

import shlex
from collections.abc import Mapping
from typing import Any

FLAGS = {
    "img_size": "--img-size",
    "channels": "--channels",
    "loss": "--loss",
    "initial_checkpoint": "--initial-checkpoint",
    "freeze": "--freeze",
    "layer_decay": "--layer-decay",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "grad_accum_steps": "--grad-accum-steps",
    "opt": "--opt",
    "lr": "--lr",
    "weight_decay": "--weight-decay",
    "momentum": "--momentum",
    "clip_grad": "--clip-grad",
    "sched": "--sched",
    "decay_milestones": "--decay-milestones",
    "decay_rate": "--decay-rate",
    "warmup_epochs": "--warmup-epochs",
    "model_ema_decay": "--model-ema-decay",
    "hold_out": "--hold-out",
    "patience": "--patience",
    "crop": "--crop",
    "hflip": "--hflip",
    "aa": "--aa",
    "reprob": "--reprob",
    "mixup": "--mixup",
    "cutmix": "--cutmix",
    "balance": "--balance",
    "skip_corrupt": "--skip-corrupt",
    "amp": "--amp",
    "torchcompile": "--torchcompile",
    "seed": "--seed",
}


def recipe_command(recipe: Mapping[str, Any], defaults: Mapping[str, Any], *extra: str) -> str:
    """The `zoo train` command for the fields of a recipe; what is as in `defaults` is left out.

    Args:
        extra: words to end with.
    """
    words = ["zoo", "train", recipe["architecture"], "--data", recipe["data"]]
    for name, flag in FLAGS.items():
        if recipe[name] != defaults[name]:
            words += _words(flag, recipe[name])
    for flag, params in (("-p", recipe["params"]), ("--loss-param", recipe["loss_params"])):
        for name, value in params.items():
            words += [flag, f"{name}={_text(value)}"]
    return shlex.join([*words, *extra])


def _words(flag: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    return [flag, _text(value)]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
