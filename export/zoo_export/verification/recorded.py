"""The precision of a single file, as the manifest beside it records it."""

import json
from pathlib import Path

from zoo.contract.evidence import Manifest
from zoo.contract.evidence.format1 import upgraded
from zoo.contract.reading import Malformed
from zoo.files.regular import read_regular
from zoo_export.bundle.manifest import NAME
from zoo_export.bundle.provenance import sha256

MAX_SIZE = 1 << 24  # bytes of a manifest
DEFAULT = "fp32"


def recorded_precision(path: Path) -> str:
    """The precision that `manifest.json` in the folder of `path` records, if it lists this very file by its hash.

    Any other file of that name says nothing of `path`, and neither does a damaged one: the default is `fp32`. A wrong
    record makes no check pass that should fail, because a file of another precision is accepted by its graph too.
    """
    try:
        data = json.loads(read_regular(path.parent / NAME, MAX_SIZE))
        manifest = Manifest.from_dict(upgraded(data))
    except (OSError, ValueError, RecursionError, Malformed):
        return DEFAULT
    record = manifest.files.get(path.name)
    main = path.name in [artifact.file for artifact in manifest.artifacts.values()]
    return manifest.precision if main and record is not None and record.sha256 == sha256(path) else DEFAULT
