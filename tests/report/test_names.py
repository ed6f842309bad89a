"""Whatever a class is called, a page shows the name and obeys nothing in it."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from zoo.report.canvas import glyphs
from zoo.report.names import MAX_NAME, labels, markdown, one_line, wrapped

HOSTILE = [
    "a|b",
    "`code`",
    "**bold** _it_ ~~gone~~",
    "<script>alert(1)</script>",
    "[link](http://x.example)",
    "![picture](x.png)",
    "&lt;",
    "\\",
    "a\\|b",
    "line\nbreak",
    "\x1b[31mred",
    "\u202egnp.exe",
    "x" * 5000,
    "\ud800",
    "",
]
NAMES = st.text() | st.text(alphabet="\\`*_[]()<>|~&$:@#!.-+= \nab1;/") | st.sampled_from(HOSTILE)


@given(NAMES)
def test_a_line_is_one_line_that_can_be_seen_and_written(text: str) -> None:
    line = one_line(text)
    assert len(line) <= MAX_NAME
    assert not line or line.isprintable()
    assert line.encode().decode() == line
    assert line == line.strip()


@given(NAMES)
@example("a\\|b")
def test_a_name_in_a_table_reads_as_it_is_and_does_nothing(text: str) -> None:
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = page.parse(f"| a | b |\n| --- | --- |\n| {markdown(text)} | end |\n")
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    assert {child.type for child in cells[2].children or []} <= {"text", "text_special"}
    assert "".join(child.content for child in cells[2].children or []) == one_line(text)


@pytest.mark.parametrize("address", ["http://x.example", "www.x.example", "WWW.x.example", "a@x.example", "ftp://x.y"])
def test_an_address_is_no_link(address: str) -> None:
    """GitHub makes links of these where they stand unescaped."""
    assert not re.search(r"[a-z]://|www\.|a@", markdown(address), re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("dog", "dog"), ("dög", "dög"), ("猫", "#7"), ("cat 猫", "#7"), ("", "#7"), ("\n", "#7"), ("abcdefgh", "abc…h")],
)
def test_a_picture_shows_a_name_or_its_number(name: str, shown: str) -> None:
    assert labels([*"0123456", name], glyphs(), 5 if name == "abcdefgh" else 20)[7] == shown


def test_names_that_begin_alike_can_be_told_apart_in_a_picture() -> None:
    names = [f"a_common_long_prefix_{number:03}" for number in range(30)]
    assert labels(names, glyphs(), 20)[7] == "a_common_long…ix_007"
    assert len(set(labels(names, glyphs(), 20))) == 30
    alike = ["x" * 99 + "1" + "y" * 99, "x" * 99 + "2" + "y" * 99, "dog"]
    assert labels(alike, glyphs(), 20) == ["#0", "#1", "dog"]


def test_a_title_is_as_wide_as_its_picture() -> None:
    assert wrapped("short\non two lines", 4) == "short\non two lines"
    assert max(map(len, wrapped("one two three " * 20, 5.9).splitlines())) <= 53
