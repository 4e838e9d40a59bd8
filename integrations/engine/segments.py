"""Segments: documents cut to the size of one delivery, and a mapped batch parted where a delivery ended."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice

from integrations.engine.batch import Document, LineRecords, MappedBatch

SEGMENT_CHARS = 16_000_000
"""What the source rows of a segment may hold together, so that memory stays flat for wide rows, too."""


def cut(found: Iterator[Document], most: int) -> list[Document]:
    """Take the next segment: `most` documents, or fewer where they are large. The same source is always cut alike."""
    segment = []
    chars = 0
    for document in islice(found, most):
        segment.append(document)
        chars += sum(len("".join(row)) for row in document.rows)
        if chars > SEGMENT_CHARS:
            break
    return segment


def parted(batch: MappedBatch, at: int) -> tuple[MappedBatch, MappedBatch]:
    """Part a mapped batch behind its first `at` documents."""
    size = len(batch.documents)
    if at >= size:
        return batch, MappedBatch(documents=[], lines=[], verdicts=[])
    return _piece(batch, 0, at), _piece(batch, at, size)


def _piece(batch: MappedBatch, begin: int, end: int) -> MappedBatch:
    lines = []
    for line in batch.lines:
        low, high = bisect_left(line.owners, begin), bisect_left(line.owners, end)
        owners = [owner - begin for owner in line.owners[low:high]]
        # Counted of the batch as a whole, and told with its first piece.
        restricted = 0 if begin else line.restricted
        lines.append(LineRecords(records=line.records[low:high], owners=owners, restricted=restricted))
    return MappedBatch(
        documents=batch.documents[begin:end],
        lines=lines,
        verdicts=batch.verdicts[begin:end],
        problems={index - begin: problem for index, problem in batch.problems.items() if begin <= index < end},
        parts={index - begin: parts for index, parts in batch.parts.items() if begin <= index < end},
    )
