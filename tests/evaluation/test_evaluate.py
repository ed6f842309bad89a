"""The figures of an evaluation are those that one gets by hand, whatever the batch size."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.contract.errors import PluginError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import InMemorySplit
from zoo.evaluation.calibration import BINS
from zoo.evaluation.evaluate import Evaluation, evaluate
from zoo.models.forward import check_logits

GREY = Preprocess(size=(1, 1), mean=(0.0,), std=(1.0,))
CPU = torch.device("cpu")


class Table(nn.Module):
    """Gives image `i`, whose only pixel is `i`, the logits of row `i`."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)
        self.seen_training: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen_training.append(self.training)
        return self.logits[(images * 255).round().long().flatten()]


def measure(logits: Tensor, labels: Tensor, batch_size: int = 2) -> Evaluation:
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    held = InMemorySplit(images, labels)
    classes = logits.shape[1]
    return evaluate(Table(logits), held, GREY, cross_entropy, num_classes=classes, device=CPU, batch_size=batch_size)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 20), st.integers(0, 999))
def test_figures_are_those_of_a_computation_by_hand(classes: int, n: int, batch_size: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator)
    labels = torch.randint(0, classes, (n,), generator=generator)
    actual = measure(logits, labels, batch_size)

    confusion = [[0] * classes for _ in range(classes)]
    among_five, loss = 0, 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        order = sorted(range(classes), key=lambda k: -row[k])
        confusion[label][order[0]] += 1
        among_five += label in order[:5]
        loss -= float(torch.tensor(row, dtype=torch.float64).log_softmax(0)[label])
    assert actual.confusion.tolist() == confusion
    assert actual.n == n
    assert actual.top1 == pytest.approx(sum(confusion[k][k] for k in range(classes)) / n)
    assert actual.top5 == pytest.approx(among_five / n)
    assert actual.loss == pytest.approx(loss / n, rel=1e-5)


def test_smaller_last_batch_is_weighted_by_its_size() -> None:
    logits, labels = torch.tensor([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0]]), torch.tensor([0, 0, 1])
    assert measure(logits, labels, 2).loss == pytest.approx(measure(logits, labels, 3).loss)


def test_the_card_gets_each_figure_with_what_it_was_measured_on() -> None:
    metrics = measure(torch.eye(3), torch.tensor([0, 1, 0])).metrics("digits", "test")
    assert [(m.name, m.dataset, m.split, m.n) for m in metrics] == [
        (name, "digits", "test", 3) for name in ("top1", "top5", "loss")
    ]
    assert metrics[0].value == pytest.approx(2 / 3)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_runs_in_evaluation_mode_and_is_put_back(training: bool) -> None:
    table = Table(torch.eye(2)).train(training)
    held = InMemorySplit(torch.zeros(4, 1, 1, 1, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    evaluate(table, held, GREY, cross_entropy, num_classes=2, device=CPU)
    assert table.seen_training == [False]
    assert table.training is training
    with pytest.raises(PluginError):
        evaluate(table, held, GREY, cross_entropy, num_classes=3, device=CPU)
    assert table.training is training


@pytest.mark.parametrize(
    ("logits", "named"),
    [
        (torch.zeros(2, 4), r"a tensor \(2, 4\)"),
        (torch.zeros(3, 3), r"a tensor \(3, 3\)"),
        (torch.zeros(2, 3, 1), r"a tensor \(2, 3, 1\)"),
        (torch.zeros(2, 3, dtype=torch.int64), r"a tensor \(2, 3\) of torch\.int64"),
        ((torch.zeros(2, 3), None), "a tuple"),
        (None, "a NoneType"),
    ],
)
def test_what_is_not_logits_is_the_models_fault(logits: object, named: str) -> None:
    with pytest.raises(PluginError, match=rf"{named}.*\(2, 3\)"):
        check_logits(logits, 2, 3)


class Watch(TorchDispatchMode):
    """Notes operations whose result the host has to wait for on a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "bincount", "masked_select", "_unique2", "equal", "one_hot")

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.WAITING:
            self.waits.append(name)
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def test_syncs_and_memory_do_not_grow_with_batches() -> None:
    watched = []
    for batches in (1, 40):
        labels = torch.arange(4 * batches) % 3
        images = torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8)
        with Watch() as watch:
            evaluate(
                Table(torch.eye(3)),
                InMemorySplit(images, labels),
                GREY,
                cross_entropy,
                num_classes=3,
                device=CPU,
                batch_size=4,
            )
        watched.append(watch)
    assert watched[0].waits == watched[1].waits
    assert watched[0].largest == watched[1].largest == 4 * BINS


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 99))
def test_confusion_sums_and_interval_are_consistent(classes: int, n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (n,), generator=generator)
    actual = measure(torch.randn(n, classes, generator=generator), labels)
    assert actual.confusion.sum(1).tolist() == [labels.tolist().count(k) for k in range(classes)]
    assert actual.confusion.sum() == actual.calibration.count.sum() == actual.n == n
    assert actual.calibration.correct.sum() == actual.confusion.diagonal().sum()
    low, high = actual.interval
    assert low <= actual.top1 <= high
