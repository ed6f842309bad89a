"""Everything that decides a training run, as plain data that the card records."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

from zoo.contract.errors import UsageError
from zoo.training.recipe.command import recipe_command

VERSION = 3  # of what the fields mean: in 1, `amp` was used on CUDA only; 1 and 2 had other names of fields

Optimizer = Literal["adamw", "sgd", "muon"]
Schedule = Literal["cosine", "constant", "one_cycle", "step"]
AutoAugment = Literal["", "trivial"]
Balance = Literal["none", "weights", "sampler"]

LR = {"adamw": 1e-3, "sgd": 0.05, "muon": 0.02}
WEIGHT_DECAY = {"adamw": 0.05, "sgd": 5e-4, "muon": 0.05}
MOMENTUM = {"adamw": 0.9, "sgd": 0.9, "muon": 0.95}
OF_SCHEDULES = {"decay_milestones": ("step",), "decay_rate": ("step",), "warmup_epochs": ("cosine", "constant", "step")}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. Two runs of one recipe on the same machine and versions give the same weights on a CPU.

    Where the default of `lr`, `weight_decay` or `momentum` is the optimizer's, it is filled in.

    Args:
        architecture, params: what is trained.
        data: name of the data set.
        img_size, channels: asked for; `None` takes what fits.
        loss, loss_params: what is minimised.
        initial_checkpoint: weights to begin from, `ARCH.TAG` or a path; empty for fresh ones. With `@` and the first
            digits of their digest after it, as a prepared run records it, no other file will do.
        freeze: train the classifier's head alone; the rest stays as the initial checkpoint has it, BatchNorm's
            statistics too.
        layer_decay: what the learning rate falls by with each stage away from the head ; 1 for
            not at all.
        epochs: times through the training split, each time but for what fills no whole step.
        batch_size: images that go through the model at once.
        grad_accum_steps: batches a step, whose gradients are averaged.
        opt: `adamw`, `sgd` (Nesterov), or `muon` (hidden weights; AdamW for the rest).
        lr: the highest learning rate; by default 0.05 for sgd, 0.001 for adamw, and 0.02 for muon, beside which
            AdamW takes a twentieth of it.
        weight_decay: by default 0.0005 for sgd and 0.05 for the others. Biases, norms, embeddings and
            scales are not decayed.
        momentum: of sgd (by default 0.9) and muon (0.95), and the first beta of adamw (0.9); from 0 to below 1.
        clip_grad: the largest norm of all gradients together; 0 for no limit.
        sched: `cosine` to zero, `constant`, `step`, each after `warmup_epochs` of linear rise; or `one_cycle`, which
            has a rise of its own.
        decay_milestones, decay_rate: of `step`: at these shares of the run, the learning rate is multiplied by
            `decay_rate`.
        model_ema_decay: decay of the moving average of the weights, which is what is measured and stored; 0 for none.
        hold_out: share of the training split that is kept out, to choose the best epoch by; 0 for none.
        patience: epochs without a better one on the hold-out before the run ends; 0 for no early end.
        crop: pixels by which the image is padded and randomly shifted; `None` takes an eighth of the side.
        hflip: random mirror images; `None` takes what the data set says.
        aa: `trivial` changes each image by one operation, as TrivialAugment (wide) does; empty for none.
        reprob: probability that a rectangle of an image is painted over with the mean colour; 0 for never.
        mixup, cutmix: alpha of Beta(alpha, alpha), which the share of the other image of a mixture is drawn from, for
            each batch; 0 for none, at most 100. With both, one of the two is chosen for each batch. (Label smoothing is
            a parameter of the loss.)
        balance: what is done where classes have unequal numbers of images: `weights` counts the images of a class in
            inverse proportion to their number, in the loss that is minimised (not in the one that is reported);
            `sampler` draws them so, with replacement, an epoch being as long as before; `none` does nothing.
        skip_corrupt: leave out images that cannot be read.
        amp: bf16 autocast; `None` has it on CUDA only. On CPUs with bf16 arithmetic (AMX) some models gain from it.
        torchcompile: run the model through `torch.compile`.
        seed: of the fresh weights, the hold-out, the order of images, augmentation and dropout.
    """

    architecture: str
    data: str
    params: Mapping[str, Any] = field(default_factory=dict)
    img_size: int | None = None
    channels: int | None = None
    loss: str = "cross_entropy"
    loss_params: Mapping[str, Any] = field(default_factory=dict)
    initial_checkpoint: str = ""
    freeze: bool = False
    layer_decay: float = 1.0
    epochs: int = 10
    batch_size: int = 128
    grad_accum_steps: int = 1
    opt: Optimizer = "adamw"
    lr: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    clip_grad: float = 0.0
    sched: Schedule = "cosine"
    decay_milestones: tuple[float, ...] = (0.5, 0.75)
    decay_rate: float = 0.1
    warmup_epochs: float = 1.0
    model_ema_decay: float = 0.0
    hold_out: float = 0.0
    patience: int = 0
    crop: int | None = None
    hflip: bool | None = None
    aa: AutoAugment = ""
    reprob: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    balance: Balance = "none"
    skip_corrupt: bool = False
    amp: bool | None = None
    torchcompile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.opt in LR:
            for name, defaults in (("lr", LR), ("weight_decay", WEIGHT_DECAY), ("momentum", MOMENTUM)):
                if getattr(self, name) is None:
                    object.__setattr__(self, name, defaults[self.opt])
        for name, (good, asked) in self._checks().items():
            if not good:
                raise UsageError(
                    f"{name} = {getattr(self, name)!r} is out of range: it must be {asked}.",
                    "Correct it; `zoo train --help` tells what it does.",
                )
        if self.freeze and not self.initial_checkpoint:
            raise UsageError(
                "What is frozen (freeze) stays as the weights to begin from have it, and none are said.",
                "Say --initial-checkpoint WEIGHTS too, or leave --freeze out.",
            )
        if self.freeze and (self.layer_decay != 1 or self.opt == "muon"):
            name = "layer_decay" if self.layer_decay != 1 else "muon"
            raise UsageError(
                f"The head alone is trained (freeze), and {name} is for the layers below it.",
                "Leave one of the two out.",
            )
        if self.patience and not self.hold_out:
            raise UsageError(
                "An early end (patience) needs a hold-out to judge by: the test split decides nothing.",
                "Say --hold-out 0.1 too, or leave --patience out.",
            )
        for name, schedules in OF_SCHEDULES.items():
            value = getattr(self, name)
            if self.sched not in schedules and value and value != getattr(Recipe, name):
                raise UsageError(
                    f"{name} = {value!r} does nothing where the schedule is {self.sched}.",
                    f"Leave it out, or say --sched {' or '.join(schedules)}.",
                )

    def _checks(self) -> dict[str, tuple[bool, str]]:
        """Of each field whether it is in its range, and the range in words."""
        marks, endless = (0.0, *self.decay_milestones, 1.0), float("inf")
        return {
            "img_size": (self.img_size is None or self.img_size >= 1, "from 1"),
            "channels": (self.channels is None or self.channels >= 1, "from 1"),
            "layer_decay": (0 < self.layer_decay <= 1, "above 0 and up to 1"),
            "epochs": (self.epochs >= 1, "from 1"),
            "batch_size": (self.batch_size >= 1, "from 1"),
            "grad_accum_steps": (self.grad_accum_steps >= 1, "from 1"),
            "opt": (self.opt in get_args(Optimizer), _one_of(Optimizer)),
            "lr": (self.lr is None or 0 < self.lr < endless, "above 0"),
            "weight_decay": (self.weight_decay is None or 0 <= self.weight_decay < endless, "from 0"),
            "momentum": (self.momentum is None or 0 <= self.momentum < 1, "from 0 to below 1"),
            "clip_grad": (0 <= self.clip_grad < endless, "from 0"),
            "sched": (self.sched in get_args(Schedule), _one_of(Schedule)),
            "decay_milestones": (all(x < y for x, y in pairwise(marks)), "shares between 0 and 1, in rising order"),
            "decay_rate": (0 < self.decay_rate <= 1, "above 0 and up to 1"),
            "warmup_epochs": (0 <= self.warmup_epochs < endless, "from 0"),
            "model_ema_decay": (0 <= self.model_ema_decay < 1, "from 0 to below 1"),
            "hold_out": (0 <= self.hold_out < 1, "from 0 to below 1"),
            "patience": (self.patience >= 0, "from 0"),
            "balance": (self.balance in get_args(Balance), _one_of(Balance)),
            "aa": (self.aa in get_args(AutoAugment), _one_of(AutoAugment)),
            "crop": (self.crop is None or self.crop >= 0, "from 0"),
            "reprob": (0 <= self.reprob <= 1, "from 0 to 1"),
            "mixup": (0 <= self.mixup <= 100, "from 0 to 100"),
            "cutmix": (0 <= self.cutmix <= 100, "from 0 to 100"),
            "seed": (0 <= self.seed < 2**63, "from 0 to below 2^63"),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with every default filled in; `zoo.training.recipe.file.to_recipe` reads it back."""
        return {"version": VERSION, **asdict(self), "decay_milestones": list(self.decay_milestones)}

    def command(self, *extra: str) -> str:
        """The `zoo train` command that gives this recipe."""
        plain = Recipe(architecture=self.architecture, data=self.data, opt=self.opt)
        return recipe_command(asdict(self), {**asdict(plain), "opt": Recipe.opt}, *extra)


def _one_of(choices: Any) -> str:
    return f"one of {', '.join(get_args(choices))}"
