"""What proves an export: probes, comparisons, the certificate, the manifest, and what exporting and verifying return.

Standard library only. Each class that is stored as JSON has `to_dict`, `from_dict` and a schema in `schemas/`.
"""

from zoo.contract.evidence.certificate import (
    AGREES,
    FAIL,
    INCONCLUSIVE,
    OVERRIDDEN,
    PASS,
    UNVERIFIED,
    ArtifactRecord,
    Certificate,
    PriorCheck,
    Verdict,
)
from zoo.contract.evidence.comparison import Comparison, Override
from zoo.contract.evidence.coverage import Coverage, UncoveredTensor
from zoo.contract.evidence.extent import Extent, GraphComparison, TruthSource
from zoo.contract.evidence.manifest import Artifact, FileRecord, Manifest, TensorSpec
from zoo.contract.evidence.probe import TOLERANCE_FACTOR, Images, Probe, Truth
from zoo.contract.evidence.results import Export, Verification
from zoo.contract.evidence.workaround import KnownFault, Workaround

__all__ = [
    "AGREES",
    "FAIL",
    "INCONCLUSIVE",
    "OVERRIDDEN",
    "PASS",
    "TOLERANCE_FACTOR",
    "UNVERIFIED",
    "Artifact",
    "ArtifactRecord",
    "Certificate",
    "Comparison",
    "Coverage",
    "Export",
    "Extent",
    "FileRecord",
    "GraphComparison",
    "Images",
    "KnownFault",
    "Manifest",
    "Override",
    "PriorCheck",
    "Probe",
    "TensorSpec",
    "Truth",
    "TruthSource",
    "UncoveredTensor",
    "Verdict",
    "Verification",
    "Workaround",
]
