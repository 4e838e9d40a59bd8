"""The documents of a run that need attention, as a workbook: a line for each of their source rows."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from integrations.connectors.excel import write_rows
from integrations.models import DocumentOutcome, Run

EXPORTED_LINES = 100_000
EXPORTED = ("Document", "Key", "Outcome", "Reason", "Column", "The destination said", "Row")
READ_AT_ONCE = 50


def write_failed(path: Path, run: Run, outcomes: QuerySet[DocumentOutcome]) -> None:
    """Write these documents of `run` to a workbook, which can be repaired and read as a source."""
    held = {name for rows in _source_rows(outcomes) for row in rows for name in row["values"]}
    columns = as_planned(held, [column.name for column in run.version.plan.source.columns])
    lines = islice(_exported(outcomes, columns), EXPORTED_LINES)
    write_rows(path, [*EXPORTED, *columns], lines, sheet="Failed documents")


def file_name(run: Run) -> str:
    return f"Run {run.number} failed documents.xlsx"


def as_planned(held: Collection[str], planned: Sequence[str]) -> list[str]:
    """Give names in the order of the plan: PostgreSQL keeps those of an object in an order of its own."""
    return [*(name for name in planned if name in held), *sorted(set(held).difference(planned))]


def _source_rows(outcomes: QuerySet[DocumentOutcome]) -> Iterator[list[dict[str, Any]]]:
    return outcomes.values_list("rows", flat=True).iterator(READ_AT_ONCE)


def _exported(outcomes: QuerySet[DocumentOutcome], columns: Sequence[str]) -> Iterator[list[Any]]:
    for outcome in outcomes.iterator(READ_AT_ONCE):
        told = [
            outcome.document,
            outcome.key,
            outcome.bucket.capitalize(),
            outcome.sentence,
            outcome.column,
            outcome.answer,
        ]
        for row in outcome.rows or [{"number": None, "values": {}}]:
            yield [*told, row["number"], *(row["values"].get(name) for name in columns)]
