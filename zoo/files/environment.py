"""What took part in a result: versions of Python and of the packages that decide numbers."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version

PACKAGES = ("zoo-kit", "torch", "torchvision", "numpy", "pillow", "safetensors")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Package name to version, of those that are installed, with `python` first.

    A module of that name counts where no distribution has it: several distributions may provide one module.
    """
    recorded = {"python": platform.python_version()}
    for package in packages:
        name = package.partition(" ")[0].partition(">")[0].partition("=")[0]  # without `>=1.2`
        try:
            recorded[name] = version(name)
        except PackageNotFoundError:
            owners = _modules().get(name.replace("-", "_"))
            if owners:
                recorded[name] = version(owners[0])
    return recorded


@cache
def _modules() -> Mapping[str, list[str]]:
    """Module name to the distributions that provide it; slow where many are installed."""
    return packages_distributions()


def differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """The versions that differ, each as `torch 2.14.0 then, 2.15.0 here`, of the names that were recorded."""
    return [
        f"{name} {value} then, {here.get(name, 'none')} here"
        for name, value in recorded.items()
        if here.get(name) != value
    ]
