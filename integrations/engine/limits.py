"""What ends a run before its source is through, by the rules of its options."""

from collections.abc import Sequence
from itertools import pairwise

from integrations.engine.batch import Document, Problem
from integrations.engine.errors import Where
from integrations.engine.plan import Options, Plan


def too_many_errors(options: Options, *, errors: int, documents: int) -> str:
    """Say that a run has met more `errors` than its options allow of so many `documents`; "" while it has not."""
    if options.stop_after and errors >= options.stop_after:
        return f"{_failed(errors)}, and the options stop a run after {options.stop_after:,}. What was not sent is held."
    if options.stop_after_percent and errors * 100 >= documents * options.stop_after_percent:
        return (
            f"{_failed(errors)} of {documents:,}, and the options stop a run after {options.stop_after_percent} %. "
            "What was not sent is held."
        )
    return ""


def out_of_time(minutes: int) -> str:
    """Say that a run took longer than it may."""
    return f"The run took longer than the {minutes:,} minutes that its options give it. What was not sent is held."


def repeated(plan: Plan, document: Document, *, lies_apart: bool) -> Problem | None:
    """Say what is wrong with a document whose key comes twice: its rows lie apart, or it has several where every line
    sends one record a document, so that only the first would count."""
    once_each = all(line.grouped for line in plan.lines)
    if not document.key or len(document.rows) == 1 or not (lies_apart or once_each):
        return None
    again = _second_time(document.row_numbers)
    return Problem(
        sentence=f"The key {document.key} comes again in row {again:,}; it was in row {document.row_numbers[0]:,} first.",
        cause="The key comes twice in the source",
        code="source.repeated_key",
        where=Where(stage="group", column=plan.key_fields[0]),
    )


def _second_time(numbers: Sequence[int]) -> int:
    """Give the first row that does not follow the one before it; the second one where all do."""
    apart = (now for before, now in pairwise(numbers) if now != before + 1)
    return next(apart, numbers[1])


def _failed(errors: int) -> str:
    return "1 document failed" if errors == 1 else f"{errors:,} documents failed"
