"""What the manifest beside a single file records of it: precision, opset, and how much was covered or accepted."""

import json
from pathlib import Path

from zoo.contract.evidence import PASS, Manifest
from zoo.contract.evidence.format1 import upgraded
from zoo.contract.reading import Malformed
from zoo.files.regular import read_regular
from zoo_export.bundle.manifest import NAME
from zoo_export.bundle.provenance import sha256

MAX_SIZE = 1 << 24  # bytes of a manifest
DEFAULT = "fp32"


def recorded_precision(path: Path) -> str:
    """The precision that `manifest.json` in the folder of `path` records; the default is `fp32`.

    A wrong record makes no check pass that should fail, because a file of another precision is accepted by its graph
    too.
    """
    manifest = _manifest_of(path)
    return DEFAULT if manifest is None else manifest.precision


def recorded_acceptance(path: Path) -> float | None:
    """The coverage that was accepted when `path` was exported, as `manifest.json` in its folder records it.

    A wrong record makes no check pass that should fail, because such a file must be zoo's own export of the model.
    """
    manifest = _manifest_of(path)
    return None if manifest is None else manifest.certificate.accepted_coverage


def recorded_pass(path: Path) -> bool:
    """Whether `manifest.json` in the folder of `path` records that its export passed, with enough covered.

    That may be with probe weights, which cannot be put into a finished file. A wrong record makes no check pass that
    should fail, because such a file must be zoo's own export of the model.
    """
    manifest = _manifest_of(path)
    if manifest is None or manifest.verdict != PASS:
        return False
    covered = manifest.certificate.coverage
    return covered is not None and covered.enough


def recorded_opset(path: Path) -> int | None:
    """The operator set that was chosen when `path` was exported, as `manifest.json` in its folder records it.

    A wrong record makes no check pass that should fail: it only decides which export the graph is compared with.
    """
    manifest = _manifest_of(path)
    own = [] if manifest is None else [each for each in manifest.artifacts.values() if each.file == path.name]
    return own[0].opset if own else None


def _manifest_of(path: Path) -> Manifest | None:
    """The manifest beside `path`, if it lists this very file by its hash.

    Any other file of that name says nothing of `path`, and neither does a damaged one.
    """
    try:
        data = json.loads(read_regular(path.parent / NAME, MAX_SIZE))
        manifest = Manifest.from_dict(upgraded(data))
    except (OSError, ValueError, RecursionError, Malformed):
        return None
    record = manifest.files.get(path.name)
    main = path.name in [artifact.file for artifact in manifest.artifacts.values()]
    return manifest if main and record is not None and record.sha256 == sha256(path) else None
