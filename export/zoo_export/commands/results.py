"""What `zoo export` and `zoo verify` print of a result, on standard output."""

from typing import TYPE_CHECKING

import click

from zoo.cli.output import print_json
from zoo.contract.printable import plain
from zoo_export.commands.messages import coverage_line, result_line
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
        click.echo(f"{path}: {result_line(exported.comparisons[name], exported.verdict, rules)}")
    if rules.statement and exported.certificate.prior_check is not None:
        click.echo(rules.statement)
    if exported.certificate.coverage is not None:
        click.echo(coverage_line(exported.certificate.coverage))
    for text in warnings:
        click.echo(f"warning: {text}")


def print_verification(registry: "Registry", verification: "Verification", *, as_json: bool) -> None:
    """Print the result of a verification."""
    from zoo_export.precisions.in_use import find_precision

    manifest = verification.manifest
    if as_json:
        warnings = [] if manifest is None or verification.strict else warnings_of(manifest)
        print_json({**verification.to_dict(), "warnings": [*warnings, *verification.warnings]})
        return
    rules = find_precision(registry, verification.precision).rules
    for name, path in verification.artifacts.items():
        comparisons = [*verification.comparisons[name], *verification.further.get(name, ())]
        click.echo(f"{path}: {result_line(comparisons, verification.verdict, rules)}")
        if name in verification.graphs:
            click.echo(f"{path.name}: {verification.graphs[name]}.")
    if verification.manifest is None and not verification.comparisons:
        click.echo(f"{plain(verification.path)}: the weights file is whole, and its digest is right.")
    if verification.signed_by:
        click.echo(f"{plain(verification.path)}: signed with the key of SHA-256 {verification.signed_by}.")
    if verification.coverage is not None:
        click.echo(coverage_line(verification.coverage))
    if verification.extent is not None:
        click.echo(f"Looked at {verification.extent}.")
    if verification.source is not None:
        click.echo(f"Truth was computed with {verification.source}.")
