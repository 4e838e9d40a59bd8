"""The mapping grid: its order, its answers, matching by name; grouping and restriction of a line."""

from dataclasses import replace
from typing import Any

import pytest

from integrations.connectors.spec import TargetField
from integrations.engine.plan import (
    Aggregate,
    Column,
    ColumnType,
    DateCalculation,
    DateUnit,
    DayOfMonth,
    FieldMap,
    Line,
    NoMatch,
    Translation,
    ValueType,
)
from integrations.forms.mapping import (
    GroupingForm,
    RestrictionForm,
    field_map_forms,
    grid_rows,
    matched_by_name,
)
from tests.forms.kinds import FIELDS, customers

TABLE = "0b2f6bd2-1f1e-4b53-9a1b-7d8f3f7f0001"


def fine(script: str) -> str:
    return ""


def posted(*rows: dict[str, str]) -> dict[str, Any]:
    data: dict[str, Any] = {"fields-TOTAL_FORMS": len(rows), "fields-INITIAL_FORMS": len(rows)}
    for index, row in enumerate(rows):
        data |= {f"fields-{index}-{name}": value for name, value in row.items()}
    return data


def test_required_targets_without_a_value_stand_first_then_mapped_then_the_rest() -> None:
    line = Line(name="Customer", target="customers", fields=(FieldMap(target="credit_limit", value="Name"),))
    fields = (*FIELDS, TargetField(name="email"))

    rows = grid_rows(line, fields)

    assert [(row["group"], row["target"]) for row in rows] == [
        ("missing", "customer_number"),
        ("missing", "name"),
        ("mapped", "credit_limit"),
        ("rest", "email"),
    ]


def test_each_column_type_takes_its_own_value_and_the_type_of_the_target() -> None:
    plan = customers()
    data = posted(
        {
            "target": "customer_number",
            "column_type": "source_column",
            "column": "CustomerNumber",
            "constant": "left over",
        },
        {"target": "name", "column_type": "constant", "constant": " spaces stay "},
        {"target": "credit_limit", "column_type": "calculation", "script": "return 1;\r\n"},
        {"target": "region", "column_type": "global_variable", "variable": "GBL_REGION"},
        {"target": "country", "column_type": "translation", "column": "Name", "table": TABLE, "default": "left over"},
        {
            "target": "unit",
            "column_type": "translation",
            "column": "Name",
            "table": TABLE,
            "no_match": "default",
            "default": " pc",
        },
        {
            "target": "due",
            "type": "date",
            "column_type": "date_calculation",
            "base": "column",
            "dated": "Name",
            "amount": "-3",
        },
        {
            "target": "end",
            "type": "date",
            "column_type": "date_calculation",
            "base": "start",
            "unit": "months",
            "day": "last",
        },
    )

    grid = field_map_forms(
        plan, plan.lines[0], FIELDS, fine, data, variables=("GBL_REGION",), tables={TABLE: "Countries"}
    )

    assert grid.is_valid(), grid.errors
    assert grid.field_maps() == (
        FieldMap(target="customer_number", value="CustomerNumber", required=True),
        FieldMap(target="name", column_type=ColumnType.CONSTANT, value=" spaces stay ", required=True),
        FieldMap(
            target="credit_limit", column_type=ColumnType.CALCULATION, value="return 1;\n", type=ValueType.DECIMAL
        ),
        FieldMap(target="region", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_REGION"),
        FieldMap(
            target="country",
            column_type=ColumnType.TRANSLATION,
            value="Name",
            translation=Translation(table=TABLE, no_match=NoMatch.ERROR),
        ),
        FieldMap(
            target="unit",
            column_type=ColumnType.TRANSLATION,
            value="Name",
            translation=Translation(table=TABLE, no_match=NoMatch.DEFAULT, default=" pc"),
        ),
        FieldMap(
            target="due",
            column_type=ColumnType.DATE_CALCULATION,
            value="Name",
            type=ValueType.DATE,
            date=DateCalculation(amount=-3),
        ),
        FieldMap(
            target="end",
            column_type=ColumnType.DATE_CALCULATION,
            type=ValueType.DATE,
            date=DateCalculation(of_start=True, unit=DateUnit.MONTHS, day=DayOfMonth.LAST),
        ),
    )


def test_a_translated_field_shows_its_column_its_table_and_its_rule() -> None:
    how = Translation(table=TABLE, no_match=NoMatch.DEFAULT, default="none")
    item = FieldMap(target="name", column_type=ColumnType.TRANSLATION, value="Name", translation=how)

    (row,) = (row for row in grid_rows(Line(name="L", target="t", fields=(item,)), FIELDS) if row["target"] == "name")

    shown = {name: row[name] for name in ("column_type", "column", "table", "no_match", "default")}
    assert shown == {
        "column_type": "translation",
        "column": "Name",
        "table": TABLE,
        "no_match": "default",
        "default": "none",
    }


@pytest.mark.parametrize(("of_start", "value", "base"), [(True, "", "start"), (False, "Name", "column")])
def test_a_calculated_date_shows_where_it_begins_and_counts_as_mapped(of_start: bool, value: str, base: str) -> None:
    how = DateCalculation(of_start=of_start, amount=-3, unit=DateUnit.WEEKS, day=DayOfMonth.FIRST)
    item = FieldMap(target="name", column_type=ColumnType.DATE_CALCULATION, value=value, date=how)

    (row,) = (row for row in grid_rows(Line(name="L", target="t", fields=(item,)), FIELDS) if row["target"] == "name")

    assert [row[name] for name in ("base", "dated", "amount", "unit", "day", "group")] == [
        base,
        value,
        -3,
        "weeks",
        "first",
        "mapped",
    ]


@pytest.mark.parametrize("amount", ["x", "1.5", "100001"])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    plan = customers()
    row = {"target": "name", "column_type": "date_calculation", "base": "start", "amount": amount}

    assert not field_map_forms(plan, plan.lines[0], FIELDS, fine, posted(row)).is_valid()


def test_what_is_saved_may_stay_though_it_is_gone_meanwhile() -> None:
    gone = FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value="GBL_GONE")
    row = {"target": "name", "column_type": "global_variable", "variable": "GBL_GONE"}

    grid = field_map_forms(customers(), Line(name="L", target="t", fields=(gone,)), FIELDS, fine, posted(row))

    assert grid.is_valid() and [item.value for item in grid.field_maps()] == ["GBL_GONE"]


