"""Examples of mistakes are images that the model gets wrong in just that way, first ones first."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from zoo.contract.errors import PluginError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import InMemorySplit
from zoo.evaluation.mistakes import find_mistakes

GREY = Preprocess(size=(1, 1), mean=(0.0,), std=(1.0,))


class Says(nn.Module):
    """Classifies image `i`, whose only pixel is `i`, as told."""

    def __init__(self, predicted: list[int], classes: int) -> None:
        super().__init__()
        self.logits = torch.nn.functional.one_hot(torch.tensor(predicted), classes).float()

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        return self.logits[(images * 255).round().long().flatten()]


@given(
    st.integers(1, 4).flatmap(
        lambda classes: st.tuples(
            st.just(classes),
            st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=40),
            st.sets(st.tuples(*[st.integers(0, classes - 1)] * 2)),
        )
    ),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_each_pair_gets_its_first_images(
    drawn: tuple[int, list[tuple[int, int]], set[tuple[int, int]]], each: int, batch_size: int
) -> None:
    classes, images, pairs = drawn
    model = Says([predicted for _, predicted in images], classes).train()
    pixels = torch.arange(len(images), dtype=torch.uint8).view(-1, 1, 1, 1)
    held = InMemorySplit(pixels, torch.tensor([true for true, _ in images]))
    result = find_mistakes(model, held, GREY, pairs, num_classes=classes, each=each, batch_size=batch_size)
    assert {pair: [int(one.image) for one in some] for pair, some in result.items()} == {
        pair: [place for place, actual in enumerate(images) if actual == pair][:each] for pair in pairs
    }
    for one in (one for some in result.values() for one in some):
        assert one.index == int(one.image) and one.image.shape == (1, 1, 1) and one.image.dtype == torch.uint8
    assert model.training


def test_a_model_that_gives_no_logits_is_told_so() -> None:
    held = InMemorySplit(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(PluginError, match="logits"):
        find_mistakes(Says([0, 0], 2), held, GREY, {(0, 1)}, num_classes=3, each=1)
