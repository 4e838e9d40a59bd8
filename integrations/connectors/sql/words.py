"""What a database refuses, in words that name the column, the value and the rule."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from integrations.engine.batch import Problem
from integrations.engine.errors import Where

SHOWN = 80


def refusal(
    error: Exception, table: str, values: Mapping[str, Any], keys: Sequence[str], rules: Mapping[str, str]
) -> Problem:
    """Say why one record was refused. `values` are what it would have written, `rules` the table's CHECK rules."""
    said = _said(error)
    diagnosis = getattr(error, "diag", None)
    name = getattr(diagnosis, "constraint_name", None) or ""
    column = getattr(diagnosis, "column_name", None) or ""
    kind = _kind(said)
    if kind == "null":
        column = column or said.rsplit(".", 1)[-1].strip()
        sentence = f"{column} may not be empty in {table}."
        return _problem(sentence, sentence, column, said)
    if kind == "check":
        name = name or said.rsplit(":", 1)[-1].strip()
        column = _column_of(rules.get(name, name), values)
        what = f"{_shown(values.get(column))} in {column}" if column else "This record"
        return _problem(
            f"{what} is refused by the rule {name} of {table}.", f"Refused by the rule {name} of {table}", column, said
        )
    if kind == "unique":
        columns = [part.rsplit(".", 1)[-1].strip() for part in said.rsplit(":", 1)[-1].split(",")]
        column = columns[0] if columns[0] in values else (keys[0] if keys else "")
        held = _shown(values.get(column))
        return _problem(
            f"{table} already holds a record with {column} {held}.", f"{table} already holds it", column, said
        )
    if kind == "reference":
        return _problem(
            f"{table} refers to a record that does not exist: {said}.",
            f"{table} refers to what does not exist",
            column,
            said,
        )
    return _problem(f"{table} refuses this record: {said}.", f"{table}: {said}"[:200], column, said)


def _said(error: Exception) -> str:
    if isinstance(error, OverflowError):
        return "a whole number is larger than 64 bits"
    if isinstance(error, UnicodeEncodeError):
        return "a text holds half of a character"
    diagnosis = getattr(error, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    detail = getattr(diagnosis, "message_detail", None)
    if primary:
        return f"{primary} ({detail.rstrip('.')})" if detail and "Failing row" not in detail else str(primary)
    return str(error).strip().split("\n", 1)[0]


def _kind(said: str) -> str:
    folded = said.lower()
    if "not null constraint" in folded or "violates not-null" in folded:
        return "null"
    if "check constraint" in folded:
        return "check"
    if "unique constraint" in folded or "duplicate key" in folded:
        return "unique"
    return "reference" if "foreign key" in folded else ""


def _column_of(rule: str, values: Mapping[str, Any]) -> str:
    """Name the only mapped column that a rule speaks of; "" when it is none or several."""
    words = set(re.findall(r"\w+", rule))
    found = [column for column in values if column in words]
    return found[0] if len(found) == 1 else ""


def _shown(value: Any) -> str:
    return "no value" if value is None else f"“{str(value)[:SHOWN]}”"


def _problem(sentence: str, cause: str, column: str, said: str) -> Problem:
    return Problem(
        sentence=sentence,
        cause=cause,
        code="destination.refused",
        where=Where(stage="deliver", column=column),
        answer=said,
    )
