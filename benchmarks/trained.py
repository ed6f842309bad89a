"""Train the models that `benchmarks/mutants.py` breaks and that do not come with zoo, by fixed recipes.

Run: python benchmarks/trained.py --data-root DIR     (DIR holds the Fashion-MNIST files)
"""

import argparse
import sys
from pathlib import Path

from zoo.contract.errors import ZooError
from zoo.files.folders import SUFFIX, data_root
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry
from zoo.training.job import RunPaths, run_job
from zoo.training.recipe.recipe import Recipe

FOLDER = Path("runs/mutants/weights")  # git leaves runs/ out
RECIPES = {
    f"{recipe.architecture}.{recipe.data}": recipe
    for recipe in (
        Recipe(architecture="lenet5", data="fashion_mnist", epochs=2),
        Recipe(architecture="resnet20", data="digits", epochs=6),
    )
}


def weights_of(registry: Registry, name: str, root: Path, folder: Path) -> Path:
    """The weights file of one of `RECIPES`, trained now where `folder` has none.

    Args:
        root: of the data sets.

    Raises:
        ZooError: the data set is not at hand, or training cannot go on.
    """
    path, recipe = folder / f"{name}{SUFFIX}", RECIPES[name]
    if not path.is_file():
        print(f"{name} is trained: {recipe.command()}", file=sys.stderr, flush=True)
        run_job(registry, recipe, RunPaths(data_root=root, weights=folder, runs=folder / "runs", tag=recipe.data))
    return path


def main() -> int:
    """Train what is not there yet, and print each path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="where the data sets lie (default: as for zoo)")
    parser.add_argument("--weights", type=Path, default=FOLDER, help=f"folder for the weights files ({FOLDER})")
    arguments = parser.parse_args()
    registry = Registry(discover())
    for name in RECIPES:
        try:
            print(weights_of(registry, name, data_root(arguments.data_root), arguments.weights))
        except ZooError as error:
            print(f"error: {error.cause}\n  next: {error.next_step}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
