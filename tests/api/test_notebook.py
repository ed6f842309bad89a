"""The Python API in under 15 lines, as one would type them into a notebook."""

from pathlib import Path

import zoo

PICTURE = Path(__file__).parents[2] / "examples" / "seven.png"
NOTEBOOK = """
import onnx, torch, zoo
from PIL import Image
names = zoo.list_models("lenet*", pretrained=True)
net = zoo.create_model("lenet5", num_classes=7)
model = zoo.load("lenet5.digits")
best = model.predict(Image.open(PICTURE), top=3)[0]
mine = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 4))
out = zoo.export(mine, "exports/mine", formats=["onnx"], input_shape=(3, 8, 8), labels=["ant", "bee", "cat", "dog"])
agrees = zoo.verify(out.artifacts["onnx"], against=mine, input_shape=(3, 8, 8))
graph = onnx.load(out.artifacts["onnx"])
scaled = 1.01 * onnx.numpy_helper.to_array(graph.graph.initializer[0])
graph.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(scaled, graph.graph.initializer[0].name))
onnx.save(graph, "damaged.onnx")
"""
DAMAGED = 'zoo.verify("damaged.onnx", against=mine, input_shape=(3, 8, 8))'


def test_a_notebook_of_under_15_lines(here: Path) -> None:
    cells = {"PICTURE": PICTURE}
    assert len(f"{NOTEBOOK.strip()}\n{DAMAGED}".splitlines()) < 15
    exec(NOTEBOOK, cells)
    assert "lenet5.digits" in cells["names"]
    assert cells["best"] == zoo.load("lenet5.digits").predict(PICTURE)[0] and cells["best"].label == "7"
    out = cells["out"]
    assert (out.verdict, out.certificate.verdict, out.path) == ("pass", "pass", Path("exports/mine"))
    assert out.manifest.labels == ("ant", "bee", "cat", "dog")
    assert (cells["agrees"].verdict, set(cells["agrees"].comparisons)) == ("pass", {"onnx"})
    try:
        exec(DAMAGED, cells)
    except zoo.DifferenceError as error:
        assert "damaged.onnx" in error.cause
        assert error.details["verdict"] == "fail"
        assert error.__notes__ == [error.next_step]
    else:
        raise AssertionError("the damaged file passed")
