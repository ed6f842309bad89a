"""Export every classifier of a collection up to 150 M parameters in every format, and keep what came of each.

Run: python benchmarks/catalogue.py [--collection timm] [--per-module] [--shard 1/4] [--models a,b] [--limit SECONDS]

The result is `benchmarks/catalogue.json`, one entry a model, and `benchmarks/catalogue.md`, the table; for timm,
`catalogue_timm.json` and `catalogue_timm.md`. A model that is in the result already, with the same versions, is not run
again: a run that was cut off goes on where it stopped, and processes with different shards write into one result.

Torchvision's models are exported in all formats at once. Those of other collections are exported in one format after
another, so that each format has a verdict of its own, and one that takes more than `--model-limit` is ended. The
smallest model of each module comes first; `--per-module` runs those alone.
"""

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from filelock import FileLock
from pairs import zoo

from zoo.contract.specs import Architecture
from zoo.files.atomic import write_file
from zoo.files.environment import versions
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry

HERE = Path(__file__).parent
MOST = 150_000_000  # parameters
FORMATS = ("onnx", "torchscript", "pt2")
PACKAGES = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime-gpu")


def measure(name: str) -> dict[str, Any]:
    """Export one model in a process of its own, on one thread. Peak memory is of that process, in MB.

    Seconds are of the processor, user and system: whatever else the machine does changes them little.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [zoo(), "export", name, "-f", ",".join(FORMATS), "-o", str(Path(folder, name)), "--json"]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=one_thread)
        out, err = process.communicate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result: dict[str, Any] = {
        "code": process.returncode,
        "seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1000),
    }
    if process.returncode:
        why = [line for line in err.splitlines() if line.startswith("error: ")]
        return {**result, "verdict": "different" if process.returncode == 3 else "refused", "why": (why or [err])[-1]}
    parsed = json.loads(out)
    ratios = {key: max(each["ratio"] for each in made["comparisons"]) for key, made in parsed["artifacts"].items()}
    coverage = parsed["coverage"]
    shares = {"own": coverage["by_weights"]["own_weights"], "both": coverage["fraction"]}
    return {**result, "verdict": "pass", "ratio": ratios, "coverage": shares}


def table(results: dict[str, Any], made: dict[str, str]) -> str:
    """The results as Markdown."""
    lines = [
        f"Fresh weights of seed 0, {platform.machine()}, {os.cpu_count()} cores, Python {made['python']}, "
        + ", ".join(f"{key} {value}" for key, value in made.items() if key != "python")
        + ". Errors are the largest of all comparisons, in rounding errors (tolerance 20). CPU seconds, on one thread, "
        "and peak memory are of the whole command, all three formats.",
        "",
        f"| model | verdict | {' | '.join(FORMATS)} | coverage, own weights | with probe weights | seconds | peak MB |",
        "| --- | --- | " + "--- | " * (len(FORMATS) + 4),
    ]
    for name, outcome in sorted(results.items()):
        ratios = [f"{outcome['ratio'][key]:.1f}" if "ratio" in outcome else "" for key in FORMATS]
        coverage = outcome.get("coverage", {})
        shares = [f"{100 * coverage[key]:.0f} %" if coverage else "" for key in ("own", "both")]
        verdict = outcome["verdict"] + (f": {outcome['why']}" if "why" in outcome else "")
        lines.append(
            f"| {' | '.join([name, verdict, *ratios, *shares, str(outcome['seconds']), str(outcome['peak_mb'])])} |"
        )
    return "\n".join(lines) + "\n"


def measure_formats(name: str, limit: float) -> dict[str, Any]:
    """Export one model in one format after another, each in a process of its own that may take `limit` seconds.

    Returns:
        By format: the verdict (`pass`, `different`, `refused` or `timeout`), the reason, the worst error, the coverage,
        the CPU seconds and the peak memory.
    """
    return {each: _measure_format(name, each, limit) for each in FORMATS}


def _measure_format(name: str, format_: str, limit: float) -> dict[str, Any]:
    code = f"import json, catalogue; print(json.dumps(catalogue.export_one({name!r}, {format_!r}, {limit!r})))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def export_one(name: str, format_: str, limit: float) -> dict[str, Any]:
    """Export one model in one format, and read what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [zoo(), "export", name, "-f", format_, "-o", str(Path(folder, "export")), "--json"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # so that the children of a process that takes too long end with it
        )
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            out, err = "", ""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = {"seconds": round(used.ru_utime + used.ru_stime, 1), "peak_mb": round(used.ru_maxrss / 1000)}
    if process.returncode == -signal.SIGKILL:
        return {**spent, "verdict": "timeout", "why": f"ended after {limit:g} s, or out of memory"}
    if process.returncode:
        why = [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]
        verdict = "different" if process.returncode == 3 else "refused"
        return {**spent, "verdict": verdict, "why": (why or err.splitlines() or ["no message"])[-1][:500]}
    parsed = json.loads(out)
    (made,) = parsed["artifacts"].values()
    coverage = parsed["coverage"]
    return {
        **spent,
        "verdict": "pass",
        "ratio": max(each["ratio"] for each in made["comparisons"]),
        "coverage": {"own": coverage["by_weights"]["own_weights"], "both": coverage["fraction"]},
    }


