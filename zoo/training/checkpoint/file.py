"""Checkpoints: a safetensors file with the rest of the state as JSON in its header; nothing is ever unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from zoo.contract.errors import TrainingError, WeightsError
from zoo.files.atomic import write_file
from zoo.files.header import file_digest, read_header
from zoo.files.metadata import from_metadata, to_metadata
from zoo.files.weights import tensors_digest

FORMAT = 1
KEY = "zoo_checkpoint"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Put a checkpoint in the place of the one before, whole or not at all.

    Args:
        tensors: on the CPU, contiguous.

    Raises:
        OutputError: it cannot be written; the one before is as it was.
    """
    metadata = to_metadata(KEY, {"format": FORMAT, "facts": facts, "digest": tensors_digest(tensors)})
    write_file(path, safetensors.torch.save(dict(tensors), metadata), force=True)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a checkpoint, once every byte is known to be as it was written.

    Raises:
        TrainingError: it is damaged, or of another release.
    """
    try:
        header = read_header(path)
        content = from_metadata(KEY, header.metadata)
        if content["format"] != FORMAT:
            raise ValueError(f"it has format {content['format']!r}, and this zoo reads format {FORMAT}")
        if file_digest(path, header) != content["digest"]:
            raise ValueError("its tensors are not those that were written")
        return safetensors.torch.load_file(path), dict(content["facts"])
    except WeightsError as error:
        raise _refused(path, error.cause) from None
    except KeyError as error:
        raise _refused(path, f"it is no checkpoint of zoo ({error} is missing)") from None
    except (ValueError, TypeError, OSError, safetensors.SafetensorError) as error:
        raise _refused(path, str(error)) from None


def _refused(path: Path, why: str) -> TrainingError:
    return TrainingError(
        f"The checkpoint {path} cannot be used: {why}",
        "Remove it to begin this run again, or put back a good copy.",
    )
