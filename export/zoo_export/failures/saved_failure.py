"""A failure, saved: a folder that shows an artifact's difference again, with numpy and what runs the artifact."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.contract.errors import OutputError
from zoo.contract.evidence import Comparison, Override, Probe
from zoo.contract.exporting.artifact import Backend, Paths, Snippet
from zoo.contract.formats import ExportFormat
from zoo.files.atomic import new_folder, refuse_existing, refuse_unwritable
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry
from zoo_export.precisions.fp32 import RoundingRules
from zoo_export.precisions.in_use import PrecisionInUse

NAME = "repro.py"
SCRIPT = """# Runs the artifact on the input that it failed on; exits with 3 if it still differs.
import sys
from pathlib import Path

import numpy as np
{imports}

here = Path(__file__).parent
images, truth = np.load(here / "input.npy"), np.load(here / "expected.npy")
{setup}try:
    logits = np.asarray({run})
except Exception as error:
    sys.exit(print(f"it raised {{type(error).__name__}}: {{error}}") or 3)
if logits.dtype != np.float32 or logits.shape != truth.shape:
    sys.exit(print(f"it returned {{logits.dtype}} {{logits.shape}}, not float32 {{truth.shape}}") or 3)
{check}"""
BY_DIFFERENCE = """off, allowed = np.abs(logits.astype(np.float64) - truth), {atol!r} + {rtol!r} * np.abs(truth)
print(f"largest difference {{off.max():.6g}}, allowed {{allowed.max():.6g}}, PyTorch's rounding {rounding_error:.6g}")
sys.exit(0 if (off <= allowed).all() else 3)
"""
BY_RULES = """measured = {rules}.measure(logits, truth, {rounding_error!r})
print(f"error {{measured.error / measured.unit:.6g}}, allowed {{{rules}.tolerance:g}}; 1 is {{{rules}.definition}}")
sys.exit(0 if measured.error <= {rules}.tolerance * measured.unit else 3)
"""
README = """# {artifact} does not compute what {name} computes

- Verdict: fail, on the probe {probe} ({n} images{under}){reason}.
- {rule}
{blamed}- `input.npy` float32 `[N, C, H, W]` is the probe, `expected.npy` float64 `[N, K]` is the truth{output}.

