"""Changes to JSON documents, field by field."""

import json
import random
from collections.abc import Callable
from typing import Any

from fuzzing.mutators.values import DEEP, DIGITS, HUGE, extreme, near

Step = tuple[str, Any, Any]  # path in words, container, key or index


def mutate(data: Any, draw: random.Random, outside: str = "", more: tuple[Any, ...] = ()) -> list[str]:
    """Change `data` in place at one place, at times at several.

    Returns:
        What was changed, in words.
    """
    return [_once(data, draw, outside, more) for _ in range(draw.choice((1, 1, 1, 1, 2, 2, 3, 6)))]


def dump(data: Any, draw: random.Random | None = None) -> str:
    """JSON text of `data`, with the values that Python cannot hold, and at times with a key twice."""
    try:
        text = json.dumps(data, ensure_ascii=draw is None or draw.random() < 0.7, indent=1)
    except ValueError:  # an integer of more digits than Python converts
        text = json.dumps(_shortened(data), indent=1)
    text = text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    text = text.replace(f'"{DIGITS}"', "9" * 5000).replace(f'"{HUGE}"', "1e999")
    if draw is not None and draw.random() < 0.06 and text.startswith("{"):
        key = draw.choice(list(data) or [""])
        text = f"{{{json.dumps(key)}: {json.dumps(draw.choice((None, 0, [], 'x')))}," + text[1:]

    return text


def _once(data: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    where, container, key = _place(data, draw)
    way: Callable[..., str] = draw.choice(WAYS)
    return f"{way(data, container, key, draw, outside, more)} at {where}"


def _place(data: Any, draw: random.Random) -> Step:
    """A place in the document, found by walking down from the top, so that long lists do not take all."""
    holder = {"": data}
    where, container, key = "", holder, ""
    value: Any = data
    while isinstance(value, dict | list) and value and (not where or draw.random() < 0.88):
        container = value  # type: ignore[assignment]
        key = draw.choice(list(value)) if isinstance(value, dict) else draw.randrange(len(value))  # type: ignore[assignment]
        where += f"/{key}"[:60]
        value = container[key]
    return where, container, key


def _replace(data: Any, container: Any, key: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    container[key] = extreme(draw, outside, more)
    return f"{container[key]!r:.60}"


def _near(data: Any, container: Any, key: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    container[key] = near(draw, container[key])
    return f"{container[key]!r:.60}"


def _delete(data: Any, container: Any, key: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    del container[key]
    return "nothing"


def _rename(data: Any, container: Any, key: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    if not isinstance(container, dict):
        return _replace(data, container, key, draw, outside, more)
    new = str(near(draw, str(key))) if draw.random() < 0.6 else str(extreme(draw, outside, more))
    container[new] = container.pop(key)
    return f"the key {new!r:.60}"


def _add(data: Any, container: Any, key: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    value = extreme(draw, outside, more)
    if isinstance(container, dict):
        container[draw.choice(("extra", "__class__", "", "format", "digest", "name", f"{key}2"))] = value
    else:
        container.insert(key, value)
    return f"one more, {value!r:.60},"


def _transplant(data: Any, container: Any, key: Any, draw: random.Random, outside: str, more: tuple[Any, ...]) -> str:
    where, other, name = _place(data, draw)
    try:
        container[key] = json.loads(json.dumps(other[name]))
    except (KeyError, ValueError, RecursionError):
        container[key] = None
    return f"what is at {where}"


WAYS = (_replace, _replace, _replace, _near, _near, _near, _delete, _delete, _rename, _add, _transplant)


def _shortened(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _shortened(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_shortened(value) for value in data]
    return DIGITS if isinstance(data, int) and abs(data) > 10**4000 else data
