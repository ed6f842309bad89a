"""The names of the files of an export folder. Needs no torch."""

from zoo.contract.evidence import Manifest
from zoo.contract.evidence.manifest import GOLDEN
from zoo.contract.reading import Malformed

RUNTIME = "zoo_runtime.py"
README = "README.md"
LABELS = "labels.txt"
FIXED = frozenset({GOLDEN, LABELS, README, RUNTIME})  # beside the files of artifacts
MAIN = "model."  # how the names of those begin


def refuse_other_names(manifest: Manifest) -> None:
    """Refuse a manifest that lists what no export writes, which nothing would check.

    Raises:
        Malformed: a `ValueError`: it lists a file that is of no artifact, or an artifact has a file of a strange name.
    """
    of_artifacts = {name for artifact in manifest.artifacts.values() for name in artifact.files.values()}
    strange = sorted(name for name in of_artifacts if not name.startswith(MAIN) or name.endswith((".py", ".so")))
    if strange:
        raise Malformed(f"artifacts has the file {strange[0]!r}, which no export writes")
    unknown = sorted({*manifest.files} - of_artifacts - FIXED)
    if unknown:
        raise Malformed(f"files has {unknown[0]!r}, which is of no artifact")
