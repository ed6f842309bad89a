"""Verdicts: what a check of an artifact came to, in one word. The first three are published, the others never."""

PASS = "pass"  # within the derived tolerance on every probe
OVERRIDDEN = "overridden"  # within a tolerance that somebody named in place of the derived tolerance
UNVERIFIED = "unverified"  # nothing was run or compared, because somebody said so
FAIL = "fail"  # it does not compute what the model computes
INCONCLUSIVE = "inconclusive"  # it agrees, or would, but the check would notice too little

NOT_VERIFIED = (
    "UNVERIFIED: it was exported with --no-verify; nothing was run or compared, and it may not compute what the model "
    "computes"
)
