"""Where a business key went: one of a run's documents, found without a row for each of them."""

from dataclasses import dataclass

from integrations.engine.batch import Bucket
from integrations.models import LedgerSegment, Run
from integrations.runs.journal import unpack_keys
from integrations.runs.key_filter import may_hold


@dataclass(frozen=True, kw_only=True)
class Found:
    """A document of a run, the segment that accounts for it, and its bucket."""

    document: int
    segment: int
    bucket: Bucket


def find_key(run: Run, key: str) -> list[Found]:
    """Give every accounted document of `run` with exactly this key, in order.

    All filters of the run are scanned (about a megabyte for a million documents), and few segments opened.
    """
    filters = LedgerSegment.objects.filter(run=run).values_list("pk", "key_filter").iterator()
    candidates = [pk for pk, key_filter in filters if may_hold(bytes(key_filter), key)]
    segments = LedgerSegment.objects.filter(pk__in=candidates).order_by("number")
    return [
        Found(document=segment.first_document + index, segment=segment.number, bucket=bucket)
        for segment in segments
        for index, (held, bucket) in enumerate(unpack_keys(bytes(segment.keys)))
        if held == key
    ]
