"""How people run the files."""

from zoo.contract.exporting.artifact import Snippet


def readme(paths):
    graph, weights = paths["graph"].name, paths["weights"].name
    return f"## Python, with numpy\n\n`zoo_npz` runs `{graph}`, the steps, with `{weights}`, the weights.\n"


def snippet(paths, runner):
    files = ", ".join(f'"{role}": here / "{path.name}"' for role, path in paths.files.items())
    return Snippet(
        imports="from zoo_npz.running import load, values",
        setup=f"graph, weights = load({{{files}}})",
        run='values(graph, weights, images)[graph["logits"]]',
        needs="zoo-npz",
    )
