"""`--torchcompile`: a compiled run is stored like any other and goes on like any other."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.files.header import read_header
from zoo.files.weights import load_weights
from zoo.registry.registry import Registry
from zoo.training.checkpoint.saver import Saver
from zoo.training.job import run_job
from zoo.training.prepare import RunPaths
from zoo.training.recipe.recipe import Recipe
from zoo.training.resume import ResumeOverrides, find_run, resume_job


@pytest.mark.slow
def test_compiled_run_resumes_and_keeps_names(
    small: Registry,
    recipe: Callable[..., Recipe],
    paths: Callable[..., RunPaths],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    compiled = []
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **how: compiled.append(module) or compile_(module, **how))
    made = recipe(epochs=1, torchcompile=True, params={"width": 2})
    done = run_job(small, made, paths("same"))
    assert len(compiled) == 1
    expected = done.path.read_bytes()
    assert sorted(read_header(done.path).tensors) == sorted(compiled[0].state_dict())
    plain = load_weights(run_job(small, recipe(epochs=1, params={"width": 2}), paths("plain")).path).tensors
    for name, value in load_weights(done.path).tensors.items():
        if "num_batches" not in name and not name.startswith(("1.", "5.")):  # dropout draws differ, so only roughly
            assert (value.double() - plain[name].double()).abs().max() < 0.05, name

    done.path.unlink()
    done.run.rename("done")
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_job(small, made, paths("same"))
    assert resume_job(small, *find_run("same"), ResumeOverrides()).path.read_bytes() == expected
