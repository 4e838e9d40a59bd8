"""Two definitions side by side, line by line, as their exports would read; and one of them in its parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from integrations.engine.plan import Plan
from integrations.exchange.plans import as_data
from integrations.exchange.text import written
from integrations.exchange.things import Names

AROUND = 3
"""Lines that stay the same are shown this far around a change."""
PARTS = {
    "source": "Source",
    "destination": "Target",
    "key_fields": "Key fields",
    "additional": "Additional Columns",
    "lines": "Line",
    "tasks": "Task",
    "variables": "Variables",
    "options": "Options",
}


@dataclass(frozen=True)
class Cell:
    """A line of one side: its number from 1, and its text before, in and after what changed within it."""

    number: int
    before: str
    changed: str = ""
    after: str = ""


@dataclass(frozen=True)
class Row:
    """Two lines side by side. A side that has no such line is None; `left_out` counts the same lines not shown here."""

    old: Cell | None = None
    new: Cell | None = None
    left_out: int = 0
    is_same: bool = False


@dataclass(frozen=True)
class Part:
    """A part of a definition under its title, as readable text."""

    title: str
    text: str


def text_of(plan: Plan, called: Names) -> str:
    """Give a definition as its export reads."""
    return written(as_data(plan, called.name_of))


def parts_of(plan: Plan, called: Names) -> list[Part]:
    """Divide a definition: source, target, each line, each task … A part without anything in it is left out."""
    parts = []
    for key, held in as_data(plan, called.name_of).items():
        title = PARTS.get(key, key.replace("_", " ").capitalize())
        if key in ("lines", "tasks"):
            parts += [_named(title, item) for item in held]
        else:
            parts.append(Part(title, written(held)))
    return parts


def side_by_side(old: str, new: str) -> list[Row]:
    """Align the lines of two texts. What is the same and far from any change is left out and counted."""
    was, now = old.splitlines(), new.splitlines()
    rows: list[Row] = []
    blocks = SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    for at, (kind, start, end, new_start, new_end) in enumerate(blocks):
        if kind == "equal":
            lines = [
                Row(Cell(start + n + 1, line), Cell(new_start + n + 1, line), is_same=True)
                for n, line in enumerate(was[start:end])
            ]
            rows += _shortened(lines, is_first=at == 0, is_last=at == len(blocks) - 1)
        else:
            pairs = zip_longest(enumerate(was[start:end], start + 1), enumerate(now[new_start:new_end], new_start + 1))
            rows += [_changed(before, after) for before, after in pairs]
    return rows


def _named(title: str, item: dict[str, Any]) -> Part:
    return Part(f"{title} {item['name']}", written({key: value for key, value in item.items() if key != "name"}))


def _shortened(rows: Sequence[Row], *, is_first: bool, is_last: bool) -> list[Row]:
    head, tail = (0 if is_first else AROUND), (0 if is_last else AROUND)
    left_out = len(rows) - head - tail
    # A sign that one line is left out would take as much room as the line.
    if left_out <= 1:
        return list(rows)
    return [*rows[:head], Row(left_out=left_out), *rows[len(rows) - tail :]]


def _changed(before: tuple[int, str] | None, after: tuple[int, str] | None) -> Row:
    if before is None or after is None:
        return Row(before and Cell(before[0], "", before[1]), after and Cell(after[0], "", after[1]))
    old, new = before[1], after[1]
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    return Row(_cell(before[0], old, head, tail), _cell(after[0], new, head, tail))


def _cell(number: int, text: str, head: int, tail: int) -> Cell:
    return Cell(number, text[:head], text[head : len(text) - tail], text[len(text) - tail :])