def table_of_formats(results: dict[str, Any], made: dict[str, str]) -> str:
    """The results of `measure_formats` as Markdown: a summary, the table, and the reasons."""
    passed = {each: sum(outcome[each]["verdict"] == "pass" for outcome in results.values()) for each in FORMATS}
    summary = ", ".join(f"{each} {count} of {len(results)}" for each, count in passed.items())
    lines = [
        f"Fresh weights of seed 0, {platform.machine()}, {os.cpu_count()} cores, Python {made['python']}, "
        + ", ".join(f"{key} {value}" for key, value in made.items() if key != "python")
        + ". Errors are the largest of all comparisons, in rounding errors (tolerance 20). CPU seconds, on one thread, "
        "and peak memory are the largest of the formats.",
        "",
        f"Passed: {summary}.",
        "",
        f"| model | {' | '.join(FORMATS)} | coverage, own weights | with probe weights | seconds | peak MB |",
        "| --- | " + "--- | " * (len(FORMATS) + 4),
    ]
    for name, outcome in sorted(results.items()):
        cells = [f"{each['ratio']:.1f}" if "ratio" in (each := outcome[key]) else each["verdict"] for key in FORMATS]
        coverage = next((each["coverage"] for each in outcome.values() if "coverage" in each), {})
        cells += [f"{100 * coverage[key]:.0f} %" if coverage else "" for key in ("own", "both")]
        cells += [str(max(each[key] for each in outcome.values())) for key in ("seconds", "peak_mb")]
        lines.append(f"| {' | '.join([name, *cells])} |")
    reasons = [
        f"| {name} | {key} | {each['verdict']} | {each['why'].replace('|', chr(92) + '|')} |"
        for name, outcome in sorted(results.items())
        for key, each in outcome.items()
        if "why" in each
    ]
    if reasons:
        lines += ["", "| model | format | verdict | reason |", "| --- | --- | --- | --- |", *reasons]
    return "\n".join(lines) + "\n"


def smallest_first(specs: list[Architecture], module_of: dict[str, str], *, per_module: bool) -> list[str]:
    """The names of `specs`, the smallest of each module first."""
    by_size = sorted(specs, key=lambda spec: (spec.parameters or 0, spec.name))
    first: dict[str, str] = {}
    for spec in by_size:
        first.setdefault(module_of[spec.name], spec.name)
    chosen = set(first.values())
    rest = [] if per_module else [spec.name for spec in by_size if spec.name not in chosen]
    return [spec.name for spec in by_size if spec.name in chosen] + rest


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", choices=("torchvision", "timm"), default="torchvision", help="(torchvision)")
    parser.add_argument("--models", help="comma-separated; all by default")
    parser.add_argument("--per-module", action="store_true", help="only the smallest model of each module of timm")
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every Nth model, from the Ith (1/1)")
    parser.add_argument("--limit", type=float, default=float("inf"), help="begin no model after so many seconds")
    parser.add_argument("--model-limit", type=float, default=900, help="seconds for a model in one format (900)")
    options = parser.parse_args()
    entries = [
        entry.spec for entry in Registry(discover()).entries(Architecture) if entry.plugin.name == options.collection
    ]
    specs = [spec for spec in entries if (spec.parameters or 0) <= MOST]
    timm = options.collection == "timm"
    if timm:
        module_of = {spec.name: spec.summary.partition(" ")[0] for spec in specs}
        names = smallest_first(specs, module_of, per_module=options.per_module)
    else:
        names = [spec.name for spec in sorted(specs, key=lambda spec: spec.parameters or 0)]
    chosen = options.models.split(",") if options.models else names
    index, count = (int(part) for part in options.shard.split("/"))
    made = versions((*PACKAGES, "timm") if timm else PACKAGES)
    path = HERE / ("catalogue_timm.json" if timm else "catalogue.json")
    started = time.perf_counter()
    for name in chosen[index - 1 :: count]:
        if name in _kept(path, made) or time.perf_counter() - started > options.limit:
            continue
        outcome = measure_formats(name, options.model_limit) if timm else _measure_all(name)
        if timm:
            print(name, {key: each.get("ratio", each["verdict"]) for key, each in outcome.items()}, flush=True)
        else:
            print(name, outcome["verdict"], outcome.get("ratio", ""), f"{outcome['seconds']} s", flush=True)
        with FileLock(f"{path}.lock"):  # other shards write into the same file
            results = {**_kept(path, made), name: outcome}
            content = json.dumps({"versions": made, "results": results}, indent=1, sort_keys=True)
            write_file(path, content.encode() + b"\n", force=True)
            page = (table_of_formats if timm else table)(results, made)
            write_file(path.with_suffix(".md"), page.encode(), force=True)


def _kept(path: Path, made: dict[str, str]) -> dict[str, Any]:
    """The results of earlier runs with the same versions."""
    kept = json.loads(path.read_text()) if path.is_file() else {}
    return dict(kept["results"]) if kept.get("versions") == made else {}


def _measure_all(name: str) -> dict[str, Any]:
    # one process for each measurement, as the operating system keeps the peak of all children together
    code = f"import json, catalogue; print(json.dumps(catalogue.measure({name!r})))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


if __name__ == "__main__":
    main()
