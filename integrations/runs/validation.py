"""Validations by lookup: which rows of the source, or of one document, have (or do not have) a row in another system."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from integrations.engine.batch import Document, Row
from integrations.engine.errors import DefinitionError, TransientError
from integrations.engine.inputs import Inputs
from integrations.engine.keys import Keys, kept
from integrations.engine.lookups import Finder
from integrations.engine.plan import ColumnType, Expects, FieldMap, Lookup, Plan, Stage, Task
from integrations.engine.ports import Source
from integrations.engine.variables import Variables
from integrations.runs.lookups import RunLookups, finder_at

LISTED = 20
"""Rows that a sentence tells one by one."""
LISTED_CHARS = 4_000


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows with their numbers and the keys of their documents."""

    rows: Sequence[Row]
    numbers: Sequence[int]
    keys: Sequence[str]


def rows_of_source(plan: Plan, source: Source) -> Iterator[Rows]:
    """Give all rows of the source that count, batch by batch."""
    keys = Keys(plan, source.columns)
    for batch in source.read():
        batch = kept(plan.options, keys, batch)
        found = keys.of(batch.rows) if keys.indexes else [""] * len(batch.rows)
        yield Rows(rows=batch.rows, numbers=batch.numbers, keys=found)


def rows_of_document(document: Document) -> Rows:
    return Rows(rows=document.full_rows, numbers=document.row_numbers, keys=[document.key] * len(document.rows))


def looked_wrong(
    task: Task,
    columns: Sequence[str],
    batches: Iterable[Rows],
    variables: Variables,
    *,
    is_over: Callable[[], bool],
    seconds: float,
    attempts: int,
) -> str | None:
    """Look every row up and say which are wrong, "" when none is, None when it was ended.

    Raises `WaybillError` with the reason for no answer.
    """
    how = _asked(task, columns)
    wanted = 1 if task.expects is Expects.ROW else 0
    wrong: list[str] = []
    count = seen = 0
    lookups = RunLookups({how.connection: finder_at(how.connection, seconds)}, attempts=attempts)
    with closing(lookups):
        spec = FieldMap(target=task.name, column_type=ColumnType.LOOKUP, lookup=how)
        finder = Finder(spec, columns, Inputs(variables=variables, lookups=lookups))
        for batch in batches:
            if is_over():
                return None
            seen += len(batch.rows)
            for at, found in enumerate(finder.find(batch.rows)):
                if found.fault:
                    sentence, _ = finder.complaint(found, batch.rows[at], batch.numbers[at])
                    raise TransientError(sentence, code="lookup.unanswered")
                if min(found.rows, 1) != wanted:
                    count += 1
                    if count <= LISTED:
                        key = f" ({batch.keys[at]})" if batch.keys[at] else ""
                        wrong.append(f"row {batch.numbers[at]}{key}, {finder.shown(batch.rows[at])}")
    if not count:
        return ""
    rows = "1 row" if count == 1 else f"{count:,} rows"
    verdict = ("is" if count == 1 else "are") + (" not found" if wanted else " found, and should not be,")
    if task.stage is Stage.INTEGRATION_PRE:
        return f"{finder.shown([])} {verdict.rstrip(',')} in {how.table}."
    more = f"; and {count - len(wrong):,} more" if count > len(wrong) else ""
    return f"{rows} of {seen:,} {verdict} in {how.table}: {'; '.join(wrong)[:LISTED_CHARS]}{more}."


def _asked(task: Task, columns: Sequence[str]) -> Lookup:
    how = task.lookup
    if how is None or not how.asks:
        raise DefinitionError(
            "its lookup does not say where to look. Complete it on the Tasks tab.", code="definition.lookup"
        )
    if missing := next((match.column for match in how.matches if match.column and match.column not in columns), ""):
        raise DefinitionError(
            f"its lookup takes {missing}, which is no column there. Correct it on the Tasks tab.",
            code="definition.column",
        )
    return how
