"""Where the signature of a file or folder lies."""

from pathlib import Path

SIGNATURE = "signature.sig"
"""The signature of an export folder, in that folder. It is the one file that the manifest does not list."""

SUFFIX = ".sig"


def signature_path(path: Path) -> Path:
    """The signature of `path`: `FILE.sig` beside a file, `DIR/signature.sig` in a folder."""
    return path / SIGNATURE if path.is_dir() else path.with_name(path.name + SUFFIX)
