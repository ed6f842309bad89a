"""Make the index of the installed timm, in the user's cache: `python -m zoo_timm.catalogue`.

`--output FILE` writes it elsewhere; zoo itself comes with one, `plugins/zoo_timm/index.json`. Every model is built
once, without storage, which takes about 20 minutes of one core. Rows of an earlier run are kept in FILE.rows, so that a
run that was interrupted goes on where it stopped.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from timm.data.config import resolve_data_config
from timm.models import PretrainedCfg, get_pretrained_cfg

from zoo_timm.index import cached_index
from zoo_timm.measure import measure


def make_index(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The index of the installed timm.

    Args:
        rows: by model, what `zoo_timm.measure.measure` returns.
    """
    modules = sorted({row["module"] for row in rows.values()})
    preprocesses: dict[str, int] = {}  # by their JSON
    params: dict[str, int] = {}
    models = {}
    for name, row in sorted(rows.items()):
        declared = {
            "rates": row["rates"],
            "pools": row["pools"],
            "img_size": row["size"] if row["sized"] and row["sizes"] else None,
        }
        models[name] = [
            modules.index(row["module"]),
            row["size"],
            row["classes"],
            row["parameters"],
            preprocesses.setdefault(json.dumps(_data_config(name, row["size"])), len(preprocesses)),
            params.setdefault(json.dumps(declared), len(params)),
            row["sizes"],
            row["min_size"],
            row["channels"],
            tags_of(name),
        ]
    return {
        "format": 1,
        "timm": timm.__version__,
        "modules": modules,
        "preprocess": [json.loads(each) for each in preprocesses],
        "params": [json.loads(each) for each in params],
        "models": models,
    }


def tags_of(name: str) -> list[str]:
    """The tags of the published weights of a model that classify images."""
    tags = (full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*"))
    return [tag for tag in tags if tag and (cfg := get_pretrained_cfg(f"{name}.{tag}")) and cfg.num_classes > 0]


def text(index: Mapping[str, Any]) -> str:
    """The index as JSON, one line a model."""
    head = {key: value for key, value in index.items() if key != "models"}
    lines = (f"{json.dumps(name)}:{json.dumps(row, separators=(',', ':'))}" for name, row in index["models"].items())
    return json.dumps(head, indent=0, separators=(",", ":"))[:-2] + ',\n"models":{\n' + ",\n".join(lines) + "\n}}\n"


def _known(name: str) -> PretrainedCfg:
    cfg = get_pretrained_cfg(name)
    if cfg is None:
        raise ValueError(f"timm has no configuration of {name}")
    return cfg


def _data_config(name: str, size: int) -> dict[str, Any]:
    config = resolve_data_config(pretrained_cfg=_known(name).to_dict())
    keys = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")
    square = config["input_size"][1] == config["input_size"][2]
    # zoo's images are squares: those of other models, which have no published classifier, are resized to one
    changed = {} if square else {"input_size": (3, size, size), "crop_mode": "squash", "crop_pct": 1.0}
    if config["crop_pct"] > 1:  # black borders, which `preprocess_of` refuses for published weights; see there
        changed["crop_pct"] = 1.0
    return {key: changed.get(key, config[key]) for key in keys}


def main() -> None:
    """Measure what was not measured yet, and write the index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=cached_index(timm.__version__))
    output: Path = parser.parse_args().output
    output.parent.mkdir(parents=True, exist_ok=True)
    kept = output.with_name(f"{output.name}.rows")
    with kept.open("a+", encoding="utf-8") as file:
        file.seek(0)
        rows = dict(json.loads(line) for line in file if line.endswith("\n"))
        for name in timm.list_models():
            if name not in rows:
                rows[name] = measure(name)
                file.write(json.dumps([name, rows[name]]) + "\n")
                file.flush()
    output.write_text(text(make_index(rows)), encoding="utf-8")
    kept.unlink()


if __name__ == "__main__":
    main()
