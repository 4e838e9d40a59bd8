"""Rows become documents: by key, in the order of first rows, wherever their rows lie."""

import random
import resource
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.engine import survey as survey_module
from integrations.engine.batch import Bucket, RowBatch
from integrations.engine.group import documents
from integrations.engine.keys import joined
from integrations.engine.plan import Aggregate, Column, FieldMap, Line, SourceSpec, ValueType
from integrations.engine.survey import survey
from tests.engine.fakes import Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Name")
keys = st.lists(st.sampled_from(["A", "B", "C", "D", ""]), max_size=40)


def expected(listed: list[str]) -> list[tuple[str, list[int]]]:
    found: dict[str, list[int]] = {}
    for number, key in enumerate(listed, 1):
        found.setdefault(key or f"blank {number}", []).append(number)
    return sorted(((key, numbers) for key, numbers in found.items()), key=lambda item: item[1][0])


@given(listed=keys, size=st.integers(1, 9), few=st.sampled_from([0, 10_000]))
@settings(deadline=None, max_examples=150)
def test_documents_hold_all_rows_of_their_key_in_the_order_of_first_rows(
    listed: list[str], size: int, few: int
) -> None:
    source = Rows(COLUMNS, [[key, str(n)] for n, key in enumerate(listed, 1)], size=size)
    before, survey_module.FEW_SCATTERED = survey_module.FEW_SCATTERED, few
    try:
        seen = survey(customers(), source)
        found = list(documents(customers(), source, seen))
    finally:
        survey_module.FEW_SCATTERED = before
    assert [(d.key or f"blank {d.row_numbers[0]}", d.row_numbers) for d in found] == expected(listed)
    assert [document.number for document in found] == list(range(1, len(found) + 1))
    assert (seen.documents, seen.rows) == (len(found), len(listed))


@given(listed=keys, segment=st.integers(1, 7), refused=st.sets(st.sampled_from("ABCD")))
@settings(deadline=None, max_examples=75)
def test_the_ledger_balances_for_any_order_of_rows(listed: list[str], segment: int, refused: set[str]) -> None:
    world, ledger = World(size=segment), Ledger()
    world.refuse = set(refused)
    run(customers(), Rows(COLUMNS, [[key, "x"] for key in listed]), world, ledger)
    assert ledger.balances()
    assert world.received == Counter({key for key in listed if key} - refused)
    assert ledger.counts[Bucket.CREATED] == len(world.received)


def test_more_scattered_keys_than_are_listed_are_all_gathered_on_disk() -> None:
    rows = [[f"K{n % 500}", str(n)] for n in range(1_500)]
    before, survey_module.FEW_SCATTERED = survey_module.FEW_SCATTERED, 10
    try:
        seen = survey(customers(), Rows(COLUMNS, rows))
        assert seen.scattered is None
        found = list(documents(customers(), Rows(COLUMNS, rows), seen))
    finally:
        survey_module.FEW_SCATTERED = before
    assert [document.row_numbers for document in found[:2]] == [[1, 501, 1001], [2, 502, 1002]]


class Made:
    """A source that makes its rows as they are read: order lines of four rows each, in a given order."""

    columns = COLUMNS

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order

    def read(self) -> Iterator[RowBatch]:
        for at in range(0, len(self._order), 2_000):
            part = self._order[at : at + 2_000]
            yield RowBatch(rows=[[f"K{row // 4}", f"value {row}"] for row in part], first_row=at + 1)

    def close(self) -> None: ...


def shuffled(rows: int) -> Made:
    order = array("l", range(rows))
    random.Random(20261124).shuffle(order)
    return Made(order)


