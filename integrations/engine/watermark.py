"""How far a source that is read for changes only has come: the greatest value of a column, as its type compares.

The value is kept as the text that was read, so that the source is asked with what it gave.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from integrations.engine.batch import Row
from integrations.engine.errors import SourceError, Where
from integrations.engine.keys import Keys
from integrations.engine.plan import Column, ValueType
from integrations.engine.typed import converter

WATERMARK = "[WATERMARK]"
"""Stands for the watermark in the options of a source."""
NAMES = {
    ValueType.TEXT: "text",
    ValueType.INTEGER: "whole number",
    ValueType.DECIMAL: "decimal",
    ValueType.BOOLEAN: "yes or no",
    ValueType.DATE: "date",
    ValueType.DATETIME: "date and time",
}

Mark = str | tuple[str, ...]
"""What carried and new rows are told apart by: the key of their document, or the whole row where it has none."""


class Reached:
    """The greatest value so far, beginning with what is known. Blank values count for nothing."""

    def __init__(self, column: Column, known: str) -> None:
        self._column = column
        self.text = known
        self._greatest = comparable(column, known)

    def see(self, values: Sequence[str], first_row: int) -> None:
        """Take values of consecutive rows into account. Raises `SourceError` for one that is not of the column's type."""
        for number, text in enumerate(values, first_row):
            try:
                value = comparable(self._column, text)
            except SourceError as error:
                error.sentence = f"Row {number}: {error.sentence}"
                raise
            if value is not None and (self._greatest is None or value > self._greatest):
                self._greatest, self.text = value, text


def comparable(column: Column, text: str) -> Any:
    """Give a value such that it compares with others of its column; None for a blank one."""
    value = typed(column, text)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def typed(column: Column, text: str) -> Any:
    """Give a watermark in the declared type of its column; None for a blank one. Raises `SourceError` with what is wrong
    with it."""
    if not text.strip():
        return None
    convert = converter(column.type, column.format)
    try:
        return convert(text) if convert else text
    except ValueError as error:
        raise SourceError(
            f"“{text}” is no {NAMES[column.type]} for the watermark column {column.name}: {error} was expected. Correct the "
            "type of the column on the Source tab, or the source.",
            code="source.watermark",
            where=Where(stage="read", column=column.name),
        ) from None


def marks(keys: Keys, rows: Sequence[Row]) -> list[Mark]:
    """Give for each row what tells whether it stands for the same document as another one."""
    if not keys.indexes:
        return [tuple(row) for row in rows]
    return [key or tuple(row) for key, row in zip(keys.of(rows), rows, strict=True)]
