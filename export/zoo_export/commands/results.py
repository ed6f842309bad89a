"""What `zoo export` and `zoo verify` print of a result, on standard output."""

from typing import TYPE_CHECKING

from zoo.cli.output import print_json, print_line, print_verdict
from zoo.contract.evidence.certificate import PASS
from zoo_export.commands.messages import coverage_line, print_result
from zoo_export.failures.unverified import warnings_of

if TYPE_CHECKING:
    from zoo.contract.evidence import Export, Verification
    from zoo.registry.registry import Registry


def print_export(registry: "Registry", exported: "Export", *, fresh: bool, as_json: bool) -> None:
    """Print the result of an export.

    Args:
        fresh: whether the weights are random.
    """
    from zoo_export.precisions.in_use import find_precision

    warnings = warnings_of(exported.manifest)
    if as_json:
        print_json({**exported.to_dict(), "fresh": fresh, "warnings": warnings})
        return
    rules = find_precision(registry, exported.manifest.precision).rules
    for name, path in exported.artifacts.items():
        print_result(path, exported.comparisons[name], exported.verdict, rules)
    if rules.statement and exported.certificate.prior_check is not None:
        print_line(rules.statement)
    if exported.certificate.coverage is not None:
        print_line(coverage_line(exported.certificate.coverage))
    print_line(f"Digest of the manifest: {exported.manifest.digest}")
    for text in warnings:
        print_line(f"warning: {text}")


def print_verification(registry: "Registry", verification: "Verification", *, as_json: bool) -> None:
    """Print the result of a verification."""
    from zoo_export.precisions.in_use import find_precision

    manifest = verification.manifest
    if as_json:
        warnings = [] if manifest is None else warnings_of(manifest, overridden=not verification.strict)
        print_json({**verification.to_dict(), "warnings": [*warnings, *verification.warnings]})
        return
    rules = find_precision(registry, verification.precision).rules
    for name, path in verification.artifacts.items():
        comparisons = [*verification.comparisons[name], *verification.further.get(name, ())]
        print_result(path, comparisons, verification.verdict, rules, verification.coverage)
        graph = verification.graphs.get(name)
        if graph is not None and graph.proven:  # where it is not, a warning says so
            print_line(f"{path.name}: {graph}.")
        elif graph is None and verification.source is not None:
            print_line(f"{path.name}: its graph was not compared with zoo's own export; --strict compares it.")
    if verification.manifest is None and not verification.comparisons and verification.verdict == PASS:
        print_verdict(PASS, f"{verification.path} is whole, and its digest is right.")
    if verification.signed_by:
        print_line(f"{verification.path}: signed with the key of SHA-256 {verification.signed_by}.")
    if verification.coverage is not None:
        print_line(coverage_line(verification.coverage))
    if verification.extent is not None:
        print_line(f"Looked at {verification.extent}.")
    if verification.source is not None:
        print_line(f"Truth was computed with {verification.source}.")
    if manifest is not None:
        print_line(f"Digest of the manifest: {manifest.digest}")