`python {script}` runs the artifact on the input with {needs}, prints the difference, and exits with 3 if there is one.
"""


@dataclass(frozen=True)
class Failure:
    """An artifact that failed.

    Args:
        model: its name.
        paths: of the artifact.
        comparison: the one that failed by most.
        output: what was judged, an array or an error.
        precision: of the artifact.
        backend: that it was run on.
        blamed: what is to blame, if that is known.
    """

    model: str
    entry: Entry[ExportFormat]
    paths: Paths
    comparison: Comparison
    output: object
    probe: Probe
    override: Override | None
    precision: PrecisionInUse
    backend: Backend
    blamed: str

    @property
    def by_difference(self) -> bool:
        """Whether logits are compared by their difference, which needs nothing but numpy."""
        return self.override is not None or isinstance(self.precision.rules, RoundingRules)


def refuse_place(place: Path, force: bool, output: Path) -> None:
    """Refuse before any work what could not be saved after it.

    Raises:
        OutputError: `place` exists and `force` is not set, overlaps `output`, or cannot be written.
    """
    mine, other = place.absolute(), output.absolute()
    if mine == other or mine in other.parents or other in mine.parents:
        raise OutputError(f"{place} overlaps the export folder {output}.", "Save the failure in another place.")
    refuse_existing(place, force)
    if not place.exists():
        refuse_unwritable(place)
    elif not _is_saved_failure(place):
        raise OutputError(f"{place} exists and is not a saved failure.", "Choose another place for it.")


def save_failure(place: Path, failure: Failure, *, force: bool = False) -> None:
    """Write the folder `place`, whole or not at all.

    Raises:
        OutputError: it exists and `force` is not set, or cannot be written.
    """
    with new_folder(place, force=force, replaceable=_is_saved_failure) as folder:
        np.save(folder / "input.npy", failure.probe.images, allow_pickle=False)
        np.save(folder / "expected.npy", failure.probe.truth, allow_pickle=False)
        if isinstance(failure.output, np.ndarray) and not failure.output.dtype.hasobject:
            np.save(folder / "output.npy", failure.output, allow_pickle=False)
        for path in failure.paths.existing:
            shutil.copyfile(path, folder / path.name)
        script, needs = _script(failure)
        (folder / NAME).write_text(script, encoding="utf-8")
        (folder / "README.md").write_text(_readme(failure, needs, (folder / "output.npy").exists()), encoding="utf-8")


def _is_saved_failure(path: Path) -> bool:
    return (path / NAME).is_file() and (path / "input.npy").is_file()


def _script(failure: Failure) -> tuple[str, str]:
    """The text of the script, and what it needs."""
    snippet: Snippet | None = None
    if failure.entry.spec.snippet:
        snippet = resolve(failure.entry, failure.entry.spec.snippet)(failure.paths, failure.comparison.runner)
    snippet = snippet or _through_runner(failure)
    imports, needs, rounding_error = snippet.imports, snippet.needs, failure.probe.rounding_error
    if failure.by_difference:
        override = failure.override or Override(atol=failure.comparison.tolerance)
        check = BY_DIFFERENCE.format(atol=override.atol, rtol=override.rtol, rounding_error=rounding_error)
    else:
        module, _, attribute = failure.precision.ref.partition(":")
        imports, needs = f"{imports}\nimport {module}", f"{needs} and {module.partition('.')[0]}"
        check = BY_RULES.format(rules=f"{module}.{attribute}", rounding_error=rounding_error)
    setup = f"{snippet.setup.rstrip()}\n" if snippet.setup else ""
    return SCRIPT.format(imports=imports, setup=setup, run=snippet.run, check=check), f"numpy and {needs}"


def _through_runner(failure: Failure) -> Snippet:
    """Run it as the format itself does."""
    module, _, attribute = failure.entry.spec.runner.partition(":")
    files = ", ".join(f'"{role}": here / "{path.name}"' for role, path in failure.paths.files.items())
    device, precision, tf32 = failure.backend.device, failure.backend.precision, failure.backend.tf32
    return Snippet(
        imports=f"import {module}\nfrom zoo.contract.exporting.artifact import Backend, Paths",
        run="run(images)",
        needs=failure.entry.plugin.distribution,
        setup=(
            f"run = {module}.{attribute}(Paths({{{files}}}), Backend({device!r}, {precision!r}, {tf32}))\n"
            f'run = run[{failure.comparison.runner!r}] if hasattr(run, "keys") else run'
        ),
    )


def _readme(failure: Failure, needs: str, has_output: bool) -> str:
    failed = failure.comparison
    rule = (
        f"The error is {failed.error:.6g}, the tolerance {failed.tolerance:.6g}, the rounding error "
        f"{failed.rounding_error:.6g}."
        if failure.by_difference
        else f"The error is {failure.precision.rules.describe(failed.ratio)}; "
        f"{failure.precision.rules.describe_tolerance()} is allowed."
    )
    return README.format(
        artifact=failure.paths.main.name,
        name=failure.model,
        probe=failed.probe,
        n=failed.n,
        under="".join(f", {text}" for text in (failed.runner, failed.weights.replace("_", " ")) if text),
        reason=f": {without_paths(failed.reason)}" if failed.reason else "",
        rule=rule,
        blamed=f"- {without_paths(failure.blamed)}\n" if failure.blamed else "",
        output=", `output.npy` is what the artifact returned" if has_output else "",
        needs=needs,
        script=NAME,
    )


def without_paths(text: str) -> str:
    """`text` with the folders of absolute paths taken out: of what they name, the last part stays."""
    for place in sorted({str(Path.home()), str(Path.cwd())}, key=len, reverse=True):
        text = text.replace(f"{place}/", "/x/") if len(place) > 1 else text
    return re.sub(r"(?<![\w.)/])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'\"]+[\\/])*(?=[^\s\\/])", "", text)
