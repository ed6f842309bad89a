"""`zoo.pull` and `zoo.push`, which the hub plugin provides through the registry."""

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Protocol

from zoo.api.installed import registry_of
from zoo.contract.errors import UsageError
from zoo.files.card import Card
from zoo.files.folders import name_of_weights
from zoo.models.arguments import check_bool, check_path
from zoo.registry.calls import call_of
from zoo.registry.registry import Registry


@dataclass(frozen=True)
class PulledWeights:
    """Weights that were downloaded from a hub.

    Args:
        path: of the weights file that was written.
        card: of it. Of weights that zoo did not make, it says where they came from, and `metrics` are empty.
        commit: of the repository.
    """

    path: Path
    card: Card
    commit: str

    @property
    def name(self) -> str:
        """`ARCH.TAG`."""
        return name_of_weights(self.path, self.card.architecture)


@dataclass(frozen=True)
class PushedWeights:
    """Weights that were uploaded to a hub, or written to a folder in its layout.

    Args:
        path: of the weights file.
        destination: the URL of the commit, or the path of the folder.
    """

    path: Path
    destination: str


class PullCall(Protocol):
    """The `call` of the command `pull`."""

    def __call__(
        self,
        registry: Registry,
        repository: str,
        *,
        revision: str | None,
        output: Path | None,
        force: bool,
        progress: bool,
    ) -> tuple[Path, Card, str]:
        """Download a model; return the path of the weights file, its card, and the commit."""


class PushCall(Protocol):
    """The `call` of the command `push`."""

    def __call__(
        self, registry: Registry, model: str, destination: str, *, private: bool, force: bool, progress: bool
    ) -> tuple[Path, str]:
        """Upload a weights file; return its path, and the URL of the commit or the path of the folder."""


def pull(
    repository: str,
    *,
    revision: str | None = None,
    output: str | PathLike[str] | None = None,
    force: bool = False,
    progress: bool = False,
    registry: Registry | None = None,
) -> PulledWeights:
    """Download weights from the Hugging Face Hub, and store them as a weights file with a card.

    The repository has timm's layout: `config.json` and `model.safetensors`. Weights that `zoo.push` uploaded are stored
    byte for byte. `HF_TOKEN` or `hf auth login` gives access to private repositories; `HF_ENDPOINT` sets another hub.
    Needs the package `huggingface_hub`: `pip install 'zoo-kit[hub]'`.

    Args:
        repository: `hf-hub:OWNER/NAME`, or `hf-hub:OWNER/NAME@REVISION`.
        revision: a branch, tag or commit; by default the main branch.
        output: the weights file to write; by default one that is named after the repository, in `$ZOO_WEIGHTS` or
            `./weights`.
        force: replace an existing file.
        progress: show a progress bar on standard error.
        registry: of plugins; the installed ones by default.

    Raises:
        MissingPackage: `huggingface_hub` is not installed.
        UsageError: `repository` is not of this form, or names two revisions.
        WeightsError: the repository is not there, cannot be reached or has other files, or a file is damaged.
        UnknownName: no plugin provides the architecture.
        OutputError: the file exists and `force` is not set, or it cannot be written.

    Example:
        >>> import zoo
        >>> zoo.pull("hf-hub:timm/mobilenetv3_small_050.lamb_in1k").name  # doctest: +SKIP
        'timm/mobilenetv3_small_050.lamb_in1k'
    """
    registry = registry_of(registry)
    _check_text("repository", repository)
    if revision is not None:
        _check_text("revision", revision)
    check_path("output", output)
    check_bool("force", force)
    check_bool("progress", progress)
    call: PullCall = call_of(registry, "pull")
    target = None if output is None else Path(output)
    path, card, commit = call(registry, repository, revision=revision, output=target, force=force, progress=progress)
    return PulledWeights(path, card, commit)


def push(
    model: str | PathLike[str],
    destination: str,
    *,
    private: bool = False,
    force: bool = False,
    progress: bool = False,
    registry: Registry | None = None,
) -> PushedWeights:
    """Upload a weights file to the Hugging Face Hub in timm's layout, or write that layout to a folder.

    The repository is made if it is not there. `timm.create_model` loads it where the architecture is timm's, and
    `zoo.pull` gives the same file back. `HF_TOKEN` or `hf auth login` gives the right to upload; `HF_ENDPOINT` sets
    another hub. Needs the package `huggingface_hub`: `pip install 'zoo-kit[hub]'`.

    Args:
        model: `ARCH.TAG`, the path of a weights file, or a folder in timm's layout.
        destination: `hf-hub:OWNER/NAME`, `hf-hub:OWNER/NAME@BRANCH`, or `local-dir:FOLDER`.
        private: make a new repository private.
        force: replace a folder that has this layout.
        progress: show a progress bar on standard error.
        registry: of plugins; the installed ones by default.

    Raises:
        MissingPackage: `huggingface_hub` is not installed.
        UsageError: `destination` is not of this form, or `private` is set for a folder.
        UnknownName, WeightsError: there are no such weights, or they are damaged; or the hub refuses or is not reached.
        OutputError: the folder exists and may not be replaced, or cannot be written.

    Example:
        >>> import zoo
        >>> zoo.push("lenet5.digits", "hf-hub:me/lenet5.digits").destination  # doctest: +SKIP
        'https://huggingface.co/me/lenet5.digits/commit/…'
    """
    registry = registry_of(registry)
    if not isinstance(model, str | PathLike):
        raise UsageError(
            f"An object of type {type(model).__name__} is not the name of a model.", "Use an ARCH.TAG or a path."
        )
    _check_text("destination", destination)
    for argument, value in (("private", private), ("force", force), ("progress", progress)):
        check_bool(argument, value)
    call: PushCall = call_of(registry, "push")
    path, place = call(registry, fspath(model), destination, private=private, force=force, progress=progress)
    return PushedWeights(path, place)


def _check_text(argument: str, value: object) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{argument}={value!r:.80} is not a text.", "Pass a name, such as 'hf-hub:OWNER/NAME'.")
