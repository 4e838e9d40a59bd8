"""Where a business key went: one of a run's documents, found without a row for each of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from integrations.engine.batch import Bucket
from integrations.models import DocumentOutcome, LedgerSegment, Run
from integrations.runs.journal import unpack_keys
from integrations.runs.key_filter import asking, may_hold

RUNS_FOUND = 200
SEGMENTS_AT_ONCE = 1_000

Item = TypeVar("Item")


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


def failed_with_key(key: str) -> list[int]:
    """Give the runs in which a document with exactly this key is failed or unknown, the newest first: by an index."""
    found = DocumentOutcome.objects.filter(key=key).order_by("-run_id")
    return list(dict.fromkeys(found.values_list("run_id", flat=True)[:RUNS_FOUND]))


def holding_key(key: str, first: int, last: int, *, newest_first: bool) -> tuple[set[int], int]:
    """Look for those of the runs `first` to `last` (ids) that account for a document with exactly this key.

    A document that arrived has no row of its own: the filters of all segments are asked, and those that do not say no
    are opened. That ends once `RUNS_FOUND` runs have the key, as a process that sends the same customers every night
    has it in each. Gives the runs, and the last one that was looked at.
    """
    asks, found, reached = asking(key), set[int](), last if newest_first else first
    order = ("-run_id", "number") if newest_first else ("run_id", "number")
    segments = LedgerSegment.objects.filter(run__gte=first, run__lte=last).order_by(*order)
    filters = segments.values_list("run_id", "pk", "key_filter").iterator(chunk_size=SEGMENTS_AT_ONCE)
    for chunk in batched(filters, SEGMENTS_AT_ONCE):
        candidates = [pk for _, pk, key_filter in chunk if asks(key_filter)]
        opened = LedgerSegment.objects.filter(pk__in=candidates).values_list("run_id", "keys")
        found |= {run for run, keys in opened if any(held == key for held, _ in unpack_keys(bytes(keys)))}
        reached = chunk[-1][0]
        if len(found) >= RUNS_FOUND:
            return found, reached
    return found, first if newest_first else last


def batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Give the items in tuples of `size`, the last one shorter."""
    left = iter(items)
    while batch := tuple(islice(left, size)):
        yield batch
