"""What the stages hand to each other: batches of a few thousand, lists and not dictionaries on the hot path."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from integrations.engine.errors import Where

Row = list[str]
"""One source row: a value for every column, in the order of the columns; missing text is ""."""

Record = list[Any]
"""One mapped record: a value for every field of its line, in the order of the fields; None is null."""


class Bucket(StrEnum):
    """Where a document ended. Delivered is created + updated; failed, unknown and held count as errors."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    RESTRICTED = "restricted"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HELD = "held"


DELIVERED = frozenset({Bucket.CREATED, Bucket.UPDATED})
ERRORS = frozenset({Bucket.FAILED, Bucket.UNKNOWN, Bucket.HELD})


@dataclass(slots=True)
class RowBatch:
    """Consecutive source rows. `first_row` is the number of rows[0], counted from 1 without the header.

    `lines` gives the physical line of each row where the source has lines (a quoted field may span several).
    `defects` maps an index in `rows` to the sentence that says why that row cannot be trusted (ragged …);
    such a row fails its document, and only that one.
    """

    rows: list[Row]
    first_row: int
    lines: list[int] | None = None
    defects: dict[int, str] = field(default_factory=dict)
    row_numbers: list[int] | None = None
    """The number of each row where they are not consecutive any more (a rule left some out)."""

    @property
    def numbers(self) -> Sequence[int]:
        return self.row_numbers or range(self.first_row, self.first_row + len(self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a document is failed, unknown or restricted, in words that fit the cell it points at.

    `cause` groups equal problems on the Run Summary: the sentence without the particular values.
    `answer` is what the destination said, already masked and bounded.
    """

    sentence: str
    cause: str = ""
    code: str = "record"
    where: Where = field(default_factory=Where)
    answer: str = ""


@dataclass(slots=True)
class Document:
    """The rows that share a key: the unit that succeeds or fails. `number` counts from 1 in order of first rows.

    `wide` are the rows with their additional columns, once they were computed.
    """

    number: int
    key: str
    rows: list[Row]
    row_numbers: list[int]
    problem: Problem | None = None
    wide: list[Row] | None = None

    @property
    def full_rows(self) -> list[Row]:
        """The rows with all that is known of them."""
        return self.rows if self.wide is None else self.wide


@dataclass(slots=True)
class LineRecords:
    """The records of one line for a batch; `owners[i]` is the index in the batch of the document of records[i]."""

    records: list[Record] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    restricted: int = 0


@dataclass(slots=True)
class MappedBatch:
    """Documents with their mapped records, ready to send.

    `verdicts[i]` is None when document i is to be sent; otherwise the bucket it already ended in (restricted or
    failed), with `problems[i]` saying why. `lines` follow the plan's lines. `parts[i]` holds what could be mapped of
    a failed document: one entry a record, {"line": name, "values": {target: value}}.
    """

    documents: Sequence[Document]
    lines: list[LineRecords]
    verdicts: list[Bucket | None]
    problems: dict[int, Problem] = field(default_factory=dict)
    parts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    variables: dict[str, Any] | None = None
    """The run's variables after the scripts of this batch; None where nothing could have changed them."""


@dataclass(slots=True)
class Delivery:
    """The destination's word on one batch: a bucket for every document, a problem for each that is not well.

    `line_counts[n]` counts the records of line n by bucket.
    """

    buckets: list[Bucket]
    problems: dict[int, Problem] = field(default_factory=dict)
    line_counts: list[dict[Bucket, int]] = field(default_factory=list)
