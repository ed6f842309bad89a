"""The options of `zoo train` that set a field of the recipe. Each is `None` or empty where it is not given."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import click

from zoo.cli.options import channels_option, param_option
from zoo.training.recipe.recipe import LR, MOMENTUM, WEIGHT_DECAY, AutoAugment, Balance, Optimizer, Schedule


def _numbers(context: click.Context, option: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Numbers separated by commas."""
    if value is None:
        return None
    try:
        return tuple(float(part) for part in value.split(",") if part)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 0.5,0.75.") from None


def _defaults(values: Mapping[str, float]) -> str:
    """The default of each optimizer, for a help text."""
    return f"[default: {', '.join(f'{value:g} for {name}' for name, value in values.items())}]"


WHOLE = click.IntRange(1)

_OPTIONS = (
    click.option("--data", help="Name of a data set; see `zoo list datasets`."),
    click.option("--loss", help="See `zoo list losses`.  [default: cross_entropy]"),
    click.option(
        "--loss-param", "loss_params", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the loss."
    ),
    param_option,
    click.option(
        "--initial-checkpoint", metavar="WEIGHTS", help="Weights to begin from, ARCH.TAG or a path; the head is fitted."
    ),
    click.option("--freeze/--no-freeze", default=None, help="Train the head alone.  [default: no-freeze]"),
    click.option("--layer-decay", type=float, help="Factor of the learning rate a stage below the head.  [default: 1]"),
    click.option("--epochs", type=WHOLE, help="[default: 10]"),
    click.option("--batch-size", "-b", type=WHOLE, help="Images at once.  [default: 128]"),
    click.option("--grad-accum-steps", type=WHOLE, help="Batches whose gradients make a step.  [default: 1]"),
    click.option("--opt", type=click.Choice(get_args(Optimizer)), help="[default: adamw]"),
    click.option("--lr", type=float, help=f"Highest learning rate.  {_defaults(LR)}"),
    click.option("--weight-decay", type=float, help=_defaults(WEIGHT_DECAY)),
    click.option("--momentum", type=float, help=f"First beta for adamw.  {_defaults(MOMENTUM)}"),
    click.option("--clip-grad", type=float, help="Largest norm of the gradients; 0 for any.  [default: 0]"),
    click.option("--sched", type=click.Choice(get_args(Schedule)), help="[default: cosine]"),
    click.option(
        "--decay-milestones", callback=_numbers, help="Shares of the run where `step` steps.  [default: 0.5,0.75]"
    ),
    click.option("--decay-rate", type=float, help="What `step` multiplies by.  [default: 0.1]"),
    click.option("--warmup-epochs", type=float, help="Linear rise of the learning rate.  [default: 1]"),
    click.option(
        "--model-ema-decay", type=float, help="Decay of a moving average, which is stored; 0 for none.  [default: 0]"
    ),
    click.option(
        "--hold-out", type=float, help="Share of the training split to choose the best epoch by.  [default: 0]"
    ),
    click.option(
        "--patience", type=click.IntRange(0), help="Epochs without a better one until the end; 0 for any.  [default: 0]"
    ),
    click.option("--crop", type=click.IntRange(0), help="Pixels of random shift.  [default: an eighth of the side]"),
    click.option("--hflip/--no-hflip", default=None, help="Random mirror images.  [default: what the data set says]"),
    click.option(
        "--aa",
        type=click.Choice(get_args(AutoAugment)),
        help="One random operation an image.",
    ),
    click.option("--reprob", type=float, help="Probability that a rectangle is painted over.  [default: 0]"),
    click.option("--mixup", type=float, help="Alpha of mixing images in pairs; 0 for none.  [default: 0]"),
    click.option("--cutmix", type=float, help="Alpha of pasting one into another; 0 for none.  [default: 0]"),
    click.option(
        "--balance",
        type=click.Choice(get_args(Balance)),
        help="Count or draw rarer classes' images more.  [default: none]",
    ),
    click.option(
        "--skip-corrupt/--no-skip-corrupt",
        default=None,
        help="Leave out images that cannot be read.  [default: they are an error]",
    ),
    click.option("--img-size", type=WHOLE, help="Height and width in pixels."),
    channels_option,
    click.option("--amp/--no-amp", default=None, help="bf16 autocast.  [default: on CUDA]"),
    click.option(
        "--torchcompile/--no-torchcompile", default=None, help="Use torch.compile.  [default: no-torchcompile]"
    ),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="[default: 0]"),
)


def recipe_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command every option that sets a field of the recipe."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
