"""How people run an ONNX artifact."""

from zoo.contract.exporting.artifact import Paths, Snippet
from zoo_export.formats.onnx.runner import LEVELS

README = """## ONNX with `zoo_runtime.py`

It needs Python 3.9 or later, NumPy, onnxruntime and Pillow, and prepares images itself:

    python zoo_runtime.py IMAGE...     # classifies images, folders of them, or patterns

```python
from zoo_runtime import Model

model = Model(".")
print(model.predict("image.png", top=5))
```

## ONNX with anything else

`{name}` carries labels and preprocessing in its metadata as `zoo.labels` and `zoo.preprocess`. With onnxruntime alone,
and `x` and `labels` from above:

```python
import onnxruntime

session = onnxruntime.InferenceSession("{name}", providers=["CPUExecutionProvider"])
(logits,) = session.run(["logits"], {{"input": x}})
print(labels[logits[0].argmax()])
```
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
