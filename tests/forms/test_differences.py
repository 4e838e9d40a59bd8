"""What changed between two plans is told in words."""

from dataclasses import replace
from typing import Any

import pytest

from integrations.engine.plan import (
    Column,
    ColumnType,
    DateCalculation,
    DateUnit,
    DayOfMonth,
    FieldMap,
    Line,
    NoMatch,
    ParentColumn,
    Plan,
    SourceMode,
    Translation,
    ValueType,
    WhenBusy,
    WithoutParent,
)
from integrations.forms.differences import differences
from tests.forms.kinds import customers


def test_equal_plans_do_not_differ_even_after_being_stored() -> None:
    assert differences(customers(), Plan.from_json(customers().to_json())) == []


def test_a_new_name_of_the_process_is_no_change_of_what_it_does() -> None:
    assert differences(customers(), customers(process="OTHER")) == []


def test_source_columns_are_told_one_by_one() -> None:
    plan = customers()
    columns = (Column(name="CustomerNumber", type=ValueType.INTEGER), Column(name="City"))

    assert differences(plan, replace(plan, source=replace(plan.source, columns=columns))) == [
        "Source column City added",
        "Source column Name removed",
        "Source column CustomerNumber: text became integer",
    ]


def test_how_a_source_is_read_is_told_with_its_watermark() -> None:
    plan = customers()
    changes = replace(plan.source, mode=SourceMode.CHANGES, watermark="Changed", first_value="7")

    assert differences(plan, replace(plan, source=changes)) == [
        "Source: changes only, by Changed instead of everything",
        "Source: the first watermark is 7 instead of empty",
    ]


def test_a_mapped_field_says_where_its_value_comes_from_now() -> None:
    plan = customers()
    line = plan.lines[0]
    mapped = FieldMap(target="name", column_type=ColumnType.CALCULATION, value="return 1", required=True)

    assert differences(plan, replace(plan, lines=(replace(line, fields=(line.fields[0], mapped)),))) == [
        "Line Customer: credit_limit no longer mapped",
        "Line Customer: name mapped to a calculation",
    ]


def test_lines_keys_and_options_are_told() -> None:
    plan = customers()
    changed = replace(
        plan,
        key_fields=(),
        lines=(*plan.lines, Line(name="Items", target="items")),
        options=replace(plan.options, when_busy=WhenBusy.REFUSE),
    )

    assert differences(plan, changed) == [
        "Key fields: none instead of CustomerNumber",
        "Line Items added",
        "Options: what happens when busy",
    ]


def test_a_restriction_that_was_emptied_is_removed() -> None:
    plan = customers()
    restricted = replace(plan, lines=(replace(plan.lines[0], restriction="return true"),))

    assert differences(restricted, plan) == ["Line Customer: restriction removed"]


START_WORDS = "the start of the run +2 months, the last day of the month"


def dated(value: str = "", **how: Any) -> FieldMap:
    return FieldMap(target="name", column_type=ColumnType.DATE_CALCULATION, value=value, date=DateCalculation(**how))


def of_parent(column: str, how: ParentColumn | None = None) -> FieldMap:
    return FieldMap(target="name", column_type=ColumnType.PARENT_COLUMN, value=column, parent=how)


def translated(no_match: NoMatch) -> FieldMap:
    how = Translation(table="t", no_match=no_match, default="x")
    return FieldMap(target="name", column_type=ColumnType.TRANSLATION, value="City", translation=how)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (FieldMap(target="name", value="City"), "column City"),
        (FieldMap(target="name", column_type=ColumnType.CONSTANT, value="x"), "constant x"),
        (FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_REGION"), "variable GBL_REGION"),
        (dated(value="City"), "City"),
        (dated(value="City", amount=-3), "City -3 days"),
        (dated(of_start=True, amount=2, unit=DateUnit.MONTHS, day=DayOfMonth.LAST), START_WORDS),
        (
            FieldMap(target="name", column_type=ColumnType.ROLLING_NUMBER, sequence="s"),
            "a rolling number",
        ),
        (of_parent("Name"), "Name of the parent's document, or the run fails"),
        (
            of_parent("Name", ParentColumn(alone=WithoutParent.DEFAULT, default="x")),
            "Name of the parent's document, or “x”",
        ),
        (translated(NoMatch.ERROR), "a translation of City, or the document fails"),
        (translated(NoMatch.KEEP), "a translation of City, or the value as it is"),
        (translated(NoMatch.BLANK), "a translation of City, or blank"),
        (translated(NoMatch.DEFAULT), "a translation of City, or “x”"),
    ],
)
def test_each_column_type_says_what_a_field_is_mapped_to(field: FieldMap, words: str) -> None:
    plan = customers()
    fields = (plan.lines[0].fields[0], field, plan.lines[0].fields[2])

    changed = replace(plan, lines=(replace(plan.lines[0], fields=fields),))

    assert differences(plan, Plan.from_json(changed.to_json())) == [f"Line Customer: name mapped to {words}"]
