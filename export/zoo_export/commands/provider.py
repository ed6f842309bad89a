"""The option --provider: where artifacts are run to be judged."""

import click

provider_option = click.option(
    "--provider",
    default="cpu",
    show_default=True,
    help="onnxruntime providers to judge on, comma-separated, such as cpu,cuda; see `zoo doctor`.",
)


def named_providers(text: str) -> tuple[str, ...]:
    """The providers named, in order and once each, known to work here.

    Raises:
        UsageError: none is named.
        DeviceError: one is unknown or does not work here.
    """
    from zoo.contract.errors import UsageError
    from zoo_export.formats.onnx.providers import check_providers

    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("No provider is named.", "Say --provider cpu, or --provider cpu,cuda.")
    check_providers(names)
    return names
