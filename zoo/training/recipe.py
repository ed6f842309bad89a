"""Everything that decides a training run, as plain data that the card records."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

from zoo.errors import UsageError
from zoo.training.optimize import Optimizer, Schedule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. Two runs of one recipe on the same machine and versions give the same weights on a CPU.

    Args:
        architecture, params: what is trained.
        data: name of the data set.
        image_size, channels: asked for; `None` takes what fits.
        loss, loss_params: what is minimised.
        epochs: times through the training split.
        batch_size: images a step.
        optimizer: `adamw` or `sgd` (momentum 0.9, Nesterov).
        lr: the highest learning rate; `None` takes 0.001 for adamw and 0.05 for sgd.
        weight_decay: `None` takes 0.05 for adamw and 0.0005 for sgd. Not applied to biases and norms.
        schedule: `cosine` to zero, or `constant`; after `warmup_epochs` of linear rise.
        crop: pixels by which the image is padded and randomly shifted; `None` takes an eighth of the side.
        hflip: random mirror images; `None` takes what the data set says.
        amp: bf16 autocast; takes effect on CUDA only.
        seed: of the fresh weights, the order of images, augmentation and dropout.
    """

    architecture: str
    data: str
    params: Mapping[str, Any] = field(default_factory=dict)
    image_size: int | None = None
    channels: int | None = None
    loss: str = "cross_entropy"
    loss_params: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 128
    optimizer: Optimizer = "adamw"
    lr: float | None = None
    weight_decay: float | None = None
    schedule: Schedule = "cosine"
    warmup_epochs: float = 1.0
    crop: int | None = None
    hflip: bool | None = None
    amp: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        checks = {
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 1,
            "lr": self.lr is None or 0 < self.lr < float("inf"),
            "weight_decay": self.weight_decay is None or 0 <= self.weight_decay < float("inf"),
            "warmup_epochs": 0 <= self.warmup_epochs < float("inf"),
            "crop": self.crop is None or self.crop >= 0,
            "optimizer": self.optimizer in get_args(Optimizer),
            "schedule": self.schedule in get_args(Schedule),
            "seed": 0 <= self.seed < 2**63,
        }
        for name, good in checks.items():
            if not good:
                raise UsageError(f"{name} = {getattr(self, name)!r} is out of range.", "See `zoo train --help`.")

    @property
    def peak_lr(self) -> float:
        """The highest learning rate, with the optimizer's default filled in."""
        return self.lr if self.lr is not None else {"adamw": 1e-3, "sgd": 0.05}[self.optimizer]

    @property
    def decay(self) -> float:
        """The weight decay, with the optimizer's default filled in."""
        return self.weight_decay if self.weight_decay is not None else {"adamw": 0.05, "sgd": 5e-4}[self.optimizer]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with every default filled in."""
        return {**asdict(self), "lr": self.peak_lr, "weight_decay": self.decay}

    def command(self, *extra: str) -> str:
        """The `zoo train` command that gives this recipe."""
        words = ["zoo", "train", self.architecture, "--data", self.data]
        for name, flag in _FLAGS.items():
            value = getattr(self, name)
            if value != _DEFAULTS[name]:
                words += [flag, str(value)]
        for name in ("crop", "hflip", "amp"):
            words += _switch(name, getattr(self, name), _DEFAULTS[name])
        for flag, params in (("-p", self.params), ("--loss-param", self.loss_params)):
            for name, value in params.items():
                words += [flag, f"{name}={','.join(map(str, value)) if isinstance(value, tuple | list) else value}"]
        return shlex.join([*words, *extra])


def _switch(name: str, value: Any, default: Any) -> list[str]:
    if value == default:
        return []
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", str(value)]


_FLAGS = {
    "image_size": "--image-size",
    "channels": "--channels",
    "loss": "--loss",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "optimizer": "--opt",
    "lr": "--lr",
    "weight_decay": "--weight-decay",
    "schedule": "--sched",
    "warmup_epochs": "--warmup-epochs",
    "seed": "--seed",
}
_DEFAULTS = {entry.name: entry.default for entry in fields(Recipe)}
