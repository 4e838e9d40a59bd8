"""The mapping grid: its order, its answers, matching by name; grouping and restriction of a line."""

from dataclasses import replace
from typing import Any

from integrations.connectors.spec import TargetField
from integrations.engine.plan import Aggregate, Column, ColumnType, FieldMap, Line, ValueType
from integrations.forms.mapping import (
    GroupingForm,
    RestrictionForm,
    field_map_forms,
    grid_rows,
    matched_by_name,
)
from tests.forms.kinds import FIELDS, customers


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
    )

    grid = field_map_forms(plan, plan.lines[0], FIELDS, fine, data)

    assert grid.is_valid(), grid.errors
    assert grid.field_maps() == (
        FieldMap(target="customer_number", value="CustomerNumber", required=True),
        FieldMap(target="name", column_type=ColumnType.CONSTANT, value=" spaces stay ", required=True),
        FieldMap(
            target="credit_limit", column_type=ColumnType.CALCULATION, value="return 1;\n", type=ValueType.DECIMAL
        ),
    )


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
