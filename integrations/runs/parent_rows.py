"""The rows that a child run gets from its parent instead of reading its own source (*Use data from parent*).

They are spooled and kept like any pinned source, so that the child can be resumed, looked at and run again. The child
groups them by its own keys.
"""

import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from django.conf import settings

from integrations.connectors.spool import write_spool
from integrations.engine.batch import Bucket, Document, RowBatch
from integrations.engine.group import documents
from integrations.engine.plan import ParentData, Plan
from integrations.engine.ports import Source
from integrations.engine.survey import survey
from integrations.models import LedgerSegment, Run, StoredFile
from integrations.runs.facts import ENDED_AS
from integrations.runs.files import store
from integrations.runs.journal import RunJournal, unpack_keys
from integrations.runs.pin import open_pinned

ROWS_A_BATCH = 1_000


def spool_parent_rows(
    parent: Run, plan: Plan, wanted: ParentData, journal: RunJournal, document: Document | None = None
) -> StoredFile:
    """Keep the rows of `document`, or those of all the parent's documents that ended as `wanted`."""
    if not Run.objects.filter(pk=parent.pk, source_documents__isnull=False).exists():
        # It ended before it read anything: it has no documents, and its source is not asked for them now.
        source: Source = Rows(tuple(column.name for column in plan.source.columns), [])
        found: Iterable[Document] = []
    else:
        source = open_pinned(parent, plan.source, journal, _nothing_to_stop)
        found = [document] if document is not None else _wanted(parent, plan, wanted, source)
    try:
        rows = Rows(source.columns, (row for one in found for row in one.rows))
        with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="spool-") as folder:
            spool = Path(folder) / "rows"
            write_spool(rows, spool)
            with spool.open("rb") as file:
                name = f"Rows of run {parent.number}.jsonl.gz"
                return store(parent.company, file, name=name, by=parent.requested_by)
    finally:
        source.close()


def _nothing_to_stop() -> None:
    """The parent's rows are pinned already, so nothing is fetched that could be stopped."""


def _wanted(parent: Run, plan: Plan, wanted: ParentData, source: Source) -> Iterator[Document]:
    if wanted is ParentData.ALL:
        return documents(plan, source, survey(plan, source))
    return ended_in(parent, plan, ENDED_AS[wanted], source)


def ended_in(run: Run, plan: Plan, buckets: Collection[Bucket], source: Source) -> Iterator[Document]:
    """Give the accounted documents of `run` that ended in one of `buckets`, from its pinned `source`."""
    found = documents(plan, source, survey(plan, source))
    # Looked up here and not while the rows are written: those are read in a thread, which has no business with rows of ours.
    wanted_ones = _flags(run, buckets)
    return (one for one, is_wanted in zip(found, wanted_ones, strict=False) if is_wanted)


def _flags(run: Run, buckets: Collection[Bucket]) -> bytearray:
    """Say of every accounted document, in order, whether it ended in one of `buckets`: a byte each."""
    flags = bytearray()
    for page in LedgerSegment.objects.filter(run=run).order_by("number").values_list("keys", flat=True).iterator():
        flags.extend(bucket in buckets for _, bucket in unpack_keys(bytes(page)))
    return flags


class Rows:
    """A source of rows that are here already."""

    def __init__(self, columns: tuple[str, ...], rows: Iterable[list[str]]) -> None:
        self.columns = columns
        self._rows = iter(rows)

    def read(self) -> Iterator[RowBatch]:
        first = 1
        batch: list[list[str]] = []
        for row in self._rows:
            batch.append(row)
            if len(batch) == ROWS_A_BATCH:
                yield RowBatch(rows=batch, first_row=first)
                first, batch = first + len(batch), []
        if batch:
            yield RowBatch(rows=batch, first_row=first)

    def close(self) -> None: ...
