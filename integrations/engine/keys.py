"""Which rows count, and which document each belongs to."""

from collections.abc import Sequence
from operator import itemgetter

from integrations.engine.batch import Row, RowBatch
from integrations.engine.plan import BlankRows, Options, Plan

MARK = "|"


class Keys:
    """Computes the keys of rows from the values of the key fields. Without key fields every row is a document."""

    def __init__(self, plan: Plan, columns: Sequence[str]) -> None:
        self.indexes = tuple(columns.index(name) for name in plan.key_fields)
        self.names = plan.key_fields

    def of(self, rows: Sequence[Row]) -> list[str]:
        """Give each row's key; "" where all of its key fields are blank."""
        if len(self.indexes) == 1:
            return list(map(itemgetter(self.indexes[0]), rows))
        pick = itemgetter(*self.indexes)
        return [joined(values) if any(values := pick(row)) else "" for row in rows]


def joined(values: Sequence[str]) -> str:
    """Give the values of several key fields as one key, such that different values never give the same one."""
    key = MARK.join(values)
    if key.count(MARK) == len(values) - 1:
        return key
    return MARK.join(value.replace("\\", "\\\\").replace(MARK, "\\" + MARK) for value in values)


def kept(options: Options, keys: Keys, batch: RowBatch) -> RowBatch:
    """Obey the blank-row rule: leave out the rows it drops. The others keep their numbers."""
    if options.blank_rows is BlankRows.KEEP:
        return batch
    if options.blank_rows is BlankRows.DROP or not keys.indexes:
        stays = [any(row) or index in batch.defects for index, row in enumerate(batch.rows)]
    else:
        stays = [bool(key) or index in batch.defects for index, key in enumerate(keys.of(batch.rows))]
    if all(stays):
        return batch
    return _thinned(batch, [index for index, stay in enumerate(stays) if stay])


def _thinned(batch: RowBatch, indexes: Sequence[int]) -> RowBatch:
    numbers = batch.numbers
    return RowBatch(
        rows=[batch.rows[index] for index in indexes],
        first_row=batch.first_row,
        lines=[batch.lines[index] for index in indexes] if batch.lines else None,
        defects={new: batch.defects[old] for new, old in enumerate(indexes) if old in batch.defects},
        row_numbers=[numbers[index] for index in indexes],
    )
