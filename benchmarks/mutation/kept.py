"""Keep the result of each model, so that a run that was cut goes on, and only as long as the code is the same."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import zoo_export
from mutation.bench import Result
from zoo.files.atomic import write_file

PACKAGES = ("torch", "torchvision", "onnx", "onnx-ir", "onnxscript", "onnxslim", "numpy")


class Kept:
    """A folder of results, each in a file of the model's name.

    Args:
        places: how many mutants of each kind were asked for; a result of another number is not taken.
    """

    def __init__(self, folder: Path, places: int) -> None:
        self.folder, self.state = folder, f"{places} {state_of_code()}"

    def read(self, name: str) -> Result | None:
        """The result of a model, where it is there and of this state."""
        path = self.folder / f"{name}.json"
        data = json.loads(path.read_text()) if path.is_file() else {}
        return Result.read(data["result"]) if data.get("state") == self.state else None

    def write(self, name: str, result: Result) -> None:
        """Keep a result."""
        data = {"state": self.state, "result": result.to_dict()}
        write_file(self.folder / f"{name}.json", json.dumps(data, indent=1).encode(), force=True)


def state_of_code() -> str:
    """A digest of what decides a result: these sources, those of the check, and the versions of the packages."""
    digest = hashlib.sha256(" ".join(version(package) for package in PACKAGES).encode())
    check = Path(str(zoo_export.__file__)).parent
    folders = (Path(__file__).parent, check / "parity", check / "probes")
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        if path.stem not in ("table", "kept"):  # these come after the verdict
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
