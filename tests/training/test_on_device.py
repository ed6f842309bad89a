"""A step, or a batch of an evaluation, does all its work on the device and never waits for it.

The device is `meta`, which every machine has: its tensors have no values, so that whoever reads one fails. Whatever
else would fail or wait on a GPU is refused by `OnlyThere`.
"""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Loss
from zoo.data.batches import Batch, InMemorySplit
from zoo.data.datasets import LoadedDataset
from zoo.evaluation.evaluate import evaluate
from zoo.models.losses import build_loss
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry
from zoo.training.checkpoint.state import State
from zoo.training.plan import make_plan
from zoo.training.recipe.recipe import Recipe
from zoo.training.step_rng import to_device
from zoo.training.trainer import Trainer, augment_ahead
from zoo_classic.resnet_cifar import CifarResNet

META = torch.device("meta")
PREPROCESS = Preprocess(size=(16, 16), mean=(0.5,) * 3, std=(0.2,) * 3)
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {"crop": 0, "hflip": False},
    "sgd": {"opt": "sgd", "clip_grad": 0.5, "grad_accum_steps": 2, "sched": "step"},
    "muon": {"opt": "muon", "sched": "one_cycle", "model_ema_decay": 0.9},
    "mixup": {"mixup": 0.3},
    "cutmix": {"cutmix": 1.0, "aa": "trivial", "reprob": 0.5},
    "sampler": {"balance": "sampler", "hold_out": 0.2},
}


class OnlyThere(TorchDispatchMode):
    """Refuses operations on tensors of two devices, and blocking copies between them, except those of `to_device`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, result)) if isinstance(value, Tensor)]
        devices = {value.device.type for value in tensors if value.ndim}  # a CPU scalar is as good as a number
        waits = not (kwargs or {}).get("non_blocking") and not _uploading(sys._getframe())
        if len(devices) > 1 and waits:
            raise RuntimeError(f"{func} has tensors on more than one device")
        return result


def _uploading(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not to_device.__code__:
        frame = frame.f_back
    return frame is not None


def taken(recipe: Recipe, loss: str, **params: object) -> State:
    """The state after the steps of an epoch; the run is planned on the CPU."""
    labels = torch.arange(160) % 10
    images = torch.empty(160, 3, 16, 16, dtype=torch.uint8)
    here, there = InMemorySplit(images, labels), InMemorySplit(images.to(META), labels.to(META))
    data = LoadedDataset(name="grey", classes=tuple("abcdefghij"), preprocess=PREPROCESS, train=here, test=here)
    with META:
        state = State.initial(CifarResNet(num_classes=10, in_channels=3, depth=8), recipe, META)
    plan = make_plan(recipe, data, True)
    built = build_loss(Registry(discover()).find(Loss, loss), params, META)
    run = Trainer(state, plan, recipe, data, built, META)
    state.train_mode()
    order = run.rng.order(plan.train.n, 1, plan.balanced_sampler)
    batches = there.epoch(plan.batch_size, order[: plan.steps * plan.batch_size * plan.grad_accum_steps])
    batches = iter(list(batches))
    with OnlyThere():
        for chosen in augment_ahead(batches, run.augmenter, run.rng, 0, plan.grad_accum_steps):
            run.step(chosen)
    assert state.step == plan.steps
    return state


@pytest.mark.parametrize("name", RECIPES)
def test_the_steps_of_an_epoch(name: str) -> None:
    state = taken(Recipe(architecture="resnet20", data="grey", batch_size=32, **RECIPES[name]), "cross_entropy")
    assert {value.device for value in (state.loss_sum, state.finite_steps, *state.module.state_dict().values())} == {
        META
    }


@pytest.mark.parametrize(
    ("loss", "params"),
    [
        ("cross_entropy", {"class_weights": (1.0,) * 10, "label_smoothing": 0.1}),
        ("focal", {"class_weights": (1.0,) * 10}),
        ("bce_with_logits", {"pos_weight": (1.0,) * 10}),
        ("mse", {}),
    ],
)
def test_losses(loss: str, params: dict[str, object]) -> None:
    taken(Recipe(architecture="resnet20", data="grey", batch_size=32, mixup=0.2, cutmix=1.0), loss, **params)


def test_an_evaluation_reads_nothing_before_its_end() -> None:
    seen = []

    class Counted(InMemorySplit):
        def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
            for batch in super().epoch(batch_size, order):
                seen.append(len(batch[1]))
                yield batch

    with META:
        module = CifarResNet(num_classes=10, in_channels=3, depth=8)
        split = Counted(torch.empty(160, 3, 16, 16, dtype=torch.uint8), torch.zeros(160, dtype=torch.int64))
    loss = build_loss(Registry(discover()).find(Loss, "cross_entropy"), {}, META)
    with pytest.raises(NotImplementedError, match="meta"), OnlyThere():
        evaluate(module, split, PREPROCESS, loss, num_classes=10, device=META, batch_size=64)
    assert seen == [64, 64, 32]


def test_what_reads_a_value_or_mixes_devices_fails_here() -> None:
    """Else nothing above would show anything."""
    there, here = torch.ones(2, device=META), torch.ones(2)
    with pytest.raises(RuntimeError, match="meta"):
        float(there.sum())
    for mixes in (lambda: there.sub_(here), lambda: there[torch.tensor([0])], lambda: here.to(META)):
        with pytest.raises(RuntimeError, match="more than one device"), OnlyThere():
            mixes()
    with OnlyThere():
        to_device(here, META)
