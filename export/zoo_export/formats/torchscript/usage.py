"""How people run a TorchScript artifact."""

from zoo.contract.exporting.artifact import Paths, Snippet

README = """## TorchScript

In C++, `torch::jit::load("{name}")`. In Python, with `x` and `labels` from above:

```python
import torch

model = torch.jit.load("{name}")
with torch.no_grad():
    logits = model(torch.from_numpy(x)).numpy()
print(labels[logits[0].argmax()])
```
"""


def readme(paths: Paths) -> str:
    """The section of an export's README."""
    return README.format(name=paths.main.name)


def snippet(paths: Paths, runner: str) -> Snippet:
    """PyTorch alone runs it, on the CPU."""
    run = f'torch.jit.load(here / "{paths.main.name}", "cpu")(torch.from_numpy(images)).detach().numpy()'
    return Snippet(imports="import torch", run=run, needs="PyTorch")
