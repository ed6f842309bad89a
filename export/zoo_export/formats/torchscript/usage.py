"""How people run a TorchScript artifact."""

from zoo.contract.exporting.artifact import Paths, Snippet

README = """## C++ or Python, with libtorch

    torch::jit::load("{name}")
    torch.jit.load("{name}")
"""


def readme(paths: Paths) -> str:
    """The section of an export's README."""
    return README.format(name=paths.main.name)


def snippet(paths: Paths, runner: str) -> Snippet:
    """PyTorch alone runs it, on the CPU."""
    run = f'torch.jit.load(here / "{paths.main.name}", "cpu")(torch.from_numpy(images)).detach().numpy()'
    return Snippet(imports="import torch", run=run, needs="PyTorch")
