"""Break exported ONNX graphs in 23 ways, one at a time, and count how many each check notices.

The checks: what optimum, timm, `torch.onnx.export(verify=True)` and Polygraphy do by default on one random batch of the
traced size, and zoo's, with the model's own weights alone and with probe weights where those are called for. Each
graph is broken as it is lowered, and optimised afterwards as an export is. Graphs that are changed and still the same
function must pass.

Run: python benchmarks/mutants.py --data-root DIR --report benchmarks/mutants
(DIR holds the Fashion-MNIST files; a run that was cut goes on where it was)
"""

import argparse
import json
import sys
from pathlib import Path

from mutation.bench import Bench
from mutation.kept import Kept
from mutation.table import report, summary
from trained import FOLDER, RECIPES, weights_of

from zoo.contract.errors import ZooError
from zoo.files.folders import data_root, is_weights
from zoo.models.load import BuildArgs, open_model
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry
from zoo_export.probes.real_images import real_images

SIZES = {  # pixels, where an architecture is built for more and takes less
    "resnet18": 64,
    "resnet50": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "efficientnet_b0": 64,
    "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64,
    "mnasnet0_5": 64,
    "regnet_y_400mf": 64,
    "densenet121": 64,
    "googlenet": 64,
    "convnext_tiny": 64,
    "swin_t": 64,
    "vit_b_32": 64,
}
TRAINED = ("lenet5.digits", *RECIPES)  # the first comes with zoo
FRESH = (
    *("resnet20", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5"),
    *("squeezenet1_1", "mnasnet0_5", "regnet_y_400mf", "densenet121", "googlenet", "convnext_tiny"),
)


LATEST = Path("runs/mutants")  # git leaves runs/ out


def main() -> int:
    """Print the tables; exit code 1 where zoo rejects a graph that is not broken, or a model is left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ",".join((*TRAINED, *FRESH))
    parser.add_argument("--models", default=default, help="comma-separated (default: 3 trained ones, 12 architectures)")
    parser.add_argument("--places", type=int, default=4, help="mutants of each kind and model (default: 4)")
    parser.add_argument("--data-root", type=Path, help="where the data sets lie (default: as for zoo)")
    parser.add_argument("--weights", type=Path, default=FOLDER, help=f"folder of the trained models ({FOLDER})")
    parser.add_argument(
        "--results",
        type=Path,
        default=LATEST,
        help=f"a file for each model; those of this state of the code are kept ({LATEST})",
    )
    parser.add_argument("--report", type=Path, help="also write REPORT.md, the tables, and REPORT.json, the counts")
    arguments = parser.parse_args()
    registry, names, root = Registry(discover()), arguments.models.split(","), data_root(arguments.data_root)
    kept, results = Kept(arguments.results, arguments.places), []
    for name in names:
        made = kept.read(name)
        if made is None:
            print(name, file=sys.stderr, flush=True)
            try:
                made = breaking(registry, name, root, arguments.weights).run(arguments.places)
            except ZooError as error:
                print(f"{name} is left out: {error.cause}", file=sys.stderr)
                continue
            kept.write(name, made)
        results.append(made)
    lines = list(report(results))
    print(*lines, sep="\n")
    if arguments.report:
        arguments.report.with_suffix(".md").write_text("\n".join(["# Broken graphs", "", *lines, ""]))
        arguments.report.with_suffix(".json").write_text(json.dumps(summary(results), indent=1) + "\n")
    return int(len(results) < len(names) or any(result.false_alarms for result in results))


def breaking(registry: Registry, name: str, root: Path, weights: Path) -> Bench:
    """The bench of one model; `root` is of the data sets, and what is not yet trained is trained into `weights`."""
    fresh = None if is_weights(name) or name not in SIZES else BuildArgs(img_size=SIZES[name])
    opened = str(weights_of(registry, name, root, weights)) if name in RECIPES else name
    model = open_model(registry, opened, fresh)
    return Bench(model, real_images(registry, model.card, root).images)


if __name__ == "__main__":
    sys.exit(main())
