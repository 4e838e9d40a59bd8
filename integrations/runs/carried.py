"""What a run of changes leaves to the next: the rows of every document that did not arrive for sure."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from integrations.connectors.spool import SpooledSource, write_spool
from integrations.engine.batch import ERRORS, Document, Row
from integrations.models import Run
from integrations.runs.files import path_of, store
from integrations.runs.journal import Carried, RunJournal
from integrations.runs.parent_rows import Rows, ended_in


def carried_on(run: Run, journal: RunJournal) -> Carried:
    """Spool the rows of the documents that failed, are unknown or were held, where `run` read changes."""
    if not run.changes or not journal.position().errors:
        return Carried()
    assert run.source_file is not None
    source = SpooledSource(path_of(run.source_file))
    counted = _Counted(ended_in(run, run.version.plan, ERRORS, source))
    with tempfile.TemporaryDirectory(dir=settings.DATA_DIR, prefix="spool-") as folder:
        spool = Path(folder) / "rows"
        write_spool(Rows(source.columns, counted.rows()), spool)
        with spool.open("rb") as file:
            kept = store(run.company, file, name=f"Carried from run {run.number}.jsonl.gz", by=run.requested_by)
    return Carried(kept, counted.documents)


class _Counted:
    """The rows of documents, which are counted as they pass."""

    def __init__(self, found: Iterator[Document]) -> None:
        self._found = found
        self.documents = 0

    def rows(self) -> Iterator[Row]:
        for document in self._found:
            self.documents += 1
            yield from document.rows
