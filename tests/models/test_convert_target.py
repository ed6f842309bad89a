"""A batch's target reaches a loss in the form that it asks for, and never loses what it says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zoo.contract.errors import DataError
from zoo.models.losses import convert_target

INDICES = st.lists(st.integers(0, 4), min_size=1, max_size=6).map(torch.tensor)


@given(INDICES)
def test_indices_and_one_hot_scores_are_turned_into_each_other(index: torch.Tensor) -> None:
    scores = convert_target(index, "scores", 5)
    assert (scores.dtype, scores.shape) == (torch.float32, (len(index), 5))
    assert all(scores[row].tolist() == [float(k == index[row]) for k in range(5)] for row in range(len(index)))
    back = convert_target(scores, "index", 5)
    assert back.dtype == torch.int64
    assert torch.equal(back, index)


def test_a_loss_that_takes_either_gets_what_there_is() -> None:
    index, soft = torch.tensor([1, 0]), torch.tensor([[0.2, 0.8], [1.0, 0.0]])
    assert convert_target(index, "either", 2) is index
    assert torch.equal(convert_target(soft, "either", 2), soft)
    assert torch.equal(convert_target(soft, "scores", 2), soft)
    assert convert_target(soft.double(), "scores", 2).dtype == torch.float32


@pytest.mark.parametrize("row", [[0.5, 0.5], [0.9, 0.1], [1.0, 1.0], [0.0, 0.0], [1.0, 0.01]])
def test_a_soft_target_is_not_cut_down_to_an_index(row: list[float]) -> None:
    with pytest.raises(DataError) as caught:
        convert_target(torch.tensor([[1.0, 0.0], row]), "index", 2)
    assert "cross_entropy" in caught.value.next_step
