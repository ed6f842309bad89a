"""Paths that are kept as one text come out as they went in, names that are no Unicode among them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_datasets.paths import CompactPaths

LETTERS = st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
ODD = st.sampled_from(["\udcff.jpg", "a b\n.png", "\udce4\udcf6"])  # as os.listdir gives bytes that are no UTF-8
NAMES = st.lists(st.one_of(st.text(LETTERS, min_size=1).filter(lambda name: name not in (".", "..")), ODD), max_size=20)


@given(NAMES, NAMES)
def test_paths_come_out_as_they_went_in(first: list[str], second: list[str]) -> None:
    root = Path("/some/röot")
    paths = CompactPaths(root)
    paths.extend(Path("cat"), first)
    paths.extend(Path("deep/dög"), [f"x/{name}" for name in second])
    expected = [root / "cat" / name for name in first] + [root / "deep/dög" / "x" / name for name in second]
    assert list(paths) == expected and len(paths) == len(expected)
    assert list(paths[1:4]) == expected[1:4] and [paths[-place - 1] for place in range(len(expected))] == expected[::-1]
    for place in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            paths[place]
