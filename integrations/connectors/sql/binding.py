"""Names in brackets in a statement: a mark stands in their place, and their values are bound, never pasted."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from integrations.connectors.sql.systems import System
from integrations.engine.variables import IN_BRACKETS, text_of


def bound(system: System, text: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Give a statement with a mark in place of every `[name]` that has a value, and the values in their order."""
    text = text.strip().rstrip(";")
    named = [name for name in IN_BRACKETS.findall(text) if name in values]
    if named and system.mark == "%s":
        text = text.replace("%", "%%")
    marked = IN_BRACKETS.sub(lambda found: system.mark if found[1] in values else found[0], text)
    return marked, [_plain(values[name]) for name in named]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | Decimal) else text_of(value)
