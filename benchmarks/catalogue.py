"""Export every torchvision classifier up to 150 M parameters in every format, and keep what came of each.

Run: python benchmarks/catalogue.py [--models a,b] [--limit SECONDS]

The result is `benchmarks/catalogue.json`, one entry a model, and `benchmarks/catalogue.md`, the table. A model that is
in the result already, with the same versions, is not run again: a run that was cut off goes on where it stopped.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", help="comma-separated; all by default")
    parser.add_argument("--limit", type=float, default=float("inf"), help="begin no model after so many seconds")
    options = parser.parse_args()
    made = versions(PACKAGES)
    path = HERE / "catalogue.json"
    kept = json.loads(path.read_text()) if path.is_file() else {}
    results = kept["results"] if kept.get("versions") == made else {}
    entries = [entry.spec for entry in Registry(discover()).entries(Architecture) if entry.plugin.name == "torchvision"]
    names = [
        spec.name for spec in sorted(entries, key=lambda spec: spec.parameters or 0) if (spec.parameters or 0) <= MOST
    ]
    chosen = options.models.split(",") if options.models else names
    started = time.perf_counter()
    for name in chosen:
        if name in results or time.perf_counter() - started > options.limit:
            continue
        # one process for each measurement, as the operating system keeps the peak of all children together
        code = f"import json, catalogue; print(json.dumps(catalogue.measure({name!r})))"
        ran = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
        results[name] = json.loads(ran.stdout)
        print(
            name, results[name]["verdict"], results[name].get("ratio", ""), f"{results[name]['seconds']} s", flush=True
        )
        content = json.dumps({"versions": made, "results": results}, indent=1, sort_keys=True)
        write_file(path, content.encode() + b"\n", force=True)
        write_file(HERE / "catalogue.md", table(results, made).encode(), force=True)


if __name__ == "__main__":
    main()
