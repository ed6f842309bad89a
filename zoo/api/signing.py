"""`zoo.sign`, which the export plugin provides through the registry."""

from os import PathLike
from pathlib import Path
from typing import Protocol

from zoo.api.installed import registry_of
from zoo.models.arguments import check_path
from zoo.registry.calls import call_of
from zoo.registry.registry import Registry


class SignCall(Protocol):
    """The `call` of the command `sign`."""

    def __call__(self, registry: Registry, path: Path, key: Path, *, password: str | None, force: bool) -> Path:
        """Sign a weights file, an exported file or an export folder."""


def sign(
    path: str | PathLike[str],
    key: str | PathLike[str],
    *,
    password: str | None = None,
    force: bool = False,
    registry: Registry | None = None,
) -> Path:
    """Sign a weights file, an exported file or an export folder with a local key.

    What is signed is checked first: a damaged file or folder is not signed. `zoo.verify(path, key=...)` checks the
    signature. Needs the package `model-signing`: `pip install 'zoo-kit[signing]'`.

    Args:
        path: the file or folder.
        key: a PEM file with an EC private key of the curve P-256, P-384 or P-521.
        password: of the key, if it is encrypted.
        force: replace an existing signature.
        registry: of plugins; the installed ones by default.

    Returns:
        the path of the signature: `PATH.sig`, or `signature.sig` in the folder.

    Raises:
        MissingPackage: `model-signing` is not installed.
        UsageError: the key cannot be used, or its password is missing or wrong.
        DifferenceError: a file of the folder is not what its manifest says, or is not in it.
        WeightsError: the weights file is damaged.
        ExportError: there is no such file, or the folder is not an export folder.
        OutputError: there is a signature and `force` is not set, or it cannot be written.

    Example:
        >>> import zoo
        >>> zoo.sign("exports/x", "private.pem")  # doctest: +SKIP
        >>> zoo.verify("exports/x", key="public.pem").verdict  # doctest: +SKIP
        'pass'
    """
    registry = registry_of(registry)
    check_path("path", path)
    check_path("key", key)
    call: SignCall = call_of(registry, "sign")
    return call(registry, Path(path), Path(key), password=password, force=force)
