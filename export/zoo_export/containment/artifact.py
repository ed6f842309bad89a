"""An artifact in a process of its own, for the rest of zoo: load it, and run it like a function."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from zoo.containment.limits import limits_for
from zoo.containment.process import ChildProcess
from zoo.containment.protocol import Frame
from zoo.contract import errors
from zoo.contract.errors import ExportError, ZooError
from zoo.contract.exporting import artifact
from zoo.contract.exporting.artifact import Array, Paths, Run
from zoo.contract.exporting.inspection import Structure
from zoo.contract.printable import plain, shortened
from zoo_export.reasons import AGAIN, without_sources

SERVICE = "zoo_export.containment.service:ArtifactService"
LARGEST_ROW = 2**22  # bytes of the logits of one image
MAX_RUNNERS, MAX_NAME, MAX_TEXT = 32, 200, 500  # characters
RAISED = {
    kind.__name__: kind
    for kind in (
        errors.DeviceError,
        errors.DifferenceError,
        errors.ExportError,
        errors.MissingPackage,
        errors.PluginError,
        errors.UsageError,
    )
}


class ContainedArtifact:
    """An artifact whose files only a child opens.

    Args:
        runner: ref of what loads it, as a format declares it.
        format: the format's name, for messages.
        distribution: that provides the format.
        paths: of its files.
        accelerator: whether it will be run elsewhere than on the CPU.
        reads: refs of functions that `read` will call.

    Raises:
        UsageError: a limit in the environment is malformed.
        ContainmentError: the child cannot be started.
    """

    def __init__(
        self,
        runner: str,
        format: str,
        distribution: str,
        paths: Paths,
        *,
        accelerator: bool = False,
        reads: Sequence[str] = (),
    ) -> None:
        self._limits, self._reads = limits_for(paths.files), list(reads)
        setup = {
            "runner": runner,
            "reads": list(reads),
            "format": format,
            "distribution": distribution,
            "files": {role: str(path.absolute()) for role, path in paths.files.items()},
        }
        self._process = ChildProcess(paths.main.name, SERVICE, setup, self._limits, accelerator=accelerator)

    def load(self, backend: artifact.Backend = artifact.CPU) -> Mapping[str, Run]:
        """Load it on a backend; the functions of an earlier load are no longer valid.

        Raises:
            DeviceError: it does not run on the device of `backend`.
            ExportError: it does not load; or `ContainmentError`.
        """
        where = {"device": backend.device, "precision": backend.precision, "tf32": backend.tf32}
        header, _ = self._answer(self._process.ask({"load": where}, seconds=self._limits.load_seconds))
        names = header.get("runners")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ExportError("The process that loads the artifact names no functions.", AGAIN)
        shown = [plain(name)[:MAX_NAME] for name in names[:MAX_RUNNERS]]
        return {name: partial(self._run, index) for index, name in enumerate(shown)}

    def read(self, operators: str = "") -> Structure | None:
        """Call the functions `reads` in the child, to see that they come to an end within the limits.

        Args:
            operators: ref of a function that counts operators; what it returns is returned, without digests.

        Raises:
            ContainmentError: they do not, or they end the process.
            ExportError: the operators cannot be counted.
        """
        request = {"read": self._reads, "count": operators}
        header, _ = self._answer(self._process.ask(request, seconds=self._limits.load_seconds))
        if not operators:
            return None
        counted = [_counts(header.get(key)) for key in ("operators", "conditional")]
        readers = header.get("input_readers")
        readers = readers if type(readers) is int else None
        return Structure("", operators=counted[0], conditional=counted[1], input_readers=readers)

    def close(self) -> None:
        """End the child."""
        self._process.close()

    def _run(self, index: int, images: Array) -> Array:
        """Logits of float32 images `[N, C, H, W]`; whatever else the artifact returns is the caller's to judge.

        Raises:
            ExportError: the artifact raised, or returned no array; or `ContainmentError`.
        """
        seconds = self._limits.run_seconds(len(images))
        frame = self._process.ask({"run": index}, images, seconds=seconds, largest=LARGEST_ROW * len(images))
        header, logits = self._answer(frame)
        if logits is None:
            kind = plain(header.get("returned", "nothing"))[:MAX_NAME]
            raise ExportError(f"The artifact returned {kind}, not an array of float32.", AGAIN)
        return logits

    def _answer(self, frame: Frame) -> Frame:
        """The answer, unless it is an error, which is raised."""
        raised: Any = frame[0].get("error")
        if raised is None:
            return frame
        texts = raised if isinstance(raised, dict) else {}
        cause = shortened(plain(without_sources(str(texts.get("cause") or ""))), MAX_TEXT)
        next_step = shortened(plain(texts.get("next_step") or ""), MAX_TEXT)
        kind: type[ZooError] = RAISED.get(str(texts.get("kind")), ExportError)
        raise kind(cause or "The artifact raised an error without a text.", next_step or AGAIN)


def _counts(answer: object) -> dict[str, int]:
    """Operators and how often each occurs, as a child says it."""
    if not isinstance(answer, dict) or not all(type(count) is int for count in answer.values()):
        raise ExportError("The process that loads the artifact counts no operators.", AGAIN)
    return {plain(str(name))[:MAX_NAME]: count for name, count in answer.items()}
