"""Upload a weights file in timm's layout, or write that layout to a folder."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd

from zoo.contract.errors import UsageError
from zoo.files.atomic import new_folder
from zoo.files.card import Card
from zoo.files.weights import load_weights
from zoo.models.hub_layout.config import PREFIX, config_json
from zoo.models.stored.pretrained import locate_weights
from zoo.registry.hub.folders import CONFIG, LOCAL, WEIGHTS, is_hub_folder
from zoo.registry.hub.repositories import Repository, parse_repository
from zoo.registry.registry import Registry
from zoo_hub.progress import progress_bars
from zoo_hub.repository import explain_hub_errors, hub

TURNED = "Turn photographs as their EXIF orientation says (`PIL.ImageOps.exif_transpose`). zoo does; timm does not."


def push(
    registry: Registry,
    model: str,
    destination: str,
    *,
    private: bool = False,
    force: bool = False,
    progress: bool = False,
) -> tuple[Path, str]:
    """Upload a weights file, or write the same files to a folder; see `zoo.push` for the arguments.

    A repository is made if it is not there. Its files are replaced in one commit.

    Returns:
        The path of the weights file, and the URL of the commit or the path of the folder.

    Raises:
        UsageError: `destination` is neither a repository nor a folder, or `private` or `force` do not fit it.
        UnknownName, WeightsError: there are no such weights, or they are damaged; or the hub refuses or is not
            reached.
        OutputError: the folder exists and may not be replaced, or cannot be written.
    """
    if destination.startswith(LOCAL):
        if private:
            raise UsageError("`--private` is for repositories, not for folders.", "Leave --private out.")
        path = locate_weights(registry, model)
        return path, str(_save(path, Path(destination.removeprefix(LOCAL)), force=force))
    repository = parse_repository(destination)
    path = locate_weights(registry, model)
    return path, _upload(path, repository, private=private, progress=progress)


def _upload(path: Path, repository: Repository, *, private: bool, progress: bool) -> str:
    files = contents(path, repository)
    with explain_hub_errors(repository), progress_bars(progress):
        api = hub()
        api.create_repo(repository.name, exist_ok=True, private=private or None)
        commit = api.create_commit(
            repository.name,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"Upload {path.name} with zoo",
            revision=repository.revision,
        )
    return str(commit.commit_url)


def _save(path: Path, folder: Path, *, force: bool) -> Path:
    files = contents(path, None)
    with new_folder(folder, force=force, replaceable=is_hub_folder) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
    return folder


def contents(path: Path, repository: Repository | None) -> dict[str, bytes]:
    """The files of the layout: name to content. The weights file is uploaded as it is, with its card.

    Raises:
        WeightsError: it is damaged.
    """
    card = load_weights(path).card
    name = repository.name if repository else path.name
    return {CONFIG: config_json(card), WEIGHTS: path.read_bytes(), "README.md": _readme(card, name).encode()}


def _readme(card: Card, name: str) -> str:
    shape = "×".join(map(str, card.preprocess.input_shape))
    library = "timm" if card.architecture.startswith(PREFIX) else "zoo-kit"
    metrics = [f"- {each.name}: {each.value:.4f} on {each.dataset} {each.split}, n={each.n:,}" for each in card.metrics]
    lines = [
        "---",
        f"library_name: {library}",
        "pipeline_tag: image-classification",
        *([f"license: {card.licence}"] if card.licence and card.licence.isascii() and "\n" not in card.licence else []),
        "---",
        "",
        f"# {name}",
        "",
        f"{card.architecture}, {len(card.classes):,} classes, images of {shape}.",
        "",
        *([TURNED, ""] if card.preprocess.exif_orientation else []),
        *(["Measured by zoo on the weights as stored:", "", *metrics, ""] if metrics else []),
        f"Use it: `zoo pull hf-hub:{name}`.",
        "",
    ]
    return "\n".join(lines)
