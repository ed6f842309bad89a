"""Download a model in timm's layout, check it, and store it as a weights file."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.contract.errors import WeightsError
from zoo.contract.names import is_file_name
from zoo.files.atomic import explain_write_errors, refuse_existing, refuse_unwritable, write_file
from zoo.files.card import Card
from zoo.files.folders import SUFFIX, weights_folders
from zoo.files.weights import load_weights
from zoo.models.hub_layout.config import PREFIX, read_config
from zoo.models.hub_layout.folder import convert
from zoo.models.hub_layout.folder_files import has_card
from zoo.registry.hub.folders import CONFIG, WEIGHTS
from zoo.registry.hub.repositories import Repository, parse_repository
from zoo.registry.registry import Registry
from zoo_hub.progress import progress_bars
from zoo_hub.repository import explain_hub_errors, hub

SHA256 = re.compile(r"[0-9a-f]{64}")
SIZE_STEP = "Run the command again; if it happens again, tell the owner of the repository."


def pull(
    registry: Registry,
    repository: str,
    *,
    revision: str | None = None,
    output: Path | None = None,
    force: bool = False,
    progress: bool = False,
) -> tuple[Path, Card, str]:
    """Download a model, and store it as a weights file with a card; see `zoo.pull` for the arguments.

    A file that zoo pushed is stored byte for byte. Another gets a card that says where it came from; its architecture
    must be one that a plugin provides as `timm/NAME`.

    Returns:
        The path of the weights file, its card, and the commit.

    Raises:
        UsageError: `repository` is no name of a repository.
        WeightsError: the repository is not there, cannot be reached or has other files, or a file is damaged.
        UnknownName: no plugin provides the architecture.
        OutputError: the file exists and `force` is not set, or it cannot be written.
    """
    source, folder = parse_repository(repository, revision), weights_folders()[0]
    if output is not None:
        refuse_existing(output, force)
        refuse_unwritable(output)
    with TemporaryDirectory(prefix="zoo-pull-") as scratch:
        path = Path(scratch)
        with explain_write_errors(output or folder), explain_hub_errors(source), progress_bars(progress):
            commit = _download(source, path)
        own = has_card(path)
        target = output or folder / _file_name(source, path, own)
        refuse_existing(target, force)
        if own:
            card = load_weights(path / WEIGHTS).card
            write_file(target, (path / WEIGHTS).read_bytes(), force=force)
            return target, card, commit
        pinned = str(Repository(source.name, commit))
        card = convert(registry, path, target, source=pinned, command=f"zoo pull {pinned}", force=force)
        return target, card, commit


def _download(repository: Repository, folder: Path) -> str:
    """Download the two files of one commit, and compare them with the hashes that the hub names; return the commit."""
    api = hub()
    info = api.model_info(repository.name, revision=repository.revision, files_metadata=True)
    files = {each.rfilename: each for each in info.siblings or []}
    for name in (CONFIG, WEIGHTS):
        if name not in files:
            raise WeightsError(
                f"{repository} has no {name}.",
                f"Use a repository in timm's layout, with {CONFIG} and {WEIGHTS}.",
            )
    for name in (CONFIG, WEIGHTS):
        path = Path(api.hf_hub_download(repository.name, name, revision=info.sha, local_dir=folder))
        lfs: Mapping[str, object] = files[name].lfs or {}
        size, stated = files[name].size, str(lfs.get("sha256") or "")
        if size is not None and path.stat().st_size != size:
            raise WeightsError(
                f"{name} of {repository} has {path.stat().st_size:,} bytes, and the hub states {size:,}.", SIZE_STEP
            )
        if SHA256.fullmatch(stated) and _sha256(path) != stated:
            raise WeightsError(
                f"{name} of {repository} has the SHA-256 {_sha256(path)}, and the hub states {stated}.", SIZE_STEP
            )
    return info.sha or ""


def _file_name(repository: Repository, folder: Path, own: bool) -> str:
    """Where it goes in a folder of weights: `ARCH.TAG.safetensors`, in the folder of the architecture's collection.

    The repository's name is taken if it begins with its architecture; else it is the tag.
    """
    name = repository.name.rpartition("/")[2]
    if own:
        architecture = load_weights(folder / WEIGHTS).card.architecture
    else:
        try:
            architecture = PREFIX + read_config((folder / CONFIG).read_bytes()).architecture
        except ValueError as error:
            raise WeightsError(
                f"{CONFIG} of {repository} cannot be used: {error}.", "Use a repository in timm's layout."
            ) from None
    collection, slash, architecture = architecture.rpartition("/")
    stem = name if name.partition(".")[0] == architecture and "." in name else f"{architecture}.{name}"
    if not is_file_name(stem + SUFFIX):
        raise WeightsError(f"{stem!r} cannot be the name of a file.", "Name one with --output.")
    return collection + slash + stem + SUFFIX


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
