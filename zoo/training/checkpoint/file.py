"""Checkpoint files: safetensors, with everything but the tensors as JSON in the header. Nothing is unpickled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from zoo.contract.errors import TrainingError, WeightsError, refuse_out_of_memory
from zoo.files.atomic import write_file
from zoo.files.header import file_digest, read_header
from zoo.files.metadata import from_metadata, to_metadata
from zoo.files.weights import tensors_digest
from zoo.training.checkpoint.metadata import parse_metadata

FORMAT = 2  # release 0.1.0 wrote 1, with other names; it alone resumes from that
KEY = "zoo_checkpoint"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Replace a checkpoint atomically.

    Args:
        tensors: on the CPU, contiguous.

    Raises:
        OutputError: it cannot be written; the previous checkpoint is unchanged.
    """
    header = to_metadata(KEY, {"format": FORMAT, "metadata": metadata, "digest": tensors_digest(tensors)})
    write_file(path, safetensors.torch.save(dict(tensors), header), force=True)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and metadata of a checkpoint, after checking every byte.

    Raises:
        TrainingError: it is damaged, or of another release.
    """
    try:
        header = read_header(path)
        content = from_metadata(KEY, header.metadata)
        if not isinstance(content, dict):
            raise ValueError("its description is not an object")
        if content["format"] != FORMAT:
            raise ValueError(f"it has format {content['format']!r}, and this release reads format {FORMAT}")
        if file_digest(path, header) != content["digest"]:
            raise ValueError("its tensors changed after it was written")
        return safetensors.torch.load_file(path), parse_metadata(content["metadata"])
    except WeightsError as error:
        raise _refused(path, error.cause.rstrip(".")) from None
    except KeyError as error:
        raise _refused(path, f"it is not a checkpoint of zoo ({error} is missing)") from None
    except (ValueError, TypeError, OSError, RecursionError, safetensors.SafetensorError) as error:
        refuse_out_of_memory(error, f"reading {path}")
        raise _refused(path, str(error)) from None


def refuse_position(path: Path, step: int, epochs: int, steps: int) -> None:
    """Raise `TrainingError` where a checkpoint's step is not in the epoch after its history.

    Args:
        epochs: in the history.
        steps: of an epoch.
    """
    if not epochs * steps <= step <= (epochs + 1) * steps:
        raise _refused(path, f"`step` is {step} after {epochs} finished epochs of {steps} steps")


def _refused(path: Path, why: str) -> TrainingError:
    return TrainingError(
        f"The checkpoint {path} cannot be used: {why}.",
        "Remove it to start this run again, or restore a good copy.",
    )
