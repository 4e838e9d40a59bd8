"""Documents into tables: all lines of a document in one transaction, a segment at a time, with the marker beside them.

When the database refuses something, the segment is halved under savepoints until the guilty document stands alone: it
fails with the database's reason, and everything else of its segment is written.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from integrations.connectors.spec import DestinationContext
from integrations.connectors.sql import marker
from integrations.connectors.sql.systems import System, rules_of, system_of, table_columns
from integrations.connectors.sql.words import refusal
from integrations.connectors.sql.writing import LineWriter
from integrations.engine.batch import DELIVERED, Bucket, Delivery, MappedBatch, Problem
from integrations.engine.errors import DefinitionError, Fenced, TransientError, UnknownOutcome, Where
from integrations.engine.plan import WriteMode
from integrations.engine.ports import Settled, Ticket

log = logging.getLogger(__name__)

BATCH_DOCUMENTS = 4_000
MOST_DOCUMENTS = 20_000


class SqlDestination:
    """`engine.ports.Destination` on one SQL database.

    The option `batch_documents` says how many documents one transaction takes: fewer hold locks for a shorter time.
    """

    def __init__(self, context: DestinationContext) -> None:
        self.batch_size = _batch_size(context.spec.options.get("batch_documents"))
        self._system: System = system_of(context.opened)
        self._writers = [LineWriter(self._system, line, number) for number, line in enumerate(context.lines)]
        self._rules: dict[str, dict[str, str]] = {}
        self._connection: Any = None
        for writer in self._writers:
            writer.check(table_columns(self._system, writer.line.target))
        self.settles = bool(table_columns(self._system, marker.TABLE))
        self.repeat_safe = all(line.mode is not WriteMode.INSERT for line in context.lines)

    def enter(self, ticket: Ticket) -> Settled | None:
        if not self.settles:
            return None
        cursor = self._cursor()
        try:
            return marker.enter(self._system, cursor, ticket)
        except self._system.errors as error:
            raise self._transient_or_definition(error) from error

    def deliver(self, batch: MappedBatch, ticket: Ticket) -> Delivery:
        cursor = self._cursor()
        try:
            cursor.execute(self._system.begin)
            if self.settles and (before := marker.claim(self._system, cursor, ticket)) is not None:
                cursor.execute("ROLLBACK")
                return before
            delivery = _Segment(self, cursor, batch).delivered()
            if self.settles:
                marker.remember(self._system, cursor, ticket, delivery)
        except Fenced:
            cursor.execute("ROLLBACK")
            raise
        except self._system.errors as error:
            self._drop()
            raise self._transient_or_definition(error) from error
        try:
            cursor.execute("COMMIT")
        except self._system.errors as error:
            self._drop()
            raise self._doubtful(error) from error
        return delivery

    def close(self) -> None:
        self._drop()

    # ---- what a segment asks -------------------------------------------------------------------------------------

    @property
    def writers(self) -> Sequence[LineWriter]:
        return self._writers

    def is_refusal(self, error: Exception) -> bool:
        """Say whether the database refused a record, rather than the whole statement: a fault of its own is no verdict."""
        return isinstance(error, self._system.refusals)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return self._system.errors

    @property
    def check_now(self) -> str:
        return self._system.check_now

    def rules(self, table: str) -> dict[str, str]:
        if table not in self._rules:
            self._rules[table] = rules_of(self._system, table)
        return self._rules[table]

    # ---- inside --------------------------------------------------------------------------------------------------

    def _cursor(self) -> Any:
        if self._connection is None:
            self._connection = self._system.connect()
            cursor = self._connection.cursor()
            try:
                for writer in self._writers:
                    writer.prepare(cursor)
            except self._system.errors as error:
                self._drop()
                raise self._transient_or_definition(error) from error
        return self._connection.cursor()

    def _drop(self) -> None:
        """Close the connection, which ends its transaction. It is opened anew when it is needed."""
        if self._connection is not None:
            try:
                self._connection.close()
            except self._system.errors:
                log.warning("a broken connection to %s could not be closed", self._system.opened.name, exc_info=True)
            self._connection = None

    def _doubtful(self, error: Exception) -> Exception:
        """The answer to a commit was lost: the marker will tell, or a repetition changes nothing, or it is unknown."""
        if isinstance(error, self._system.refusals):
            return DefinitionError(
                f"{self._system.opened.name} refuses this segment as a whole, because of a rule it checks at the end: "
                f"{error}. Nothing of the segment was taken. Correct the records, or the rule.",
                code="sql.refused_at_end",
            )
        if self.settles or self.repeat_safe:
            return TransientError(f"{self._system.opened.name} did not confirm: {error}.", code="sql.commit")
        return UnknownOutcome(f"{self._system.opened.name} did not confirm whether it took this segment: {error}.")

    def _transient_or_definition(self, error: Exception) -> Exception:
        name = self._system.opened.name
        said = str(error).strip().split("\n", 1)[0]
        if self._system.is_passing(error):
            return TransientError(f"{name} cannot take records now: {said}.", code="sql.busy")
        return DefinitionError(
            f"{name} does not understand what it is asked: {said}. Check the lines.", code="sql.statement"
        )


def _batch_size(asked: object) -> int:
    try:
        size = int(str(asked or BATCH_DOCUMENTS))
    except ValueError:
        size = 0
    if not 0 < size <= MOST_DOCUMENTS:
        raise DefinitionError(
            f"“{asked}” documents a transaction do not work: enter a number from 1 to {MOST_DOCUMENTS:,}.",
            code="sql.batch",
        )
    return size


class _Segment:
    """One batch on its way into the database, inside an open transaction."""

    def __init__(self, destination: SqlDestination, cursor: Any, batch: MappedBatch) -> None:
        self._destination = destination
        self._cursor = cursor
        self._batch = batch
        self._buckets: list[Bucket | None] = list(batch.verdicts)
        self._problems: dict[int, Problem] = {}
        self._counts: list[Counter[Bucket]] = [
            Counter({Bucket.RESTRICTED: line.restricted} if line.restricted else {}) for line in batch.lines
        ]

    def delivered(self) -> Delivery:
        keyless = self._keyless()
        for index, problem in keyless.items():
            self._refuse(index, problem)
        self._write_around(keyless, 0, len(self._batch.documents))
        return Delivery(
            buckets=[bucket or Bucket.UNCHANGED for bucket in self._buckets],
            problems=self._problems,
            line_counts=[dict(count) for count in self._counts],
        )

    def _write(self, begin: int, end: int) -> None:
        """Write the documents [begin, end); where they are refused, halve them until the guilty one stands alone."""
        if begin == end or not any(verdict is None for verdict in self._batch.verdicts[begin:end]):
            return
        self._cursor.execute("SAVEPOINT waybill_part")
        at = -1
        try:
            written = []
            for at, writer in enumerate(self._destination.writers):
                line = self._batch.lines[at]
                low, high = bisect_left(line.owners, begin), bisect_left(line.owners, end)
                written.append((line.owners[low:high], writer.write(self._cursor, line.records[low:high])))
            if self._destination.check_now:
                self._cursor.execute(self._destination.check_now)
        except self._destination.errors as error:
            if not self._destination.is_refusal(error):
                raise
            self._take_back(error)
            if end - begin == 1:
                self._refuse(begin, self._reason(begin, at, error))
                return
            middle = (begin + end) // 2
            self._write(begin, middle)
            self._write(middle, end)
            return
        nowhere = {
            owner
            for owners, buckets in written
            for owner, bucket in zip(owners, buckets, strict=True)
            if bucket is None
        }
        if nowhere:
            self._without_record(begin, end, nowhere)
            return
        self._cursor.execute("RELEASE SAVEPOINT waybill_part")
        for number, (owners, buckets) in enumerate(written):
            self._count(number, owners, buckets)

    def _take_back(self, refused: Exception) -> None:
        try:
            self._cursor.execute("ROLLBACK TO SAVEPOINT waybill_part")
            self._cursor.execute("RELEASE SAVEPOINT waybill_part")
        except self._destination.errors:
            # The rule threw the whole transaction away: what it said is the reason, not that nothing is left.
            raise refused from None

    def _without_record(self, begin: int, end: int, nowhere: set[int]) -> None:
        """An update found no record: those documents fail, and the others are written without them."""
        self._cursor.execute("ROLLBACK TO SAVEPOINT waybill_part")
        self._cursor.execute("RELEASE SAVEPOINT waybill_part")
        for owner in nowhere:
            line = next(w.line for w in self._destination.writers if w.line.mode is WriteMode.UPDATE)
            key = self._batch.documents[owner].key
            self._refuse(
                owner,
                Problem(
                    sentence=f"{line.target} holds no record {key}, and the line {line.name} only updates.",
                    cause=f"{line.target} holds no such record",
                    code="destination.no_record",
                    where=Where(stage="deliver"),
                ),
            )
        self._write_around(nowhere, begin, end)

    def _write_around(self, left_out: Collection[int], begin: int, end: int) -> None:
        """Write the documents [begin, end) without these."""
        start = begin
        for owner in [*sorted(left_out), end]:
            self._write(start, owner)
            start = owner + 1

    def _keyless(self) -> dict[int, Problem]:
        """Find the documents with a record that no key can find again: each repetition would create it anew."""
        found: dict[int, Problem] = {}
        for writer, line in zip(self._destination.writers, self._batch.lines, strict=True):
            for at in writer.without_key(line.records):
                names = " and ".join(writer.line.keys)
                sentence = f"{names} is blank, and the line {writer.line.name} finds its records by it."
                found.setdefault(
                    line.owners[at],
                    Problem(
                        sentence=sentence,
                        cause=sentence,
                        code="destination.no_key",
                        where=Where(stage="deliver", column=writer.line.keys[0]),
                    ),
                )
        return found

    def _refuse(self, index: int, problem: Problem) -> None:
        self._buckets[index] = Bucket.FAILED
        self._problems[index] = problem
        for number, line in enumerate(self._batch.lines):
            low, high = bisect_left(line.owners, index), bisect_left(line.owners, index + 1)
            if high > low:
                self._counts[number][Bucket.FAILED] += high - low

    def _reason(self, index: int, at: int, error: Exception) -> Problem:
        writer = self._destination.writers[max(at, 0)]
        line = self._batch.lines[max(at, 0)]
        low = bisect_left(line.owners, index)
        values = dict(zip(writer.targets, line.records[low], strict=True)) if low < len(line.records) else {}
        problem = refusal(
            error, writer.line.target, values, writer.line.keys, self._destination.rules(writer.line.target)
        )
        source = next((item.column for item in writer.line.fields if item.target == problem.where.column), "")
        if source in ("", problem.where.column):
            return problem
        # Whoever corrects it corrects the file, which knows another name.
        return replace(problem, sentence=f"{problem.sentence} It comes from {source}.")

    def _count(self, number: int, owners: Sequence[int], buckets: Sequence[Bucket | None]) -> None:
        """A document is created when a record of its first line is; any other change makes it updated."""
        counts = self._counts[number]
        for owner, bucket in zip(owners, buckets, strict=True):
            assert bucket is not None
            counts[bucket] += 1
            before = self._buckets[owner]
            if before is None or before is Bucket.UNCHANGED:
                self._buckets[owner] = Bucket.UPDATED if number and bucket in DELIVERED and before else bucket
