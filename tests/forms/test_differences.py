"""What changed between two plans is told in words."""

from dataclasses import replace

from integrations.engine.plan import Column, ColumnType, FieldMap, Line, Plan, ValueType, WhenBusy
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
