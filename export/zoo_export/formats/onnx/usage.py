"""How people run an ONNX artifact."""

from zoo.contract.exporting.artifact import Paths, Snippet
from zoo_export.formats.onnx.runner import LEVELS

README = """## Python, with numpy, onnxruntime and Pillow

    python zoo_runtime.py --verify     # checks {name} again, here
    python zoo_runtime.py IMAGE...     # classifies images

    from zoo_runtime import Model
    model = Model(".")
    model.predict("image.png", top=5)
    logits = model.run(batch)

## Anything that runs ONNX

`{name}` is opset 18, and carries labels and preprocessing in its metadata as `zoo.labels` and `zoo.preprocess`.
"""


def readme(paths: Paths) -> str:
    """The section of an export's README."""
    return README.format(name=paths.main.name)


def snippet(paths: Paths, runner: str) -> Snippet | None:
    """onnxruntime alone runs it, on the CPU at the level of optimization that `runner` names; `None` elsewhere."""
    level = LEVELS.get(runner)
    if level is None:
        return None
    setup = (
        "options = onnxruntime.SessionOptions()\n"
        f"options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.{level.name}\n"
    )
    session = f'onnxruntime.InferenceSession(here / "{paths.main.name}", options, ["CPUExecutionProvider"])'
    run = f'{session}.run(None, {{"input": images}})[0]'
    return Snippet(imports="import onnxruntime", run=run, needs="onnxruntime", setup=setup)
