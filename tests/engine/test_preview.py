"""A preview is computed by the stages of a run: it says what the run then sends, no more and no less."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.engine.batch import Bucket
from integrations.engine.plan import Aggregate, Column, ColumnType, FieldMap, Line, Plan, SourceSpec, ValueType
from integrations.engine.ports import Fault
from integrations.engine.preview import Preview, preview, stands_alone
from tests.engine.fakes import Functions, Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Item", "Amount")


def orders() -> Plan:
    """A header line with a sum, a calculation and a restriction, and an item line."""
    header = Line(
        name="Header",
        target="orders",
        aggregates={"Amount": Aggregate.SUM, "Item": Aggregate.CONCAT},
        restriction="return …",
        fields=(
            FieldMap(target="number", value="Number"),
            FieldMap(target="total", value="Amount", type=ValueType.DECIMAL),
            FieldMap(target="long", column_type=ColumnType.CALCULATION, value="return …", type=ValueType.INTEGER),
        ),
    )
    item = Line(
        name="Item",
        target="items",
        grouped=False,
        fields=(FieldMap(target="item", value="Item", required=True), FieldMap(target="amount", value="Amount")),
    )
    source = SourceSpec(kind="listed", columns=tuple(Column(name=name) for name in COLUMNS))
    return customers(source=source, lines=(header, item))


class Answers(Functions):
    """Leaves out what is called “out”, gives no answer for “bad”, and counts letters; the item line has no script."""

    def __init__(self) -> None:
        super().__init__(self._of)

    @staticmethod
    def _of(row: list[str]) -> tuple[bool, list[Any]] | Fault:
        if "bad" in row[1]:
            return Fault("It gave no answer.")
        return "out" not in row[1], [len(row[1])]


def sent(seen: Preview) -> list[list[Any]]:
    """What each line would be sent, in order: the values of every record of a document that is not failed."""
    return [
        [
            list(record.values.values())
            for document in seen.documents
            if document.problem is None
            for record in document.lines[line]
            if not record.restricted
        ]
        for line in range(2)
    ]


rows = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C", "D", ""]),
        st.sampled_from(["x", "y", "out", "bad", ""]),
        st.sampled_from(["1", "2.50", "much", ""]),
    ).map(list),
    min_size=1,
    max_size=30,
)


@given(listed=rows, size=st.integers(1, 9))
@settings(deadline=None, max_examples=80)
def test_a_preview_is_what_the_run_then_sends(listed: list[list[str]], size: int) -> None:
    seen = preview(orders(), Rows(COLUMNS, listed, size=size), Answers(), rows=100)
    world, ledger = World(size=4), Ledger()
    run(orders(), Rows(COLUMNS, listed, size=size), world, ledger, scripts=Answers())

    assert sent(seen) == [[record for segment in world.records for record in segment[line]] for line in range(2)]
    documents = [document for segment in ledger.segments for document in segment.documents]
    assert [(d.number, d.key, list(d.row_numbers)) for d in seen.documents] == [
        (d.number, d.key, list(d.row_numbers)) for d in documents
    ]
    buckets = [bucket for segment in ledger.segments for bucket in segment.buckets]
    assert [d.restricted for d in seen.documents] == [bucket is Bucket.RESTRICTED for bucket in buckets]
    problems = {
        segment.documents[index].number: problem
        for segment in ledger.segments
        for index, problem in segment.problems.items()
    }
    assert {d.number: d.problem for d in seen.documents if d.problem} == problems
    values = {
        segment.documents[index].number: records
        for segment in ledger.segments
        for index, records in segment.values.items()
    }
    for document in seen.documents:
        if document.problem:
            shown = [dict(record.values) for line in document.lines for record in line]
            assert shown == [record["values"] for record in values[document.number]]


def test_a_preview_reads_no_further_than_it_shows() -> None:
    source = Rows(COLUMNS, [[f"K{n}", "x", "1"] for n in range(1_000)], size=7)
    read = 0
    whole = source.read

    def counted() -> Any:
        nonlocal read
        for batch in whole():
            read += len(batch.rows)
            yield batch

    source.read = counted  # type: ignore[method-assign]
    seen = preview(orders(), source, Answers(), rows=10)
    assert len(seen.documents) == len(seen.rows) == 10
    assert read <= 3 * 14, "each of its passes ends with the batch that holds the last row"


def test_one_document_alone_is_what_it_is_among_all() -> None:
    listed = [["A", "x", "1"], ["B", "out", "2"], ["C", "bad", "3"], ["A", "y", "much"]]
    seen = preview(orders(), Rows(COLUMNS, listed), Answers())

    for number, document in enumerate(seen.documents, start=1):
        alone = preview(orders(), Rows(COLUMNS, listed), Answers(), only=number)
        assert (alone.documents, alone.total) == ([document], seen.total)
    assert preview(orders(), Rows(COLUMNS, listed), Answers(), only=99).documents == [seen.documents[-1]]


@pytest.mark.parametrize(
    ("restriction", "alone"),
    [
        ("", True),
        ("return this.GBL_LAST !== this._Item;", True),
        ("this.GBL_LAST = this._Item; return true;", False),
        ("return look(this);", False),
    ],
)
def test_a_line_stands_alone_while_no_script_may_write_a_variable(restriction: str, alone: bool) -> None:
    plan = orders()
    header = replace(plan.lines[0], restriction=restriction)

    assert stands_alone(replace(plan, lines=(header, plan.lines[1]))) is alone
