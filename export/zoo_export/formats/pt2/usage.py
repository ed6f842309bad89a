"""How people run a PT2 artifact."""

from zoo.contract.exporting.artifact import Paths, Snippet

README = """## Python, with PyTorch

    torch.export.load("{name}").module()
"""


def readme(paths: Paths) -> str:
    """The section of an export's README."""
    return README.format(name=paths.main.name)


def snippet(paths: Paths, runner: str) -> Snippet:
    """PyTorch alone runs it, on the CPU."""
    run = f'torch.export.load(here / "{paths.main.name}").module()(torch.from_numpy(images)).detach().numpy()'
    return Snippet(imports="import torch", run=run, needs="PyTorch")
