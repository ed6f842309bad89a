"""Decoded images on the disk: one safetensors file for each split and image size, in a plain folder.

A file says what it was made from. One that is stale, damaged or of another release is made again in its place.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from zoo.contract.errors import OutputError, WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import MapDataset
from zoo.data.fingerprint import fingerprint, geometry
from zoo.data.scan import Moments, Scan
from zoo.files.atomic import replacing_file
from zoo.files.folders import decoded_folder
from zoo.files.header import TensorInfo, read_header
from zoo.files.weights import tensors_digest

FORMAT = 2
KEY, SEAL = "zoo_decoded", "zoo_sha256"
DTYPES = {"U8": np.uint8, "I64": np.int64}


@dataclass(frozen=True)
class Cache:
    """Where the decoded images of one split lie, and what they must have been made from.

    Args:
        path: the file, there or not.
        made_from: a fingerprint.
    """

    path: Path
    made_from: str

    @classmethod
    def of(
        cls, source: str, dataset: MapDataset, labels: Tensor | None, preprocess: Preprocess, *, with_images: bool
    ) -> "Cache | None":
        """The cache of a split; `None` where the data set does not say which files it is made from.

        Args:
            source: what tells this split from all others: its data set, folder and name.
            with_images: whether the images themselves are kept, or only what is known of them.
        """
        made_from = fingerprint(dataset, labels, preprocess)
        if made_from is None:
            return None
        place = hashlib.sha256(json.dumps([source, with_images, *geometry(preprocess)]).encode()).hexdigest()[:32]
        return cls(decoded_folder() / f"{place}.safetensors", made_from)

    def read(self, usable: Callable[[int], bool]) -> tuple[Scan, Tensor | None] | None:
        """What was stored, with images uint8 `[N, C, H, W]` if they are kept; `None` where nothing can be used.

        Args:
            usable: says whether an image that could not be used can be now.
        """
        try:
            header = read_header(self.path)
            said = json.loads(header.metadata[KEY])
            if header.metadata[SEAL] != _sha256(header.metadata[KEY]) or said["format"] != FORMAT:
                return None
            if said["made_from"] != self.made_from:
                return None
            with self.path.open("rb") as file:
                tensors = {name: _read(file, info) for name, info in header.tensors.items()}
            if tensors_digest(tensors) != said["digest"]:
                return None
            corrupt = {int(index): str(cause) for index, cause in said["corrupt"]}
            moments = Moments(int(said["pixels"]), tensors["sums"], tensors["squares"])
            found = Scan(tensors["labels"], corrupt, moments, int(said["checksum"]))
        except (WeightsError, OSError, ValueError, KeyError, TypeError):
            return None
        if any(map(usable, corrupt)):  # it was not to be had at the time, and is now
            return None
        return found, tensors.get("images")

    def write(self, found: Scan, images: Tensor | None) -> str | None:
        """Store what was found; why that failed, where it did. It may be said and is no error."""
        assert found.moments is not None
        tensors = {"labels": found.labels, "sums": found.moments.sums, "squares": found.moments.squares}
        tensors |= {} if images is None else {"images": images}
        said = {
            "format": FORMAT,
            "made_from": self.made_from,
            "digest": tensors_digest(tensors),
            "corrupt": list(found.corrupt.items()),
            "pixels": found.moments.count,
            "checksum": found.checksum,
        }
        text = json.dumps(said)
        try:
            with replacing_file(self.path) as temporary:
                safetensors.torch.save_file(tensors, temporary, {KEY: text, SEAL: _sha256(text)})
        except OutputError as error:
            return error.cause
        except safetensors.SafetensorError as error:  # how it says that the disk is full
            return f"{self.path} could not be written: {error}."
        return None


def _read(file: BinaryIO, info: TensorInfo) -> Tensor:
    kind = np.dtype(DTYPES[info.dtype])
    file.seek(info.begin)
    values = np.fromfile(file, kind, (info.end - info.begin) // kind.itemsize)
    return torch.from_numpy(values.reshape(info.shape))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
