"""Forms of a process: source, destination, lines, options."""

from typing import Any

import pytest
from django.http import QueryDict

from integrations.engine.plan import (
    BlankRows,
    Column,
    DestinationSpec,
    Line,
    NoData,
    Options,
    RepeatedKeys,
    SourceSpec,
    WhenBusy,
    WriteMode,
)
from integrations.forms.options import OptionsForm, initial_of
from integrations.forms.process import DestinationForm, SourceForm, column_forms, line_forms
from tests.forms.kinds import CRM, FIELDS, FILE, TABLE, customers


def query_dict(data: dict[str, Any]) -> QueryDict:
    answers = QueryDict(mutable=True)
    for name, value in data.items():
        answers.setlist(name, [str(item) for item in value] if isinstance(value, list) else [str(value)])
    return answers


def lines_posted(*rows: dict[str, Any]) -> QueryDict:
    data: dict[str, Any] = {"lines-TOTAL_FORMS": len(rows), "lines-INITIAL_FORMS": len(rows)}
    for index, row in enumerate(rows):
        data |= {f"lines-{index}-{name}": value for name, value in row.items()}
    return query_dict(data)


def test_a_source_keeps_its_options_by_kind() -> None:
    answers = {"revision": 0, "connection": "", "option-encoding": "cp1252", "option-skip": "2", "option-pattern": "x*"}
    form = SourceForm(answers, kind=FILE, connections=[], spec=SourceSpec(kind="file"))

    assert form.is_valid(), form.errors
    assert form.source((Column(name="A"),)) == SourceSpec(
        kind="file", options={"encoding": "cp1252", "header": False, "skip": 2}, columns=(Column(name="A"),)
    )


def test_a_number_that_is_none_is_named() -> None:
    answers = {"revision": 0, "connection": "", "option-encoding": "utf-8", "option-skip": "two"}
    form = SourceForm(answers, kind=FILE, connections=[], spec=SourceSpec(kind="file"))

    assert not form.is_valid()
    assert form.errors["option-skip"] == ["Lines to skip is not a whole number. Enter digits only."]


def test_options_of_another_kind_are_not_taken_over() -> None:
    form = SourceForm(kind=FILE, connections=[], spec=SourceSpec(kind="query", options={"encoding": "cp850"}))

    assert form["option-encoding"].value() == "utf-8"


def test_columns_come_back_as_they_were_declared() -> None:
    plan = customers()
    shown = column_forms(plan)

    assert [(form["name"].value(), form["key"].value()) for form in shown.forms] == [
        ("CustomerNumber", True),
        ("Name", False),
    ]


def test_a_destination_is_a_kind_at_a_connection() -> None:
    form = DestinationForm(
        {"revision": 0, "destination": f"table@{CRM}"},
        destinations=[(f"table@{CRM}", "Demo CRM")],
        spec=DestinationSpec(kind="", connection=""),
        kind=None,
    )

    assert form.is_valid(), form.errors
    assert form.result() == DestinationSpec(kind="table", connection=CRM)


def test_a_destination_of_another_company_is_no_choice() -> None:
    form = DestinationForm(
        {"revision": 0, "destination": "table@elsewhere"},
        destinations=[(f"table@{CRM}", "Demo CRM")],
        spec=DestinationSpec(kind="table", connection=CRM),
        kind=TABLE,
    )

    assert not form.is_valid()
    assert form.errors["destination"] == ["Destination: the choice is no longer offered. Choose another one."]


def test_a_line_that_is_renamed_keeps_its_mapping() -> None:
    plan = customers()
    data = lines_posted(
        {"was": "Customer", "name": "Buyer", "target": "customers", "mode": "insert", "keys": ["customer_number"]}
    )

    forms = line_forms(plan.lines, {"customers": FIELDS}, data)

    assert forms.is_valid(), forms.errors
    (line,) = forms.lines()
    assert (line.name, line.mode, line.fields) == ("Buyer", WriteMode.INSERT, plan.lines[0].fields)


def test_a_new_target_brings_its_own_key_fields() -> None:
    data = lines_posted({"was": "", "name": "", "target": "customers", "mode": "upsert", "update_blanks": "on"})

    forms = line_forms((), {"customers": FIELDS}, data)

    assert forms.is_valid(), forms.errors
    assert forms.lines() == (Line(name="customers", target="customers", keys=("customer_number",)),)


def test_two_lines_of_one_name_are_refused() -> None:
    row = {"was": "", "name": "Item", "target": "customers", "mode": "upsert"}

    forms = line_forms((), {"customers": FIELDS}, lines_posted(row, row))

    assert not forms.is_valid()
    assert forms.forms[1].errors["name"] == ["Two lines are named Item. Rename one."]


def test_options_are_read_into_words_of_the_plan() -> None:
    answers = initial_of(Options()) | {"revision": 0, "when_busy": "refuse", "separator": " ", "time_limit": "30"}
    form = OptionsForm(answers)

    assert form.is_valid(), form.errors
    assert form.options() == Options(separator=" ", when_busy=WhenBusy.REFUSE, time_limit=30)


def test_every_option_comes_back_from_the_form_as_it_was() -> None:
    options = Options(
        separator="; ",
        no_data=NoData.FAILURE,
        tasks_without_data=False,
        blank_rows=BlankRows.DROP,
        repeated_keys=RepeatedKeys.ERROR,
        when_busy=WhenBusy.ALLOW,
        time_limit=90,
        stop_after=100,
        stop_after_percent=5,
        concurrency=4,
        retry_times=3,
        retry_seconds=20,
        keep_days=400,
    )
    form = OptionsForm(initial_of(options) | {"revision": 0})

    assert form.is_valid(), form.errors
    assert form.options() == options


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("time_limit", "-5", "Time limit in minutes is -5. Enter a number from 1 to 10,080, or nothing for no limit."),
        ("stop_after_percent", "101", "Stop after percent failed is 101. Enter a number from 1 to 100, or nothing"),
        ("keep_days", "soon", "Keep runs for days is not a whole number. Enter digits only."),
    ],
)
def test_a_limit_that_is_none_is_refused_in_a_sentence(name: str, given: str, sentence: str) -> None:
    form = OptionsForm(initial_of(Options()) | {"revision": 0, name: given})

    assert not form.is_valid()
    assert form.errors[name][0].startswith(sentence)
