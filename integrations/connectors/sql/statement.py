"""One statement of a task: values bound and never pasted, in a transaction of its own, ended when it takes too long."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from integrations.connectors.spec import Opened
from integrations.connectors.sql.binding import bound
from integrations.connectors.sql.query import as_text
from integrations.connectors.sql.systems import STATEMENT_SECONDS, System, system_of
from integrations.engine.errors import DefinitionError, TransientError, UnknownOutcome

LOOK_UP_SECONDS = 0.5
FIRST_ROWS = 5
DRAINED_AT_ONCE = 1_000

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Affected:
    """What a statement did: how many rows it wrote where it gives none, or the first value of the first row it gives."""

    rows: int = 0
    gives_rows: bool = False
    value: str | None = None


def execute(
    opened: Opened,
    statement: str,
    values: Mapping[str, Any],
    *,
    is_over: Callable[[], bool],
    seconds: float = STATEMENT_SECONDS,
) -> Affected | None:
    """Execute and commit one statement with `[name]` bound to its value; None when it was ended because `is_over`.

    Raises `UnknownOutcome` when the answer to the commit was lost; after any other `WaybillError` nothing is kept.
    """
    system = system_of(opened)
    text, given = bound(system, statement, values)
    connection = system.connect(seconds=seconds)

    def work() -> Affected:
        cursor = connection.cursor()
        cursor.execute(system.begin)
        affected = _affected(system.execute(connection, text, given))
        try:
            cursor.execute("COMMIT")
        except system.errors as error:
            if isinstance(error, system.refusals):
                raise
            raise UnknownOutcome(
                f"{opened.name} did not confirm whether it kept what the statement did: {error}.", code="sql.commit"
            ) from error
        return affected

    return _watched(system, connection, work, is_over, seconds)


def first_rows(
    opened: Opened,
    query: str,
    values: Mapping[str, Any],
    *,
    is_over: Callable[[], bool],
    seconds: float = STATEMENT_SECONDS,
) -> list[list[str]] | None:
    """Give the first rows of a query, which can only read; None when it was ended because `is_over`."""
    system = system_of(opened)
    text, given = bound(system, query, values)
    connection = system.connect(read_only=True, seconds=seconds)

    def work() -> list[list[str]]:
        cursor = system.stream(connection, text, given, is_over=lambda: False)
        if cursor.description is None:
            raise DefinitionError("its query can give no rows: it is no SELECT.", code="sql.query")
        found = [[as_text(value) for value in row] for row in cursor.fetchmany(FIRST_ROWS)]
        cursor.close()
        return found

    return _watched(system, connection, work, is_over, seconds)


def _affected(cursor: Any) -> Affected:
    if cursor.description is None:
        return Affected(rows=max(cursor.rowcount, 0))
    first = cursor.fetchone()
    while cursor.fetchmany(DRAINED_AT_ONCE):
        # SQLite has done what it is asked only when its last row was taken.
        continue
    return Affected(gives_rows=True, value=as_text(first[0]) if first else None)


def _watched(
    system: System, connection: Any, work: Callable[[], T], is_over: Callable[[], bool], seconds: float
) -> T | None:
    """Do the work in a thread while this one looks up; whatever ends it, the connection is closed, which takes back
    what was not committed."""
    until = time.monotonic() + seconds
    over = False
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="statement") as thread:
            working = thread.submit(work)
            try:
                while not wait([working], LOOK_UP_SECONDS).done:
                    over = over or is_over()
                    if over or time.monotonic() > until:
                        system.interrupt(connection)
            except BaseException:
                system.interrupt(connection)
                raise
        return working.result()
    except system.errors as error:
        if over and system.was_ended(error):
            return None
        raise _fault(system, error, seconds) from error
    finally:
        connection.close()


def _fault(system: System, error: Exception, seconds: float) -> Exception:
    said = str(error).strip().split("\n", 1)[0].rstrip(".")
    if system.was_ended(error):
        sentence = f"the statement took longer than {seconds:g} s and was ended. Nothing of it was kept."
        return DefinitionError(sentence, code="sql.slow")
    if system.is_passing(error):
        return TransientError(f"{system.opened.name} cannot do it now: {said}.", code="sql.busy")
    return DefinitionError(f"{system.opened.name} refuses the statement: {said}.", code="sql.statement")
