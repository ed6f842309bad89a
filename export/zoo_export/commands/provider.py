"""The option --provider: the devices that artifacts are run on to be judged."""

import click

provider_option = click.option(
    "--provider",
    "--device",
    "provider",
    default="cpu",
    show_default=True,
    help="Devices to run the check on, comma-separated, such as cpu,cuda; `zoo doctor` shows those that work.",
)
