"""A short form of `benchmarks/fuzz.py`: some hundred damaged and hostile files, and no bad end."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
N = 300


@pytest.mark.slow
def test_damaged_files_end_in_explained_errors(tmp_path: Path) -> None:
    arguments = ["--n", str(N), "--seed", "1", "--folder", str(tmp_path)]
    kinds = "manifest,weights,checkpoint,run,recipe,config,golden,onnx,cache,image,idx"
    script = ROOT / "benchmarks/fuzz.py"
    done = subprocess.run(
        [sys.executable, str(script), *arguments, "--kinds", kinds], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert f"| total | {N} | " in done.stdout
