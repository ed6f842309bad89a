"""Height and width may be dynamic, and are then judged at sizes that were not traced."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError, ZooError
from zoo.contract.exporting.artifact import Paths
from zoo.contract.preprocess import Preprocess
from zoo_export.capture import Capture
from zoo_export.formats.torchscript import format as torchscript_format
from zoo_export.probes.probes import make_probes
from zoo_export.probes.sizes import other_sizes
from zoo_export.verify import verify_folder

SMALLEST = 4


class Pooled(nn.Module):
    """Takes images of any size; `says` may do something else at some of them."""

    def __init__(self, says: Callable[[Tensor, Tensor], Tensor] = lambda features, images: features) -> None:
        super().__init__()
        self.says = says
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.conv, self.head = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.says(self.conv(images).sigmoid(), images).mean((2, 3)))


@pytest.fixture
def made(make_model, try_export) -> Path:
    return Path(
        try_export(make_model(Pooled()), "onnx", "torchscript", "pt2", dynamic_size=True, min_size=SMALLEST).path
    )


def test_it_is_judged_at_sizes_that_were_not_traced_and_says_so(registry, made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["input"]["shape"] == ["batch", 3, "height", "width"]
    assert manifest["input"]["min_size"] == SMALLEST
    sizes = [probe["name"] for probe in manifest["certificate"]["probes"] if probe["name"].startswith("size-")]
    larger, smaller = ([int(side) for side in name.removeprefix("size-").split("x")] for name in sizes[:2])
    assert larger[0] > 8 and larger[1] > 8 and larger[0] != larger[1]
    assert smaller[0] < 8 and smaller[1] < 8
    for found in manifest["certificate"]["artifacts"].values():
        assert set(sizes) <= {one["probe"] for one in found["comparisons"]}
    assert verify_folder(registry, made).comparisons
    assert zoo_runtime.verify(made).passed


def test_the_graph_names_height_and_width(made: Path) -> None:
    (value,) = onnx.load(made / "model.onnx").graph.input
    assert [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] == [
        "batch",
        3,
        "height",
        "width",
    ]


@pytest.mark.parametrize("size", [(4, 4), (5, 31), (64, 8), (33, 33)])
def test_the_runtime_takes_any_size_and_predict_keeps_its_own(made: Path, size: tuple[int, int]) -> None:
    model = zoo_runtime.Model(made)
    images = np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32)
    with torch.no_grad():
        expected = Pooled()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(model.run(images), expected, rtol=1e-4, atol=1e-5)
    assert model.prepare(np.zeros((50, 60, 3), np.uint8)).shape == (3, 8, 8)


def test_without_it_another_size_is_refused_as_before(exported) -> None:
    with pytest.raises(zoo_runtime.Error, match="shape"):
        zoo_runtime.Model(exported.path).run(np.zeros((1, 3, 9, 8), np.float32))


def test_a_model_that_takes_one_size_only_is_refused(make_model, try_export, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        try_export(make_model(), "torchscript", dynamic_size=True, min_size=SMALLEST)
    assert "--dynamic-size" in caught.value.next_step
    assert not list(tmp_path.iterdir())


def test_an_architecture_that_says_its_sizes_is_refused(run_zoo, tmp_path: Path) -> None:
    ran = run_zoo("export", "lenet5.digits", "-o", str(tmp_path / "out"), "-f", "torchscript", "--dynamic-size")
    assert ran.code == 1 and "28, 32" in ran.err and "--dynamic-size" in ran.err
    assert not list(tmp_path.iterdir())


def test_a_branch_on_a_size_that_was_not_traced_is_found(make_model, try_export, tmp_path: Path) -> None:
    """Nothing would run that size by chance: the capture's own assumption tells."""
    model = make_model(Pooled(lambda features, images: features * 2 if images.shape[-1] == 29 else features))
    with pytest.raises(DifferenceError, match="size-29x29"):
        try_export(model, "onnx", dynamic_size=True, min_size=SMALLEST)
    assert not list(tmp_path.iterdir())


def test_an_artifact_with_the_size_baked_in_is_not_published(make_model, make_registry, try_export, tmp_path) -> None:
    def baked(capture: Capture, paths: Paths) -> None:
        class Baked(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = capture.module

            def forward(self, images: Tensor) -> Tensor:
                return self.inner(images[:, :, :8, :8])

        torchscript_format.export(Capture(capture.name, Baked().eval(), capture.card), paths)

    registry = make_registry(baked, torchscript_format.runner)
    with pytest.raises(DifferenceError, match="size-"):
        try_export(make_model(Pooled()), "planted", registry=registry, dynamic_size=True, min_size=SMALLEST)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("size", "smallest"), [((8, 8), 1), ((8, 8), 8), ((224, 200), 33), ((1, 1), 1), ((2, 9), 2)])
def test_there_are_two_sizes_at_least_and_none_is_too_small(size: tuple[int, int], smallest: int) -> None:
    found = other_sizes(size, smallest)
    assert len(set(found)) >= 2 and size not in found
    assert any(height > size[0] and width > size[1] and height != width for height, width in found)
    assert all(min(each) >= smallest for each in found)


def test_more_sizes_leave_the_other_probes_as_they_are() -> None:
    preprocess = Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,))
    few, more = make_probes(preprocess), make_probes(preprocess, sizes=[(9, 12)])
    assert [probe.name for probe in more] == [*(probe.name for probe in few), "size-9x12"]
    assert all(np.array_equal(one.images, other.images) for one, other in zip(few, more, strict=False))
    assert more[-1].images.shape == (2, 1, 9, 12)


def test_half_precision_and_dynamic_sizes_go_together(make_model, try_export, registry) -> None:
    try:
        made = try_export(make_model(Pooled()), "onnx", dynamic_size=True, min_size=SMALLEST, precision="fp16")
    except ZooError as error:
        pytest.fail(error.cause)
    assert made.manifest.to_dict()["input"]["shape"][2:] == ["height", "width"]
    assert verify_folder(registry, made.path).comparisons
