"""TOML files from outside are read in bounded time and memory."""

from pathlib import Path

import pytest

from zoo.files.toml import MAX_BYTES, read_toml


@pytest.mark.parametrize(
    "text",
    [
        "a." * 50_000 + "a = 1",
        "[" + "a." * 50_000 + "a]",
        "x = {" + "a . " * 50_000 + "a = 1}",
        "x = " + "[" * 100_000,
        "x = '" + "a" * MAX_BYTES + "'",
        "x = \udcff",
    ],
    ids=["key", "table", "inline", "nested", "long", "encoding"],
)
def test_a_hostile_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises((OSError, ValueError)):
        read_toml(tmp_path / "x.toml")


def test_dots_in_strings_and_numbers_are_no_parts_of_keys(tmp_path: Path) -> None:
    dots = "a." * 100
    (tmp_path / "x.toml").write_text(f'"{dots}" = "{dots}"\nlr = 0.1\n[b.c]\nd = 1.5e3\n')
    assert read_toml(tmp_path / "x.toml") == {dots: dots, "lr": 0.1, "b": {"c": {"d": 1500.0}}}
