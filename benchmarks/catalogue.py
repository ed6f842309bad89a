"""Export every classifier of a collection up to 150 M parameters in every format, and keep what came of each.

Run: python benchmarks/catalogue.py [--collection timm] [--per-module] [--shard 1/4] [--models a,b] [--limit SECONDS]
        [--model-limit SECONDS] [--retry] [--output FOLDER]

The result is `benchmarks/catalogue.json`, one entry a model, and `benchmarks/catalogue.md`, the table; for timm,
`catalogue_timm.json` and `catalogue_timm.md`. A model that is in the result already, with the same versions, is not run
again: a run that was cut off goes on where it stopped, and processes with different shards write into one result.

Models are exported in all formats at once. Where that fails, one of timm is exported in one format after another, so
that each format has a verdict of its own. A command that takes more than `--model-limit` CPU seconds is ended. The
smallest model of each module of timm comes first; `--per-module` runs those alone. `--retry` runs those again that did
not pass. The commit that a result was measured at is kept with it.
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
    return {**result, "verdict": "pass", "ratio": ratios, "coverage": _shares(parsed["coverage"])}


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
    """Export one model in every format, each command in a process of its own that may take `limit` CPU seconds.

    All formats at once, as they share the truth; if that fails for another reason than the coverage, which is the same
    for each format, one after another.

    Returns:
        By format: the verdict (`pass`, `fail`, `inconclusive`, `refused` or `limit`), the reason, the worst error,
        the coverage, the CPU seconds and the peak memory of the command.
    """
    together = _in_own_process(name, FORMATS, limit)
    if together["verdict"] == "pass":
        ratios = together.pop("ratios")
        return {each: {**together, "ratio": ratios[each]} for each in FORMATS}
    if together["verdict"] == "inconclusive":
        return dict.fromkeys(FORMATS, together)
    outcomes = {}
    for each in FORMATS:
        outcomes[each] = _in_own_process(name, (each,), limit)
        if "ratios" in outcomes[each]:
            outcomes[each]["ratio"] = outcomes[each].pop("ratios")[each]
    return outcomes


def _in_own_process(name: str, formats: tuple[str, ...], limit: float) -> dict[str, Any]:
    code = f"import json, catalogue; print(json.dumps(catalogue.export_in({name!r}, {formats!r}, {limit!r})))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def export_in(name: str, formats: tuple[str, ...], limit: float) -> dict[str, Any]:
    """Export one model in `formats`, and read what came of it.

    Peak memory is of this process's children together: call it once in each process.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [zoo(), "export", name, "-f", ",".join(formats), "-o", str(Path(folder, "export")), "--json"]
        process = subprocess.Popen(
            ["prlimit", f"--cpu={round(limit)}", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        out, err = process.communicate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = {"seconds": round(used.ru_utime + used.ru_stime, 1), "peak_mb": round(used.ru_maxrss / 1000)}
    if process.returncode < 0:
        killed = process.returncode == -signal.SIGKILL and spent["seconds"] < limit
        why = "out of memory" if killed else f"ended after {limit:g} CPU seconds"
        return {**spent, "verdict": "limit", "why": why}
    if process.returncode:
        why = ([line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")] or [err])[-1]
        failure = json.loads(out) if process.returncode == 3 else {"verdict": "refused"}
        result = {**spent, "verdict": failure["verdict"], "why": why.strip()[:1000] or "no message"}
        return result | ({"coverage": _shares(failure["coverage"])} if "coverage" in failure else {})
    parsed = json.loads(out)
    return {
        **spent,
        "verdict": "pass",
        "ratios": {
            key: max(each["ratio"] for each in made["comparisons"]) for key, made in parsed["artifacts"].items()
        },
        "coverage": _shares(parsed["coverage"]),
    }


def _shares(coverage: dict[str, Any]) -> dict[str, float]:
    return {"own": coverage["by_weights"]["own_weights"], "both": coverage["fraction"]}


def table_of_formats(results: dict[str, Any], made: dict[str, str]) -> str:
    """The results of `measure_formats` as Markdown: a summary, the table, and the reasons."""
    outcomes = {name: outcome["formats"] for name, outcome in results.items()}
    passed = {each: sum(outcome[each]["verdict"] == "pass" for outcome in outcomes.values()) for each in FORMATS}
    summary = ", ".join(f"{each} {count} of {len(results)}" for each, count in passed.items())
    lines = [
        f"Fresh weights of seed 0, {platform.machine()}, {os.cpu_count()} cores, Python {made['python']}, "
        + ", ".join(f"{key} {value}" for key, value in made.items() if key != "python")
        + ". Errors are the largest of all comparisons, in rounding errors (tolerance 20). CPU seconds, on one thread, "
        "and peak memory are those of the command with all formats, or the largest of those with one each.",
        "",
        f"Passed: {summary}. Measured at {', '.join(sorted({outcome['commit'] for outcome in results.values()}))}.",
        "",
        f"| model | {' | '.join(FORMATS)} | coverage, own weights | with probe weights | seconds | peak MB |",
        "| --- | " + "--- | " * (len(FORMATS) + 4),
    ]
    for name, outcome in sorted(outcomes.items()):
        cells = [f"{each['ratio']:.1f}" if "ratio" in (each := outcome[key]) else each["verdict"] for key in FORMATS]
        coverage = next((each["coverage"] for each in outcome.values() if "coverage" in each), {})
        cells += [f"{100 * coverage[key]:.0f} %" if coverage else "" for key in ("own", "both")]
        cells += [str(max(each[key] for each in outcome.values())) for key in ("seconds", "peak_mb")]
        lines.append(f"| {' | '.join([name, *cells])} |")
    reasons = [
        f"| {name} | {key} | {each['verdict']} | {each['why'].replace('|', chr(92) + '|')} |".replace("\n", " ")
        for name, outcome in sorted(outcomes.items())
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
    parser.add_argument("--model-limit", type=float, default=900, help="CPU seconds for each command, for timm (900)")
    parser.add_argument("--retry", action="store_true", help="run the models again that did not pass")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of the results (benchmarks)")
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
    path = options.output / ("catalogue_timm.json" if timm else "catalogue.json")
    started = time.perf_counter()
    for name in chosen[index - 1 :: count]:
        if _is_done(_kept(path, made).get(name), options.retry) or time.perf_counter() - started > options.limit:
            continue
        commit = _commit()
        if timm:
            outcome = {"commit": commit, "formats": measure_formats(name, options.model_limit)}
            print(
                name, {key: each.get("ratio", each["verdict"]) for key, each in outcome["formats"].items()}, flush=True
            )
        else:
            outcome = {"commit": commit, **_measure_all(name)}
            print(name, outcome["verdict"], outcome.get("ratio", ""), f"{outcome['seconds']} s", flush=True)
        with FileLock(f"{path}.lock"):  # other shards write into the same file
            results = {**_kept(path, made), name: outcome}
            content = json.dumps({"versions": made, "results": results}, indent=1, sort_keys=True)
            write_file(path, content.encode() + b"\n", force=True)
            page = (table_of_formats if timm else table)(results, made)
            write_file(path.with_suffix(".md"), page.encode(), force=True)


def _is_done(outcome: dict[str, Any] | None, retry: bool) -> bool:
    if outcome is None or not retry:
        return outcome is not None
    return all(each["verdict"] == "pass" for each in outcome.get("formats", {"all": outcome}).values())


def _commit() -> str:
    """The commit that is measured, with a plus if files differ from it; empty outside a git repository."""
    ran = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=9", "--exclude=*"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stdout.strip()


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