NOT_THERE = [
    (
        {"column_type": "source_column", "column": "Nmae"},
        "name: Nmae is no column of the source. Nearest name: Name.",
    ),
    (
        {"column_type": "date_calculation", "base": "column", "dated": "zzz"},
        "name: zzz is no column of the source. Choose another one.",
    ),
    (
        {"column_type": "global_variable", "variable": "GBL_REGOIN"},
        "name: GBL_REGOIN is no global variable. Nearest name: GBL_REGION.",
    ),
    (
        {"column_type": "translation", "column": "Name", "table": TABLE},
        "name: its translation table no longer exists. Choose another one.",
    ),
]


@pytest.mark.parametrize(("cells", "sentence"), NOT_THERE)
def test_a_name_that_is_not_there_is_refused_with_the_nearest(cells: dict[str, str], sentence: str) -> None:
    plan = customers()
    data = posted({"target": "name", **cells})

    grid = field_map_forms(plan, Line(name="L", target="t"), FIELDS, fine, data, variables=("GBL_REGION",))

    assert [str(error) for errors in grid.forms[0].errors.values() for error in errors] == [sentence]


def test_a_name_that_its_column_type_does_not_use_is_not_judged() -> None:
    plan = customers()
    row = {"target": "name", "column_type": "constant", "constant": "x", "column": "left over"}

    assert field_map_forms(plan, plan.lines[0], FIELDS, fine, posted(row)).is_valid()


def test_a_row_that_is_not_mapped_is_left_out_even_when_incomplete() -> None:
    plan = customers()

    grid = field_map_forms(plan, plan.lines[0], FIELDS, fine, posted({"target": "name", "column_type": ""}))

    assert grid.is_valid()
    assert grid.field_maps() == ()


def test_a_calculation_that_cannot_be_read_is_refused_with_its_target() -> None:
    plan = customers()
    data = posted({"target": "name", "column_type": "calculation", "script": "return ("})

    grid = field_map_forms(plan, plan.lines[0], FIELDS, lambda script: "line 1: a bracket is open.", data)

    assert not grid.is_valid()
    assert grid.forms[0].errors["script"] == ["name: line 1: a bracket is open."]


def test_a_target_without_listed_fields_takes_named_ones_and_refuses_a_nameless_one() -> None:
    plan = customers()
    named = {"target": "email", "column_type": "source_column", "column": "Name", "type": "text"}

    good = field_map_forms(plan, plan.lines[0], (), fine, posted(named))
    bad = field_map_forms(plan, plan.lines[0], (), fine, posted({**named, "target": ""}))

    assert good.is_valid() and good.field_maps() == (FieldMap(target="email", value="Name"),)
    assert not bad.is_valid()
    assert "has no name" in bad.forms[0].errors["target"][0]


def test_one_target_cannot_be_mapped_twice() -> None:
    plan = customers()
    row = {"target": "email", "column_type": "source_column", "column": "Name"}

    grid = field_map_forms(plan, plan.lines[0], (), fine, posted(row, row))

    assert not grid.is_valid()
    assert grid.forms[1].errors["target"] == ["email is there twice. Keep one of the two."]


def test_names_match_without_case_and_signs_and_mapped_targets_stay() -> None:
    line = Line(name="Customer", target="customers", fields=(FieldMap(target="name", value="Kept"),))
    columns = (Column(name="Customer Number"), Column(name="NAME"), Column(name="creditLimit"))

    matched, names = matched_by_name(line, FIELDS, columns)

    assert names == ["customer_number", "credit_limit"]
    assert {item.target: item.value for item in matched.fields} == {
        "name": "Kept",
        "customer_number": "Customer Number",
        "credit_limit": "creditLimit",
    }
    assert matched.fields[2].type is ValueType.DECIMAL


def test_grouping_keeps_only_what_differs_from_first() -> None:
    plan = customers()
    form = GroupingForm({"revision": 3, "grouped": "yes", "aggregate-0": "concat"}, plan=plan, line=plan.lines[0])

    assert form.is_valid(), form.errors
    assert form.result() == replace(plan.lines[0], grouped=True, aggregates={"Name": Aggregate.CONCAT})


def test_key_fields_have_no_aggregate() -> None:
    plan = customers()

    assert GroupingForm(plan=plan, line=plan.lines[0]).columns == ["Name"]


def test_an_empty_restriction_sends_everything_and_is_not_checked() -> None:
    form = RestrictionForm({"revision": 0, "script": " \r\n "}, check=lambda script: "line 1: wrong.")

    assert form.is_valid()
    assert form.cleaned_data["script"] == ""


def test_a_restriction_with_a_fault_is_refused_with_its_line() -> None:
    form = RestrictionForm({"revision": 0, "script": "return tru("}, check=lambda script: "line 1: a bracket is open.")

    assert not form.is_valid()
    assert form.errors["script"] == ["line 1: a bracket is open."]
