"""The tables of other systems that a run looks values up in: one finder a connection, as long as the run goes on."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing

from integrations.connectors.registry import connector
from integrations.connectors.spec import Finder
from integrations.engine.errors import DefinitionError, TransientError, WaybillError, Where
from integrations.engine.execute import ATTEMPTS, FIRST_PAUSE_SECONDS
from integrations.engine.plan import ColumnType, FieldMap, Lookup, Plan
from integrations.engine.ports import Found
from integrations.runs.connections import connection_of, opened
from integrations.runs.drain import wait_for_drain

log = logging.getLogger(__name__)

SECONDS = 60.0
"""How long one question of a run may take."""


class RunLookups:
    """`engine.ports.Lookups` over the connections that a plan names. What cannot answer now is asked again."""

    def __init__(self, finders: dict[str, Finder], *, attempts: int) -> None:
        self._finders = finders
        self._attempts = attempts

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        """Look up; what alone cannot answer now is asked again alone, and in the end costs its own document."""
        found = list(self._found(lookup, keys))
        for attempt in range(1, self._attempts):
            failed = [at for at, item in enumerate(found) if item.passing]
            if not failed:
                break
            log.warning("attempt %s of %s: %s", attempt, self._attempts, found[failed[0]].fault)
            wait_for_drain(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            for at, item in zip(failed, self._found(lookup, [keys[at] for at in failed]), strict=True):
                found[at] = item
        return found

    def _found(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        finder = self._finders[lookup.connection]
        for attempt in range(1, self._attempts):
            try:
                return finder.find(lookup, keys)
            except TransientError as error:
                log.warning("attempt %s of %s: %s", attempt, self._attempts, error.sentence)
                wait_for_drain(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        return finder.find(lookup, keys)

    def close(self) -> None:
        for finder in self._finders.values():
            finder.close()


class RedactedLookups:
    """`engine.ports.Lookups` for what people look at: an answer that repeats the secret it was asked with shows dots. A run
    masks what it writes down; a preview writes nothing, and shows it at once."""

    def __init__(self, lookups: RunLookups, redact: Callable[[str], str]) -> None:
        self._lookups, self._redact = lookups, redact

    def find(self, lookup: Lookup, keys: Sequence[tuple[str, ...]]) -> Sequence[Found]:
        try:
            found = self._lookups.find(lookup, keys)
        except WaybillError as error:
            error.sentence = self._redact(error.sentence)
            raise
        return [self._shown(item) for item in found]

    def _shown(self, found: Found) -> Found:
        value = None if found.value is None else self._redact(found.value)
        return found._replace(value=value, fault=self._redact(found.fault))


def open_lookups(plan: Plan, *, seconds: float = SECONDS, attempts: int = ATTEMPTS, draft: bool = False) -> RunLookups:
    """Open what the fields of `plan` look into; a `draft` may be half made. Raises `DefinitionError` for what is not there any more, and
    `TransientError` for what does not answer: nothing was read yet."""
    finders: dict[str, Finder] = {}
    lookups = RunLookups(finders, attempts=attempts)
    try:
        for item in plan.fields:
            how = item.lookup
            if item.column_type is ColumnType.LOOKUP and not (draft and (how is None or not how.is_complete)):
                how = _complete(item)
                if how.connection not in finders:
                    finders[how.connection] = finder_at(how.connection, seconds)
                finders[how.connection].check(how)
    except BaseException:
        lookups.close()
        raise
    return lookups


def finder_at(public_id: str, seconds: float) -> Finder:
    """Open a connection for lookups. Raises `DefinitionError` when it is gone, or has no tables."""
    connection = connection_of(public_id)
    open_finder = connector(connection.connector).finder
    if open_finder is None:
        raise DefinitionError(
            f"Nothing can be looked up at {connection.name}. Choose another connection.", code="definition.lookup"
        )
    return open_finder(opened(connection), seconds)


def tables_at(public_id: str, seconds: float) -> Sequence[str]:
    """Name the tables of a connection that can be looked up in. Raises `WaybillError` with the reason for none."""
    with closing(finder_at(public_id, seconds)) as finder:
        return finder.tables()


def fields_of(public_id: str, table: str, seconds: float) -> Sequence[str]:
    """Name the fields of a table at a connection. Raises `WaybillError` with the reason for none."""
    with closing(finder_at(public_id, seconds)) as finder:
        return finder.fields(table)


def see_that_it_fits(how: Lookup, seconds: float) -> None:
    """Raise `WaybillError` for a lookup whose connection cannot answer it as it stands."""
    with closing(finder_at(how.connection, seconds)) as finder:
        finder.check(how)


def _complete(item: FieldMap) -> Lookup:
    how = item.lookup
    if how is None or not how.is_complete:
        raise DefinitionError(
            f"The lookup of {item.target} does not say where to look. Complete it in the mapping.",
            code="definition.lookup",
            where=Where(stage="map", column=item.target),
        )
    return how
