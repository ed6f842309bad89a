"""A failure, saved: a folder that shows an artifact's difference again, with numpy and what runs the artifact."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.contract.errors import OutputError
from zoo.contract.evidence import Comparison, Override, Probe
from zoo.contract.specs import ExportFormat
from zoo.files.atomic import new_folder, refuse_existing, refuse_unwritable
from zoo.registry.registry import Entry
from zoo_export.bundle.certificate import parts

NAME = "repro.py"
SCRIPT = """# Runs the artifact on the input that it failed on; exits with 3 where it still differs.
import sys
from pathlib import Path

import numpy as np
{imports}

here = Path(__file__).parent
images, truth = np.load(here / "input.npy"), np.load(here / "expected.npy")
{setup}try:
    given = np.asarray({run})
except Exception as error:
    sys.exit(print(f"it raised {{type(error).__name__}}: {{error}}") or 3)
if given.dtype != np.float32 or given.shape != truth.shape:
    sys.exit(print(f"it gave {{given.dtype}} {{given.shape}}, not float32 {{truth.shape}}") or 3)
off, allowed = np.abs(given.astype(np.float64) - truth), {atol!r} + {rtol!r} * np.abs(truth)
print(f"largest difference {{off.max():.6g}} (rounding error {rounding_error:.6g}), allowed {{allowed.max():.6g}}")
sys.exit(0 if (off <= allowed).all() else 3)
"""
README = """# {artifact} does not compute what {name} computes

- Verdict: fail, on the probe {probe} ({n} images{under}){reason}.
- Rounding error {rounding_error:.6g} (PyTorch's own rounding error), tolerance {tolerance:.6g}, error {error:.6g}.
{blamed}- `input.npy` float32 `[N, C, H, W]` is the probe, `expected.npy` float64 `[N, K]` is the truth{given}.

`python {script}` runs the artifact on the input with {needs}, prints the difference, and exits with 3 if there is one.
"""


@dataclass(frozen=True)
class Failure:
    """An artifact that failed.

    Args:
        model: its name.
        path: of the artifact; what its format wrote beside it is part of it.
        comparison: the one that failed by most.
        output: what was judged, an array or an error.
        blamed: what is to blame, if that is known.
    """

    model: str
    entry: Entry[ExportFormat]
    path: Path
    comparison: Comparison
    output: object
    probe: Probe
    override: Override | None
    blamed: str


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
        raise OutputError(f"{place} exists and is no failure that zoo saved.", "Choose another place for it.")


def save_failure(place: Path, failure: Failure, *, force: bool = False) -> None:
    """Write the folder `place`, whole or not at all.

    Raises:
        OutputError: it exists and `force` is not set, or cannot be written.
    """
    with new_folder(place, force=force, replaceable=_is_saved_failure) as folder:
        np.save(folder / "input.npy", failure.probe.images, allow_pickle=False)
        np.save(folder / "expected.npy", failure.probe.truth, allow_pickle=False)
        if isinstance(failure.output, np.ndarray) and not failure.output.dtype.hasobject:
            np.save(folder / "given.npy", failure.output, allow_pickle=False)
        for part in parts(failure.path):
            shutil.copyfile(part, folder / part.name)
        script, needs = _script(failure)
        (folder / NAME).write_text(script, encoding="utf-8")
        (folder / "README.md").write_text(_readme(failure, needs, (folder / "given.npy").exists()), encoding="utf-8")


def _is_saved_failure(path: Path) -> bool:
    return (path / NAME).is_file() and (path / "input.npy").is_file()


def _script(failure: Failure) -> tuple[str, str]:
    """The text of the script, and what it needs."""
    imports, setup, run, needs = _RUNS.get(failure.entry.spec.runner, _by_plugin)(failure)
    override = failure.override or Override(atol=failure.comparison.tolerance)
    rounding_error, atol, rtol = failure.comparison.rounding_error, override.atol, override.rtol
    return SCRIPT.format(
        imports=imports, setup=setup, run=run, rounding_error=rounding_error, atol=atol, rtol=rtol
    ), f"numpy and {needs}"


Lines = tuple[str, str, str, str]  # imports, set-up, the expression that runs it, what it needs


def _by_onnxruntime(failure: Failure) -> Lines:
    from zoo_export.formats.onnx.format import LEVELS

    level = LEVELS.get(failure.comparison.runner)
    if level is None:
        return _by_plugin(failure)
    setup = (
        "options = onnxruntime.SessionOptions()\n"
        f"options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.{level.name}\n"
    )
    session = f'onnxruntime.InferenceSession(here / "{failure.path.name}", options, ["CPUExecutionProvider"])'
    return "import onnxruntime", setup, f'{session}.run(None, {{"input": images}})[0]', "onnxruntime"


def _by_torchscript(failure: Failure) -> Lines:
    run = f'torch.jit.load(here / "{failure.path.name}", "cpu")(torch.from_numpy(images)).detach().numpy()'
    return "import torch", "", run, "PyTorch"


def _by_pt2(failure: Failure) -> Lines:
    run = f'torch.export.load(here / "{failure.path.name}").module()(torch.from_numpy(images)).detach().numpy()'
    return "import torch", "", run, "PyTorch"


def _by_plugin(failure: Failure) -> Lines:
    """Whatever the format says that runs it."""
    module, _, attribute = failure.entry.spec.runner.partition(":")
    chosen = f"[{failure.comparison.runner!r}]" if failure.comparison.runner else ""
    run = f'{module}.{attribute}(here / "{failure.path.name}"){chosen}(images)'
    return f"import {module}", "", run, failure.entry.plugin.distribution


_RUNS: dict[str, Callable[[Failure], Lines]] = {
    "zoo_export.formats.onnx.format:runner": _by_onnxruntime,
    "zoo_export.formats.torchscript.format:runner": _by_torchscript,
    "zoo_export.formats.pt2.format:runner": _by_pt2,
}


def _readme(failure: Failure, needs: str, given: bool) -> str:
    told = failure.comparison
    return README.format(
        artifact=failure.path.name,
        name=failure.model,
        probe=told.probe,
        n=told.n,
        under="".join(f", {text}" for text in (told.runner, told.weights) if text),
        reason=f": {without_paths(told.reason)}" if told.reason else "",
        rounding_error=told.rounding_error,
        tolerance=told.tolerance,
        error=told.error,
        blamed=f"- {without_paths(failure.blamed)}\n" if failure.blamed else "",
        given=", `given.npy` is what the artifact gave" if given else "",
        needs=needs,
        script=NAME,
    )


def without_paths(text: str) -> str:
    """`text` with the folders of absolute paths taken out: of what they name, the last part stays."""
    for place in sorted({str(Path.home()), str(Path.cwd())}, key=len, reverse=True):
        text = text.replace(f"{place}/", "/x/") if len(place) > 1 else text
    return re.sub(r"(?<![\w.)/])(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'\"]+[\\/])*(?=[^\s\\/])", "", text)
