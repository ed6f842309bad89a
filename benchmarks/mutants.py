"""Break exported ONNX graphs in 22 ways, one at a time, and count how many each check notices.

The checks: what optimum, timm, `torch.onnx.export(verify=True)` and Polygraphy do by default on one random batch of the
traced size, and zoo's, with the model's own weights alone and with probe weights where those are called for. Each
graph is broken as it is lowered, and optimised afterwards as an export is. Graphs that are changed and still the same
function must pass.

Run: python benchmarks/mutants.py --models lenet5.digits,resnet18 --json mutants.json
"""

import argparse
import json
import sys
from pathlib import Path

from mutation.bench import Bench, Result
from mutation.table import report

from zoo.errors import ZooError
from zoo.folders import data_root, weights_files
from zoo.loading import Fresh, is_weights, open_model
from zoo.plugins import discover
from zoo.registry import Registry
from zoo_export.real_images import real_images

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
FRESH = (
    *("resnet20", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5"),
    *("squeezenet1_1", "mnasnet0_5", "regnet_y_400mf", "densenet121", "googlenet", "convnext_tiny"),
)


def main() -> int:
    """Print the tables; exit code 1 where zoo rejects a graph that is not broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = ",".join((*sorted(weights_files()), *FRESH))
    parser.add_argument("--models", default=default, help="comma-separated; every weights file and 12 architectures")
    parser.add_argument("--places", type=int, default=4, help="mutants of each kind and model (default: 4)")
    parser.add_argument("--json", type=Path, help="also write every mutant to this file")
    arguments = parser.parse_args()
    registry, results = Registry(discover()), list[Result]()
    for name in arguments.models.split(","):
        print(name, file=sys.stderr, flush=True)
        try:
            size = None if is_weights(name) else SIZES.get(name)
            model = open_model(registry, name, Fresh(image_size=size) if size else None)
            real, _ = real_images(registry, model.card, data_root())
            results.append(Bench(model, real).run(arguments.places))
        except ZooError as error:
            print(f"{name} is left out: {error.cause}", file=sys.stderr)
        if arguments.json and results:
            arguments.json.write_text(json.dumps([result.to_dict() for result in results], indent=1))
    print(*report(results), sep="\n")
    return int(not results or any(result.false_alarms for result in results))


if __name__ == "__main__":
    sys.exit(main())
