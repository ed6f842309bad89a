"""From `hf-hub:OWNER/NAME` to a weights file in the user's cache."""

from pathlib import Path

from zoo.contract.pretrained import download_needed
from zoo.files.claim import claimed
from zoo.files.regular import is_regular
from zoo.registry.calls import call_of
from zoo.registry.hub.repositories import parse_repository
from zoo.registry.registry import Registry


def open_repository(registry: Registry, name: str, *, download: bool = False) -> Path:
    """The weights file of a repository of the hub. It is downloaded once, by the command `pull`.

    Args:
        name: `hf-hub:OWNER/NAME`, or `hf-hub:OWNER/NAME@REVISION`.
        download: download it if it is not on this machine.

    Raises:
        UsageError: it is no name of a repository.
        DownloadNeeded: it is not on this machine and `download` is false.
        WeightsError: it could not be downloaded.
        ZooError: as `zoo.pull`.
    """
    repository = parse_repository(name)
    path = repository.cached
    if is_regular(path):
        return path
    if not download:
        raise download_needed(str(repository), "the Hugging Face Hub")
    pull = call_of(registry, "pull")
    with claimed(path, wait=True):  # the ranks of a training may come here together
        if not is_regular(path):
            pull(registry, str(repository), output=path)
    return path
