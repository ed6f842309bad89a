"""`report.html`: the report as one file, with its pictures in it, that asks nobody for anything."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape

from zoo.report.content import Content, Example
from zoo.report.names import one_line
from zoo.report.page import MATRIX, NO_MISTAKE, SCORES

LONGEST = 2000  # characters of a text
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
th.sortable { cursor: pointer; white-space: nowrap; }
th[aria-sort=ascending]::after { content: " \\25B2"; } th[aria-sort=descending]::after { content: " \\25BC"; }
img { max-width: 100%; }
figure { display: inline-block; margin: 0 .6rem .6rem 0; vertical-align: top; width: 8.5rem; }
figure img { image-rendering: pixelated; display: block; }
figcaption { font-size: 12px; overflow-wrap: anywhere; color: #555; }
pre { background: #f4f4f4; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
td.value + td.value { overflow-wrap: anywhere; }
"""
SCRIPT = """
for (const heading of document.querySelectorAll("table.sortable th")) {
  heading.classList.add("sortable");
  heading.title = "Sort by this column";
  heading.addEventListener("click", () => {
    const column = heading.cellIndex, body = heading.closest("table").tBodies[0];
    const down = heading.getAttribute("aria-sort") === "ascending";
    const value = row => row.cells[column].textContent;
    const number = row => { const n = parseFloat(value(row).replace(/,/g, "")); return isNaN(n) ? -1 : n; };
    const rows = [...body.rows];
    rows.sort(heading.classList.contains("number") ? (a, b) => number(a) - number(b)
                                                   : (a, b) => value(a).localeCompare(value(b)));
    if (down) rows.reverse();
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  });
}
"""


def write_html(content: Content, picture: Callable[[str], bytes]) -> str:
    """Return the page as HTML, which needs no other file and no JavaScript to be read; that only sorts the classes.

    Args:
        picture: the bytes of a PNG file by its path relative to the page.
    """

    def image(path: str, description: str) -> str:
        return f'<img alt="{_text(description)}" src="data:image/png;base64,{b64encode(picture(path)).decode()}">'

    def example(one: Example) -> str:
        caption = f"<figcaption>{_text(one.file)}</figcaption>" if one.file else ""
        return f"<figure>{image(one.picture, 'example')}{caption}</figure>"

    worst = [
        [_text(row.true), _text(row.predicted), row.images, "".join(map(example, row.examples))]
        for row in content.worst
    ]
    trained = [[f"<code>{name}</code>" if field else name, _text(value)] for name, value, field in content.trained]
    figures = [list(map(_text, row)) for row in content.figures]
    classes = [list(map(_text, row)) for row in content.classes]
    headings = ["true class", "predicted class", "images (of the class)", "examples, as the model sees them"]
    body = [
        f"<h1>{_text(content.title)}</h1>",
        f"<pre>{_text(content.command)}</pre>" if content.command else "",
        _table(["trained", ""], trained),
        "<h2>Metrics</h2>",
        f"<p>Measured on {_text(content.measured_on)}, with the stored weights.</p>",
        _table(["metric", "value", "details"], figures, numbers=range(1, 2)),
        image("curves.png", "Loss, accuracy and learning rate by epoch"),
        "<h2>Confusion matrix</h2>",
        image("confusion.png", "Confusion matrix"),
        f"<p>{_text(MATRIX)}</p>",
        "<h2>Worst confusions</h2>",
        _table(headings, worst) if worst else f"<p>{NO_MISTAKE}</p>",
        "<h2>Classes</h2>",
        _table(content.headings, classes, kind="sortable", numbers=[0, *range(2, len(content.headings))]),
        f"<p>{_text(SCORES)}</p>",
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(content.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _text(text: str) -> str:
    """`text` without control characters, with what means something in HTML escaped."""
    return escape(one_line(text, LONGEST))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "", numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML; the columns `numbers` are right-aligned."""

    def cells(tag: str, row: Sequence[str]) -> str:
        classes = ['class="number"' if column in numbers else 'class="value"' for column in range(len(row))]
        return "".join(f"<{tag} {kind}>{cell}</{tag}>" for kind, cell in zip(classes, row, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<table class="{kind}">\n<thead><tr>{cells("th", headings)}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>'
    )