def megabytes_to_group(rows: int) -> float:
    """Group a shuffled source in a process of its own; give by how much its memory grew at the most."""
    done = subprocess.run(
        [sys.executable, "-c", f"from tests.engine.test_grouping import *; tell_growth({rows})"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(done.stdout)


def tell_growth(rows: int) -> None:
    source = shuffled(rows)
    seen = survey(customers(), source)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in documents(customers(), source, seen)) == rows // 4
    sys.stdout.write(str((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def test_a_shuffled_file_of_200_000_rows_gives_the_documents_of_a_sorted_one() -> None:
    source = shuffled(200_000)
    seen = survey(customers(), source)
    assert (seen.rows, seen.documents, seen.scattered) == (200_000, 50_000, None)
    before = 0
    for document in documents(customers(), source, seen):
        assert before < document.row_numbers[0] < document.row_numbers[-1], "in order of first rows, and of rows"
        before = document.row_numbers[0]
        first = int(document.key[1:]) * 4
        assert sorted(row[1] for row in document.rows) == sorted(f"value {n}" for n in range(first, first + 4))
    assert document.number == 50_000


def test_memory_stays_flat_however_many_rows_are_scattered() -> None:
    small, large = megabytes_to_group(100_000), megabytes_to_group(400_000)
    assert large < 2 * small + 8, f"{large:.0f} MB for 400,000 rows, {small:.0f} MB for 100,000"


values = st.lists(st.text(alphabet="ab|\\", max_size=4), min_size=2, max_size=2)


@given(one=values, other=values)
@settings(deadline=None, max_examples=300)
def test_keys_of_several_fields_never_run_together(one: list[str], other: list[str]) -> None:
    assert (joined(one) == joined(other)) == (one == other)


def test_values_that_hold_the_mark_of_keys_make_documents_of_their_own() -> None:
    ledger = Ledger()
    run(customers(key_fields=COLUMNS), Rows(COLUMNS, [["A|B", "C"], ["A", "B|C"], ["A", "B"]]), World(), ledger)
    assert list(ledger.buckets) == ["A\\|B|C", "A|B\\|C", "A|B"]


def test_a_sum_is_exact_however_many_digits_it_has() -> None:
    world = World()
    plan = customers(line={"aggregates": {"Name": Aggregate.SUM}})
    run(plan, Rows(COLUMNS, [["1", "1" + "0" * 40], ["1", "0.01"]]), world, Ledger())
    assert world.records[0][0] == [["1", "1" + "0" * 40 + ".01"]]


def test_a_header_line_reduces_its_rows_and_an_item_line_keeps_them() -> None:
    plan = customers(
        source=SourceSpec(kind="listed", columns=(Column(name="Number"), Column(name="Item"), Column(name="Amount"))),
        lines=(
            Line(
                name="Header",
                target="orders",
                aggregates={"Amount": Aggregate.SUM, "Item": Aggregate.CONCAT},
                fields=(
                    FieldMap(target="number", value="Number"),
                    FieldMap(target="total", value="Amount", type=ValueType.DECIMAL),
                    FieldMap(target="items", value="Item"),
                ),
            ),
            Line(name="Item", target="items", grouped=False, fields=(FieldMap(target="item", value="Item"),)),
        ),
    )
    rows = [["1", "a", "0.10"], ["1", "b", "0.20"], ["2", "c", "x"]]
    world, ledger = World(), Ledger()
    run(plan, Rows(("Number", "Item", "Amount"), rows), world, ledger)
    header, items = world.records[0]
    assert [[str(value) for value in record] for record in header] == [["1", "0.30", "a|b"]]
    assert items == [["a"], ["b"]]
    assert "“x” in column Amount of row 3 cannot be added up" in ledger.sentences["2"]


@pytest.mark.parametrize(
    ("declared", "values", "smallest", "largest"),
    [
        (
            Column(name="Name", type=ValueType.DATE, format="DMY"),
            ["02.01.2027", "31.12.2026"],
            "31.12.2026",
            "02.01.2027",
        ),
        (
            Column(name="Name", type=ValueType.DATETIME, format="DD.MM.YY hh:mm"),
            ["02.01.27 10:00", "31.12.26 11:00"],
            "31.12.26 11:00",
            "02.01.27 10:00",
        ),
        (Column(name="Name", type=ValueType.INTEGER), ["10", "", "9"], "9", "10"),
        (Column(name="Name", type=ValueType.DECIMAL, format=","), ["10", "9,5"], "9,5", "10"),
        (Column(name="Name"), ["10", "9"], "9", "10"),
        (Column(name="Name"), ["10", "9", "b"], "10", "b"),
        (Column(name="Name", type=ValueType.DATE), ["", " "], "", ""),
    ],
)
def test_values_are_compared_as_their_column_is_declared(
    declared: Column, values: list[str], smallest: str, largest: str
) -> None:
    source = SourceSpec(kind="listed", columns=(Column(name="Number"), declared))
    for aggregate, value in ((Aggregate.MIN, smallest), (Aggregate.MAX, largest)):
        world = World()
        plan = customers(source=source, line={"aggregates": {"Name": aggregate}})
        run(plan, Rows(COLUMNS, [["1", text] for text in values]), world, Ledger())
        assert world.records[0][0] == [["1", value]], aggregate


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (
            ValueType.DATE,
            ["2026-12-31", "soon"],
            "“soon” in column Name of row 2 cannot be compared: expected a date such as 2026-11-24.",
        ),
        (
            ValueType.INTEGER,
            ["x"],
            "“x” in column Name of row 1 cannot be compared: expected a whole number such as 42.",
        ),
        (
            ValueType.DATETIME,
            ["2026-12-31 10:00:00", "2026-12-31T10:00:00+01:00"],
            "Column Name of rows 1 to 2 cannot be compared: some moments have a time zone and some have none.",
        ),
    ],
)
def test_a_value_that_cannot_be_compared_fails_its_document(kind: ValueType, values: list[str], said: str) -> None:
    source = SourceSpec(kind="listed", columns=(Column(name="Number"), Column(name="Name", type=kind)))
    plan, world, ledger = customers(source=source, line={"aggregates": {"Name": Aggregate.MAX}}), World(), Ledger()

    run(plan, Rows(COLUMNS, [*(["1", text] for text in values), ["2", ""]]), world, ledger)

    assert ledger.sentences == {"1": said}
    assert [segment[0] for segment in world.records] == [[["2", ""]]]
