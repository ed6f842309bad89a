"""Give a file to `zoo verify`, and say what came of it."""

import shutil
import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch

from adversary.folders import FOLDERS, Folder, seal
from adversary.forging import Forgery
from adversary.harmless import HARMLESS
from adversary.kinds import KINDS, Kind
from adversary.programs import PROGRAMS, Program
from adversary.programs import write as write_program
from adversary.scripted import SCRIPTED, Scripted, write
from zoo.api.exporting import export as export_folder
from zoo.contract.errors import DifferenceError, ZooError
from zoo.contract.formats import ExportFormat
from zoo.files.folders import data_root
from zoo.models.load import Model, open_model
from zoo.registry.registry import Registry
from zoo_export.capture import Capture
from zoo_export.formats.onnx.format import export
from zoo_export.formats.pt2.format import export as export_program
from zoo_export.probes.probes import make_probes
from zoo_export.probes.real_images import real_images
from zoo_export.verification.file import verify_file
from zoo_export.verification.folder import verify_folder

MODEL = "lenet5.digits"
FORGED: dict[str, Kind | Scripted | Program | Folder] = {**KINDS, **SCRIPTED, **PROGRAMS, **FOLDERS}
ACCEPTED, WARNED, REFUSED = "accepted", "accepted with a warning", "refused"


@dataclass(frozen=True)
class Result:
    """What the checks made of one kind of file.

    Args:
        against: of `zoo verify FILE --against MODEL`: accepted, accepted with a warning, or refused.
        strict: of the same with `--strict`.
        why: the reason of the last refusal or warning.
        trigger: why no finite sample finds it, if that is so.
    """

    name: str
    against: str
    strict: str
    why: str
    trigger: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


class Trial:
    """`lenet5.digits`, an honest export of it, and what everybody knows of its check."""

    def __init__(self, registry: Registry, seed: int) -> None:
        self.registry, self.seed, self.root = registry, seed, data_root()
        self.model: Model = open_model(registry, MODEL)
        self.scratch = TemporaryDirectory()
        capture = Capture(MODEL, self.model.module, self.model.card)
        paths = registry.find(ExportFormat, "onnx").spec.paths(Path(self.scratch.name))
        export(capture, paths)
        self.honest = onnx.load(paths.main)
        probes = make_probes(self.model.preprocess, real_images(registry, self.model.card, self.root).images)
        self.images = np.concatenate([probe.images for probe in probes])
        with torch.no_grad():
            self.truth = self.model.module(torch.from_numpy(self.images)).numpy()

    @cached_property
    def program(self) -> Path:
        """An honest PT2 file."""
        paths = self.registry.find(ExportFormat, "pt2").spec.paths(Path(self.scratch.name))
        export_program(Capture(MODEL, self.model.module, self.model.card), paths)
        return paths.main

    @cached_property
    def folder(self) -> Path:
        """An honest export folder with ONNX alone."""
        path = Path(self.scratch.name) / MODEL
        export_folder(MODEL, path, formats=("onnx",), registry=self.registry)
        return path

    def file(self, name: str, folder: Path) -> Path:
        """Write the file, or the export folder, of that kind."""
        if name in PROGRAMS:
            path = folder / "forged.pt2"
            write_program(PROGRAMS[name], self.program, path)
            return path
        if name in FOLDERS:
            path = Path(shutil.copytree(self.folder, folder / "forged"))
            seal(path, FOLDERS[name].forge)
            return path
        if name in SCRIPTED:
            path = folder / "forged.torchscript"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write(SCRIPTED[name], self.model.module, path)
            return path
        path, model = folder / "forged.onnx", onnx.ModelProto()
        model.CopyFrom(self.honest)
        if name in HARMLESS:
            HARMLESS[name](model, self.model.module, path)
            return path
        KINDS[name].forge(Forgery(model, self.images, self.truth))
        onnx.save(model, path)
        return path

    def verify(self, path: Path, *, strict: bool) -> tuple[str, str]:
        """Accepted or refused, and why. A folder is always checked strictly against a model."""
        try:
            done = (
                verify_folder(self.registry, path, strict=True, against=MODEL, seed=self.seed, trust=True)
                if path.is_dir()
                else verify_file(self.registry, path, self.model, self.root, seed=self.seed, strict=strict, trust=True)
            )
        except DifferenceError as error:
            return REFUSED, error.cause
        except ZooError as error:
            return REFUSED, f"{type(error).__name__}: {error.cause}"
        return (WARNED, done.warnings[0]) if done.warnings else (ACCEPTED, "")

    def run(self, name: str) -> Result:
        """Both checks of one kind."""
        with TemporaryDirectory() as folder:
            path = self.file(name, Path(folder))
            against, why = self.verify(path, strict=False)
            strict, reason = self.verify(path, strict=True)
        text = (reason or why).replace(f"{path.parent}/", "")
        return Result(name, against, strict, text, FORGED[name].trigger if name in FORGED else "")
