"""The delivery marker: one row a run in the destination's own database, written in the transaction of the records.

It is a fence and a memory in one. `enter` raises the run's epoch, so that a worker which lost the run can commit
nothing more; each segment moves the row on to its own number, so that a segment is committed once; and the answer
given for it is kept, so that a resumed run tells exactly what the first one would have told.
"""

import base64
import json
import zlib
from typing import Any

from integrations.connectors.sql.systems import System
from integrations.engine.batch import Bucket, Delivery, Problem
from integrations.engine.errors import Fenced, Where
from integrations.engine.ports import Settled, Ticket

TABLE = "waybill_delivery"
CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    run TEXT PRIMARY KEY, epoch BIGINT NOT NULL, segment BIGINT NOT NULL, answer TEXT, settled_at TEXT NOT NULL)"""
UNSEEN = "unseen"
"""Stands for the answer in a row that was made when the next segment may have left already, without the marker."""
NOW = "CAST(CURRENT_TIMESTAMP AS TEXT)"
LETTERS = {
    Bucket.CREATED: "c",
    Bucket.UPDATED: "u",
    Bucket.UNCHANGED: "n",
    Bucket.RESTRICTED: "r",
    Bucket.FAILED: "f",
    Bucket.UNKNOWN: "?",
    Bucket.HELD: "h",
}
BUCKETS = {letter: bucket for bucket, letter in LETTERS.items()}


def enter(system: System, cursor: Any, ticket: Ticket) -> Settled | None:
    """Shut out older epochs and give what this run committed last. Raises `Fenced` where a newer one has entered.

    None where the marker cannot know: it was created only after the segment in doubt may have left.
    """
    mark = system.mark
    cursor.execute(
        f"INSERT INTO {TABLE} (run, epoch, segment, answer, settled_at) "
        f"VALUES ({mark}, {mark}, {mark}, {mark}, {NOW}) "
        f"ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch WHERE {TABLE}.epoch <= excluded.epoch",
        (ticket.run, ticket.epoch, ticket.segment - 1, UNSEEN if ticket.in_doubt else None),
    )
    if cursor.rowcount != 1:
        raise _fenced()
    segment, answer = _row(system, cursor, ticket)
    if answer == UNSEEN and segment == ticket.segment - 1:
        return None
    return _settled(segment, answer)


def claim(system: System, cursor: Any, ticket: Ticket) -> Delivery | None:
    """Take the place of this segment inside the open transaction. Gives the answer if it was committed already."""
    mark = system.mark
    cursor.execute(
        f"UPDATE {TABLE} SET segment = {mark}, answer = NULL, settled_at = {NOW} "
        f"WHERE run = {mark} AND epoch = {mark} AND segment < {mark}",
        (ticket.segment, ticket.run, ticket.epoch, ticket.segment),
    )
    if cursor.rowcount == 1:
        return None
    settled = _settled(*_row(system, cursor, ticket))
    if settled.segment == ticket.segment and settled.delivery is not None:
        return settled.delivery
    raise _fenced()


def remember(system: System, cursor: Any, ticket: Ticket, delivery: Delivery) -> None:
    """Keep the answer beside the records it is about."""
    mark = system.mark
    cursor.execute(f"UPDATE {TABLE} SET answer = {mark} WHERE run = {mark}", (packed(delivery), ticket.run))


def _row(system: System, cursor: Any, ticket: Ticket) -> tuple[int, str | None]:
    mark = system.mark
    cursor.execute(f"SELECT epoch, segment, answer FROM {TABLE} WHERE run = {mark}", (ticket.run,))
    row = cursor.fetchone()
    if row is None or row[0] != ticket.epoch:
        raise _fenced()
    return row[1], row[2]


def _settled(segment: int, answer: str | None) -> Settled:
    return Settled(segment=segment, delivery=unpacked(answer) if answer and answer != UNSEEN else None)


def _fenced() -> Fenced:
    return Fenced("Another worker delivers this run now: the destination has seen a newer one.")


def packed(delivery: Delivery) -> str:
    """Give a delivery as short text."""
    problems = {
        index: [p.sentence, p.cause, p.code, p.where.stage, p.where.column, p.answer]
        for index, p in delivery.problems.items()
    }
    lines = [{LETTERS[bucket]: count for bucket, count in line.items()} for line in delivery.line_counts]
    whole = ["".join(map(LETTERS.__getitem__, delivery.buckets)), problems, lines]
    return base64.b85encode(zlib.compress(json.dumps(whole).encode(), level=1)).decode()


def unpacked(text: str) -> Delivery:
    """Give back what `packed` was given."""
    letters, problems, lines = json.loads(zlib.decompress(base64.b85decode(text)))
    return Delivery(
        buckets=[BUCKETS[letter] for letter in letters],
        problems={
            int(index): Problem(
                sentence=sentence, cause=cause, code=code, where=Where(stage=stage, column=column), answer=answer
            )
            for index, (sentence, cause, code, stage, column, answer) in problems.items()
        },
        line_counts=[{BUCKETS[letter]: count for letter, count in line.items()} for line in lines],
    )
