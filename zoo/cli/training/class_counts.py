"""The number of images of each class: one line if all are equal, else a small table."""

from collections.abc import Sequence

from zoo.contract.printable import plain, shortened

SHOWN = 20  # classes; if there are more, the largest and the smallest
WIDEST = 36  # characters of a class name; a row fits 60 columns


def class_counts(classes: Sequence[str], train: Sequence[int], test: Sequence[int]) -> list[str]:
    """The number of training and test images of each class, in lines, with a warning for classes that have none."""
    if len(set(train)) == 1 and len(set(test)) == 1:
        lines = [f"each class: {train[0]:,} training and {test[0]:,} test images"]
    else:
        lines = _table(classes, train, test)
    for counts, split in ((train, "training"), (test, "test")):
        none = [plain(name) for name, count in zip(classes, counts, strict=True) if not count]
        if none:
            more = f" and {len(none) - 10:,} more" if len(none) > 10 else ""
            lines.append(f"warning: there are no {split} images of {', '.join(none[:10])}{more}")
    return lines


def _table(classes: Sequence[str], train: Sequence[int], test: Sequence[int]) -> list[str]:
    rows = [
        (shortened(plain(name), WIDEST), f"{a:,}", f"{b:,}") for name, a, b in zip(classes, train, test, strict=True)
    ]
    if len(rows) > SHOWN:
        by_count = sorted(range(len(rows)), key=lambda index: -train[index])
        most, least = by_count[: SHOWN // 2], by_count[-SHOWN // 2 :]
        between = (f"({len(rows) - SHOWN:,} between)", "", "")
        rows = [*(rows[index] for index in most), between, *(rows[index] for index in least)]
    rows = [("class", "training", "test"), *rows]
    first, second, third = (max(len(row[column]) for row in rows) for column in range(3))
    return [f"  {name:<{first}}  {a:>{second}}  {b:>{third}}".rstrip() for name, a, b in rows]
