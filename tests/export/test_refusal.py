"""What torch.export refuses is said of the model, with the line that is to be changed and no path of this machine."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import ExportError


class Says(nn.Module):
    """A linear layer behind one line that torch.export refuses."""

    def __init__(self, line: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.head, self.line = nn.Linear(3, 4), line

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.line(images).mean((2, 3)))


def branch(images: Tensor) -> Tensor:
    return images if images.sum() > 0 else -images


def item(images: Tensor) -> Tensor:
    return images * 2 if images.max().item() > 0 else images


def size_of_values(images: Tensor) -> Tensor:
    return images * 2 if len(torch.nonzero(images.flatten())) > 3 else images


def fixed_batch(images: Tensor) -> Tensor:
    return images + torch.zeros(4, 1, 1, 1)


def reshaped(images: Tensor) -> Tensor:
    return images.reshape(4, -1).reshape(-1, 3, 8, 8)


def assertion(images: Tensor) -> Tensor:
    return images if images.shape[0] == 4 else -images


def to_numpy(images: Tensor) -> Tensor:
    return torch.from_numpy(images.numpy())


def no_operator(images: Tensor) -> Tensor:
    return images.no_such_method()  # type: ignore[operator]


def path_in_it(images: Tensor) -> Tensor:
    raise ValueError("/home/somebody/secret/table.csv is empty")


VALUES, BATCH = "depends on values computed from the images", "its forward does not work for every batch size"


@pytest.mark.parametrize(
    ("line", "cause", "located"),
    [
        (branch, VALUES, True),
        (item, VALUES, True),
        (size_of_values, VALUES, True),
        (fixed_batch, BATCH, False),
        (assertion, BATCH, False),  # PyTorch does not tell where
        (reshaped, BATCH, False),
        (to_numpy, "numpy() is not supported", True),
        (no_operator, "no_such_method", True),
        (path_in_it, "ValueError: table.csv is empty", True),
    ],
)
def test_the_cause_and_the_line_are_said(make_model, line, cause: str, located: bool) -> None:
    from zoo_export.capture import Capture

    model = make_model(Says(line))
    with pytest.raises(ExportError) as caught:
        _ = Capture(model.name, model.module, model.card).program
    told = caught.value.cause
    assert told.startswith("net.tiny could not be captured with a dynamic batch: ") and cause in told
    number = line.__code__.co_firstlineno + 1
    assert (f"(at test_refusal.py:{number})" in told) == located
    assert str(Path(__file__).parent) not in told and "/home" not in told
    assert not re.search(r"\.\.$", told)
