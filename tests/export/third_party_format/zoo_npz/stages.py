"""The way from the model to its files: the captured graph, quantised weights in int8, the files."""

from zoo.contract.exporting.artifact import Place, Stage
from zoo_npz.running import load, unpacked, values
from zoo_npz.writing import graph_of, packed


def stages(capture, paths, own):
    """Each stage and, of the files, the first value that is not the one that should have been stored."""
    graph, weights = graph_of(capture)
    quantised = unpacked({k: part for n, w in weights.items() for k, part in packed(n, w, capture.precision)})
    if own:
        yield Stage("the captured graph", lambda images: values(graph, weights, images)[graph["logits"]])
        if capture.precision == "int8":
            yield Stage("the quantised weights", lambda images: values(graph, quantised, images)[graph["logits"]])

    def run(images):
        stored, stored_weights = load(paths)
        return values(stored, stored_weights, images)[stored["logits"]]

    def locate(images):
        expected, found = values(graph, quantised, images), values(*load(paths), images)
        wrong = (step for step in graph["steps"] if not (expected[step["name"]] == found[step["name"]]).all())
        return next((Place(step["name"], step["module"]) for step in wrong), None)

    yield Stage("the exported files", run, locate)
