"""Who gets a rolling number, and in which order."""

from typing import Any

from integrations.engine.plan import ColumnType, FieldMap, Line, Plan, ValueType
from tests.engine.fakes import Counted, Functions, Ledger, Rows, World, customers, run

COLUMNS = ("Number", "Name")
NUMBER = FieldMap(target="number", value="Number")


def rolling(target: str = "id", **more: Any) -> FieldMap:
    return FieldMap(target=target, column_type=ColumnType.ROLLING_NUMBER, sequence="s", **more)


def sent(plan: Plan, *rows: list[str], **ports: Any) -> tuple[list[list[list[Any]]], Ledger]:
    """What goes to each line, over all segments."""
    world, ledger = World(size=100), Ledger()
    outcome = run(
        Plan.from_json(plan.to_json()), Rows(COLUMNS, rows), world, ledger, **({"numbers": Counted()} | ports)
    )
    assert ledger.balances(), outcome
    return [[record for segment in world.records for record in segment[at]] for at in range(len(plan.lines))], ledger


def test_each_record_has_the_next_number_in_the_type_of_its_field() -> None:
    plan = customers(fields=(NUMBER, rolling(required=True), rolling("whole", type=ValueType.INTEGER)))

    lines, _ = sent(plan, ["a", "x"], ["b", "y"])

    assert lines == [[["a", "1", 3], ["b", "2", 4]]]


def test_a_document_with_a_problem_and_one_left_out_take_no_number() -> None:
    plan = customers(
        fields=(NUMBER, rolling(), FieldMap(target="amount", value="Name", type=ValueType.INTEGER)),
        line={"restriction": "return this._Number !== 'c'"},
    )
    rows = [["a", "1"], ["b", "x"], ["c", "3"], ["d", "4"]]

    lines, ledger = sent(plan, *rows, scripts=Functions(lambda row: (row[0] != "c", [])))

    assert lines == [[["a", "1", 1], ["d", "2", 4]]]
    assert list(ledger.sentences) == ["b"]


def test_all_lines_of_a_document_share_the_number_of_an_additional_column() -> None:
    head = Line(name="Head", target="heads", fields=(NUMBER, FieldMap(target="id", value="Order")))
    items = Line(name="Items", target="items", grouped=False, fields=(FieldMap(target="id", value="Order"),))
    plan = customers(additional=(rolling("Order"),), lines=(head, items))

    lines, _ = sent(plan, ["a", "1"], ["a", "2"], ["b", "3"])

    assert lines == [[["a", "1"], ["b", "2"]], [["1"], ["1"], ["2"]]]


def test_the_numbers_of_a_batch_are_one_question() -> None:
    numbers = Counted()

    sent(customers(fields=(NUMBER, rolling())), *([str(at), "x"] for at in range(90)), numbers=numbers)

    assert [len(wanted) for wanted in numbers.given] == [90]
