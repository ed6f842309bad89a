"""What this plugin declares: the commands `pull` and `push`. They need the extra `zoo-kit[hub]`."""

from collections.abc import Iterable

from zoo import Command, Spec, hookimpl

REQUIRES = ("huggingface_hub",)


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """Declare the commands."""
    yield Command(
        name="pull",
        summary="Download weights from the Hugging Face Hub",
        run="zoo_hub.commands:pull_command",
        call="zoo_hub.pull:pull",
        requires=REQUIRES,
    )
    yield Command(
        name="push",
        summary="Upload weights to the Hugging Face Hub, as timm lays them out",
        run="zoo_hub.commands:push_command",
        call="zoo_hub.push:push",
        requires=REQUIRES,
    )
