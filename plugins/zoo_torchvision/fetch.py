"""torchvision's weights: from torchvision's own cache, or downloaded where the user allows it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from torchvision.models import WeightsEnum

from zoo.contract.errors import WeightsError
from zoo.contract.pretrained import PretrainedWeights, download_needed
from zoo.files.folders import pretrained_folder
from zoo.files.regular import open_regular
from zoo_torchvision import published
from zoo_torchvision.build import build
from zoo_torchvision.download import downloaded
from zoo_torchvision.state_dict import load_state, read_state_dict

CHUNK = 1 << 20  # bytes


def fetch(name: str, tag: str, *, download: bool) -> PretrainedWeights:
    """The weights that torchvision publishes for the model `name` as `tag`.

    They are read from torchvision's cache, `$TORCH_HOME/hub/checkpoints`, if they are there. The file's SHA-256 must
    start with the digits in its name before anything of it is read.

    Args:
        name: as in `torchvision.models.list_models(module=torchvision.models)`.
        tag: a member of its enum of weights in lower case, such as `imagenet1k_v2`.
        download: download the file if it is not there.

    Raises:
        WeightsError: it is not there and `download` is false, it cannot be downloaded, it has another hash, or holds
            anything else than a state dict of that model.
        OutputError: there is no room for the download.
    """
    weights = published.tags(name)[tag]
    params, preprocess = published.params(name, weights), published.preprocess(weights)
    classes = tuple(weights.meta["categories"])
    module = build(name=name, num_classes=len(classes), in_channels=preprocess.channels, **params)
    with _opened(f"{name}.{tag}", weights, download=download) as (file, source):
        sha256 = _sha256(file)
        if not sha256.startswith(published.hash_digits(weights)):
            raise WeightsError(
                f"{source} is damaged or incomplete: its SHA-256 starts with {sha256[:8]}, and torchvision publishes "
                f"{published.hash_digits(weights)}.",
                "Delete it, and add --download to get it again.",
            )
        file.seek(0)
        load_state(name, module, read_state_dict(file, source), source)
    return PretrainedWeights(
        tensors=module.state_dict(),
        classes=classes,
        preprocess=preprocess,
        params=params,
        published=published.metrics(weights),
        licence=published.licence(weights),
        source=weights.url,
        file_sha256=sha256,
    )


def _sha256(file: IO[bytes]) -> str:
    sha256 = hashlib.sha256()
    while chunk := file.read(CHUNK):
        sha256.update(chunk)
    return sha256.hexdigest()


def checkpoints() -> Path:
    """Where torchvision keeps what it downloads: `$TORCH_HOME/hub/checkpoints`, else in the user's cache."""
    return Path(torch.hub.get_dir()) / "checkpoints"


@contextmanager
def _opened(name: str, weights: WeightsEnum, *, download: bool) -> Iterator[tuple[IO[bytes], str]]:
    """The file of `weights`, open, and what to call it in an error."""
    path = checkpoints() / published.file_name(weights)
    try:
        file: IO[bytes] = open_regular(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}.", "Correct it, or delete it.") from None
    else:
        with file:
            yield file, str(path)
        return
    if not download:
        raise download_needed(name, weights.url, published.size(weights))
    otherwise = f"Check the network, or put the file into {path.parent}."
    with downloaded(weights.url, published.hash_digits(weights), pretrained_folder(), otherwise) as content:
        yield content, weights.url
