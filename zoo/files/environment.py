"""What took part in a result: versions of Python and of the packages that decide numbers."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("zoo-kit", "torch", "torchvision", "numpy", "pillow", "safetensors", "onnx", "onnxscript")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Package name to version, of those that are installed, with `python` first."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def differences(recorded: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What took part then and differs here, each as `torch 2.14.0 then, 2.15.0 here`; what was not recorded is left
    out."""
    return [
        f"{name} {value} then, {here.get(name, 'none')} here"
        for name, value in recorded.items()
        if here.get(name) != value
    ]
