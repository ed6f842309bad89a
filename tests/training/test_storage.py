"""Large weights are kept in bfloat16, and what is said of them is measured on what is kept."""

from collections.abc import Callable

import pytest
import torch

from zoo.files.header import read_header
from zoo.files.weights import load_weights
from zoo.models.load import open_model
from zoo.registry.registry import Registry
from zoo.training import job as job_module
from zoo.training.checkpoint import storage_dtype as storage
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe

Make = Callable[..., Recipe]
Put = Callable[..., RunPaths]


def test_large_weights_are_stored_as_bfloat16(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(params={"width": 64})
    whole = run_job(small, made, paths("whole"))
    assert whole.card.storage_dtype == ""
    assert {info.dtype for info in read_header(whole.path).tensors.values()} == {"F32", "I64"}
    monkeypatch.setattr(storage, "LIMIT", 100_000)
    half = run_job(small, made, paths("half"))
    assert half.path.stat().st_size < 0.6 * whole.path.stat().st_size
    assert half.card.storage_dtype == "bfloat16"
    kept, before = load_weights(half.path).tensors, load_weights(whole.path).tensors
    for name, value in before.items():
        assert torch.equal(kept[name], value.bfloat16() if value.ndim > 1 else value), name
    module = open_model(small, str(half.path)).module
    assert all(torch.equal(value, kept[name].to(value.dtype)) for name, value in module.state_dict().items())
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_metrics_are_those_of_the_stored_weights(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    evaluate = job_module.evaluate_distributed

    def watch(module: torch.nn.Module, *rest: object, **more: object) -> object:
        seen.append({name: value.clone() for name, value in module.state_dict().items()})
        return evaluate(module, *rest, **more)

    monkeypatch.setattr(storage, "LIMIT", 0)
    monkeypatch.setattr(job_module, "evaluate_distributed", watch)
    done = run_job(small, recipe(epochs=1), paths("half"))
    (measured,) = seen
    assert all(
        torch.equal(measured[name], value.to(measured[name].dtype))
        for name, value in load_weights(done.path).tensors.items()
    )


def test_initial_weights_may_be_stored_as_bfloat16(
    small: Registry, recipe: Make, paths: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert storage.LIMIT == 30_000_000
    at = {"a": torch.zeros(7_500_000 // 5, 5)}
    assert storage.as_stored(at)[1] == "" and storage.as_stored({**at, "b": torch.zeros(1)})[1] == "bfloat16"
    monkeypatch.setattr(storage, "LIMIT", 0)
    first = run_job(small, recipe(epochs=1), paths("first"))
    second = run_job(small, recipe(epochs=1, initial_checkpoint=str(first.path)), paths("second"))
    assert second.card.storage_dtype == "bfloat16"
