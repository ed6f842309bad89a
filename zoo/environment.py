"""What took part in a result: versions of Python and of the packages that decide numbers."""

import platform
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
