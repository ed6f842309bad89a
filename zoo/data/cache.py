"""A cache of decoded images on disk: one safetensors file per split and image size.

Each file records the fingerprint of its source. A file that is stale, damaged or of another release is replaced.
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
from zoo.files.metadata import from_metadata, to_metadata
from zoo.files.regular import open_regular
from zoo.files.weights import tensors_digest

FORMAT = 3
KEY = "zoo_decoded"
DTYPES = {"U8": np.uint8, "I64": np.int64}


@dataclass(frozen=True)
class Cache:
    """The cache file of one split.

    Args:
        path: the file, which need not exist.
        fingerprint: of the source; a file with another fingerprint is stale.
    """

    path: Path
    fingerprint: str

    @classmethod
    def of(
        cls, source: str, dataset: MapDataset, labels: Tensor | None, preprocess: Preprocess, *, with_images: bool
    ) -> "Cache | None":
        """Return the cache of a split; `None` if the data set does not name the files that it reads.

        Args:
            source: identifies the split: its data set, folder and name.
            with_images: store the images; otherwise only labels, statistics and corrupt images.
        """
        source_fingerprint = fingerprint(dataset, labels, preprocess)
        if source_fingerprint is None:
            return None
        key = hashlib.sha256(json.dumps([source, with_images, *geometry(preprocess)]).encode()).hexdigest()[:32]
        return cls(decoded_folder() / f"{key}.safetensors", source_fingerprint)

    def read(self, can_read: Callable[[int], bool]) -> tuple[Scan, Tensor | None] | None:
        """Return the scan and, if stored, the images, uint8 `[N, C, H, W]`; `None` if the file is not usable.

        Args:
            can_read: returns whether the image with this index can be read now. It is called for corrupt images.
        """
        try:
            header = read_header(self.path)
            stored = from_metadata(KEY, header.metadata)
            if stored["format"] != FORMAT or stored["fingerprint"] != self.fingerprint:
                return None
            with open_regular(self.path) as file:
                tensors = {name: _read(file, info) for name, info in header.tensors.items()}
            if tensors_digest(tensors) != stored["digest"]:
                return None
            corrupt = {int(index): str(cause) for index, cause in stored["corrupt"]}
            moments = Moments(int(stored["pixels"]), tensors["sums"], tensors["squares"])
            scan = Scan(tensors["labels"], corrupt, moments, int(stored["checksum"]))
        except (WeightsError, OSError, ValueError, KeyError, TypeError):
            return None
        if any(map(can_read, corrupt)):  # e.g. a disk that was not mounted when the file was written
            return None
        return scan, tensors.get("images")

    def write(self, scan: Scan, images: Tensor | None) -> str | None:
        """Store a scan and its images. A failure is not an error: its cause is returned, else `None`."""
        assert scan.moments is not None
        tensors = {"labels": scan.labels, "sums": scan.moments.sums, "squares": scan.moments.squares}
        tensors |= {} if images is None else {"images": images}
        header = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "digest": tensors_digest(tensors),
            "corrupt": list(scan.corrupt.items()),
            "pixels": scan.moments.count,
            "checksum": scan.checksum,
        }
        try:
            with replacing_file(self.path) as temporary:
                safetensors.torch.save_file(tensors, temporary, to_metadata(KEY, header))
        except OutputError as error:
            return error.cause
        except safetensors.SafetensorError as error:  # e.g. the disk is full
            return f"{self.path} could not be written: {error}."
        return None


def _read(file: BinaryIO, info: TensorInfo) -> Tensor:
    dtype = np.dtype(DTYPES[info.dtype])
    file.seek(info.begin)
    values = np.fromfile(file, dtype, (info.end - info.begin) // dtype.itemsize)
    return torch.from_numpy(values.reshape(info.shape))
