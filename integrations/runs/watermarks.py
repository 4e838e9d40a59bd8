"""The watermark of a process, changed by the run that ends well or by a person."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.db import transaction

from integrations.models import Process, Watermark
from integrations.runs.files import discard_unwanted


@contextmanager
def changing(process: Process) -> Iterator[Watermark]:
    """Give the watermark of `process` to be changed, in a transaction. Rows that are no longer carried then go from the
    disk once that is durable."""
    with transaction.atomic():
        watermark = Watermark.locked(process)
        before = watermark.carried
        yield watermark
        if before is not None and watermark.carried != before:
            transaction.on_commit(partial(discard_unwanted, before.sha256))
