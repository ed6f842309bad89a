"""`zoo verify`: repeat the check of an export folder, or check a file of any origin."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.data_options import data_root_option
from zoo.cli.options import (
    input_shape_option,
    interpolation_option,
    json_option,
    labels_option,
    mean_option,
    module_preprocess,
    preprocess_overrides,
    shorter_side_option,
    std_option,
    trust_option,
)
from zoo.cli.progress import progress
from zoo_export.commands.formats import format_names
from zoo_export.commands.messages import print_failure
from zoo_export.commands.provider import provider_option
from zoo_export.commands.results import print_verification

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("verify")
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--format", "-f", "formats", default="", help="Formats to run, comma-separated.  [default: all]")
@click.option(
    "--strict",
    is_flag=True,
    help="Compute truth again from the weights, use the default tolerance, and compare the graphs with a new export.",
)
@click.option(
    "--against",
    metavar="MODEL",
    help="Model to compare with: ARCH.TAG, a path, a folder with config.json and model.safetensors, sha256:DIGEST of "
    "weights, or package.module:factory, which "
    "--input-shape, --labels and the like describe. Implies --strict for a folder.",
)
@input_shape_option
@labels_option
@mean_option
@std_option
@shorter_side_option
@interpolation_option
@click.option("--seed", type=int, metavar="N", help="Seed of the fresh images and batches.  [default: a random one]")
@click.option(
    "--key",
    metavar="PUBLIC.pem",
    type=click.Path(path_type=Path),
    help="Public key: first check the signature that `zoo sign` made.",
)
@click.option("--precision", help="Precision of a single file.  [default: that of the manifest beside it, or fp32]")
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 1),
    metavar="FRACTION",
    help="Fraction of the parameter tensors that the check of a single file must cover, 0 to 1; --strict asks for 0.9 "
    "at least.  [default: any; the verdict says how many]",
)
@click.option(
    "--expect-digest",
    metavar="SHA256",
    help="Refuse EXPORT unless this is the digest of its manifest, as this command shows it; of a file: its SHA-256.",
)
@provider_option
@data_root_option
@trust_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    /,
    export: Path,
    formats: str,
    strict: bool,
    against: str | None,
    input_shape: tuple[float, ...] | None,
    labels: Path | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    shorter_side: int | None,
    interpolation: str | None,
    expect_digest: str | None,
    key: Path | None,
    seed: int | None,
    precision: str | None,
    min_coverage: float | None,
    provider: str,
    as_json: bool,
    data_root: Path | None,
    trust: bool,
) -> None:
    """Check every file of the folder EXPORT, and run its artifacts on the stored images.

    EXPORT may also be a single file of any origin: `zoo verify FILE --against MODEL`. The exit code is 3 if a
    file was changed or is not listed, or an artifact does not compute what the model computes.

    A single file whose check covers less than 90 % of the parameter tensors is checked with probe weights, too, where
    its graph allows that. If they do not cover enough either, the verdict is "agrees" and says how much is covered,
    which is not "pass"; the exit code is 0 all the same, unless --min-coverage asks for more.

    With --strict or --against, artifacts are run on fresh images as well, and what they claim of labels and
    preprocessing is compared with the model. The seed that is printed repeats the check.

    With --key, the signature is checked before anything else is read; EXPORT may then be a weights file, too. Of a
    single exported file without --against, the signature alone is checked. The exit code is 3 if there is no signature,
    if it was made with another key, or if a file was changed, added or removed since.
    """
    announce(LOADING)
    from zoo.api.exporting import verify
    from zoo.contract.errors import DifferenceError
    from zoo.models.importing.stated import read_labels
    from zoo_export.devices import parse_devices

    try:
        with progress() as show:
            verification = verify(
                export,
                against=against,
                labels=None if labels is None else read_labels(labels),
                **module_preprocess(input_shape, preprocess_overrides(mean, std, shorter_side, interpolation)),
                key=key,
                formats=format_names(formats),
                strict=strict,
                seed=seed,
                precision=precision,
                min_coverage=min_coverage,
                devices=parse_devices(provider),
                expect_digest=expect_digest,
                data_root=data_root,
                trust=trust,
                callback=show,
                registry=lazy.registry,
            )
    except DifferenceError as error:
        if as_json:
            print_failure(error)
        raise
    print_verification(lazy.registry, verification, as_json=as_json)
