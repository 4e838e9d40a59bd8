"""The watermark of a column: the greatest value as its declared type compares, kept as the text that was read."""

import pytest

from integrations.engine.errors import SourceError
from integrations.engine.keys import Keys
from integrations.engine.plan import Column, DestinationSpec, Plan, SourceSpec, ValueType
from integrations.engine.watermark import Reached, marks

T = ValueType


@pytest.mark.parametrize(
    ("kind", "form", "known", "values", "reached"),
    [
        (T.TEXT, "", "", ["a", "c", "b"], "c"),
        (T.TEXT, "", "10", ["9"], "9"),
        (T.INTEGER, "", "10", ["9", "0010", "+11"], "+11"),
        (T.INTEGER, "", "10", ["9", ""], "10"),
        (T.DECIMAL, ",", "9,5", ["10,25", "1,5"], "10,25"),
        (T.DATE, "DMY", "31.10.2026", ["01.11.2026", "30.12.2025"], "01.11.2026"),
        (T.DATETIME, "", "2026-11-01T10:00:00+02:00", ["2026-11-01 09:00:00"], "2026-11-01 09:00:00"),
        (T.DATETIME, "", "2026-11-01T10:00:00Z", ["2026-11-01T11:30:00+02:00"], "2026-11-01T10:00:00Z"),
        (T.TEXT, "", "", ["", "  "], ""),
        (T.INTEGER, "", "7", [], "7"),
    ],
)
def test_the_greatest_value_is_kept_as_it_was_read(
    kind: ValueType, form: str, known: str, values: list[str], reached: str
) -> None:
    found = Reached(Column(name="changed", type=kind, format=form), known)
    found.see(values, 1)

    assert found.text == reached


def test_a_value_of_another_type_names_its_row_and_column() -> None:
    found = Reached(Column(name="changed", type=T.INTEGER), "")

    with pytest.raises(SourceError) as raised:
        found.see(["1", "soon"], 41)

    assert raised.value.sentence.startswith("Row 42: “soon” is no whole number for the watermark column changed")
    assert raised.value.where.column == "changed"


@pytest.mark.parametrize(
    ("key_fields", "expected"),
    [
        (("id",), ["1", "1", ("", "x")]),
        (("id", "name"), ["1|a", "1|b", "|x"]),
        ((), [("1", "a"), ("1", "b"), ("", "x")]),
    ],
)
def test_a_row_stands_for_its_document_or_where_it_has_no_key_for_itself(
    key_fields: tuple[str, ...], expected: list[object]
) -> None:
    plan = Plan(
        process="P",
        source=SourceSpec(kind="sql_query"),
        destination=DestinationSpec(kind="sql", connection=""),
        key_fields=key_fields,
    )

    assert marks(Keys(plan, ("id", "name")), [["1", "a"], ["1", "b"], ["", "x"]]) == expected
