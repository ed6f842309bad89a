"""The three training loops that `benchmarks/train.py` times: zoo's, a bare step, and the usual PyTorch loop.

All train the same architecture with the same batch size, AdamW with the same settings, and cross-entropy, in float32;
or zoo and the bare step by bf16 autocast, where the recipe asks for it. Each is a class whose
`seconds(steps)` is the wall time of that many steps, with an optimizer of its own.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, RandomSampler
from torchvision import datasets, transforms

from zoo.contract.preprocess import Preprocess
from zoo.data.batches import InMemorySplit
from zoo.training.checkpoint.state import State
from zoo.training.optim.param_groups import make_optimizers
from zoo.training.prepare import Job
from zoo.training.trainer import Trainer

WORKERS = 2
FILL = 4  # batches that two workers prepare ahead


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _model(job: Job, channels_last: bool) -> nn.Module:
    model = job.model().to(job.paths.device)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    return model.train()


class Zoo:
    """zoo's own loop for an epoch: order of images, batches, random numbers, checks and counters."""

    def __init__(self, job: Job) -> None:
        self.job, self.model = job, _model(job, channels_last=True)

    def seconds(self, steps: int) -> float:
        """Of the steps alone, without the evaluation at the end of the epoch."""
        job, device = self.job, self.job.paths.device
        images, labels = next(job.data.test.epoch(job.plan.batch_size))
        plan = replace(job.plan, steps=steps, epochs=1, eval_split=InMemorySplit(images, labels))
        state = State.initial(self.model, job.recipe, device)
        ended = 0.0

        def step_ended() -> None:
            nonlocal ended
            ended = time.perf_counter()

        trainer = Trainer(state, plan, job.recipe, job.data, job.loss, device, on_step_end=step_ended)
        _wait(device)
        started = time.perf_counter()
        trainer.train()  # it waits for the device before the last `on_step_end`
        return ended - started


class Bare:
    """Forward, backward and the optimizer's step on one random batch on the device: no data loading at all."""

    def __init__(self, job: Job) -> None:
        self.job, self.model = job, _model(job, channels_last=True)
        shape = (job.plan.batch_size, *job.data.preprocess.input_shape)
        device = job.paths.device
        self.images = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(len(job.data.classes), shape[:1], device=device)

    def seconds(self, steps: int) -> float:
        """Of the steps."""
        optimizers = make_optimizers(self.model, self.job.recipe)
        _wait(self.job.paths.device)
        started = time.perf_counter()
        for _ in range(steps):
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.images.device.type, torch.bfloat16, enabled=bool(self.job.recipe.amp)):
                logits = self.model(self.images)
            loss = cross_entropy(logits.float(), self.labels)
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
        _wait(self.job.paths.device)
        return time.perf_counter() - started


class Common:
    """torchvision's data set and transforms, a DataLoader of two workers, and the loop of PyTorch's tutorials.

    Args:
        data: the folder that holds `FashionMNIST/raw`, or `train/CLASS/*.jpg`.
    """

    def __init__(self, job: Job, data: Path) -> None:
        self.job, self.model = job, _model(job, channels_last=False)
        transform = _transform(job.data.preprocess, job.plan.crop)
        self.dataset: Any = (
            datasets.FashionMNIST(data, train=True, transform=transform)
            if (data / "FashionMNIST").is_dir()
            else datasets.ImageFolder(data / "train", transform=transform)
        )

    def seconds(self, steps: int) -> float:
        """Of the steps in steady state: the workers' queues are filled before, and stay full to the end."""
        job, device = self.job, self.job.paths.device
        batches = FILL + steps + FILL
        loader = DataLoader(
            self.dataset,
            batch_size=job.plan.batch_size,
            sampler=RandomSampler(self.dataset, num_samples=batches * job.plan.batch_size, replacement=True),
            num_workers=WORKERS,
            pin_memory=device.type == "cuda",
        )
        assert job.recipe.lr is not None and job.recipe.weight_decay is not None
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=job.recipe.lr, weight_decay=job.recipe.weight_decay)
        criterion = nn.CrossEntropyLoss()
        running, started = 0.0, 0.0
        for number, (images, labels) in enumerate(loader):
            if number == FILL:
                _wait(device)
                started = time.perf_counter()
            if number == FILL + steps:
                break
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(self.model(images), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
        return time.perf_counter() - started


def _transform(preprocess: Preprocess, crop: int) -> Any:
    steps: list[Any] = [transforms.Grayscale()] if preprocess.channels == 1 else []
    steps += [transforms.RandomCrop(preprocess.size, padding=crop), transforms.RandomHorizontalFlip()]
    steps += [transforms.ToTensor(), transforms.Normalize(preprocess.mean, preprocess.std)]
    return transforms.Compose(steps)
