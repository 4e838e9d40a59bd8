"""The columns of a source as a designer declares them by hand, and the source's options as they are typed."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import Aggregate, Column, ColumnType, FieldMap, Line, Plan, SourceSpec, ValueType
from integrations.models import Process
from tests import factories
from tests.web.defining import said, save, shown_answers, upload_sample

pytestmark = pytest.mark.django_db


@pytest.fixture
def process(client: Client, dora: User, company: Company) -> Process:
    """A process with the columns Number, Name and Amount, of which much is made, signed in as its designer."""
    client.force_login(dora)
    fields = (
        FieldMap(target="number", value="Number"),
        FieldMap(target="amount", value="Amount"),
        FieldMap(target="told", column_type=ColumnType.CALCULATION, value="return this._Amount + '!';"),
        FieldMap(target="fixed", column_type=ColumnType.CONSTANT, value="Amount"),
    )
    line = Line(name="Customer", target="customers", aggregates={"Amount": Aggregate.SUM}, fields=fields)
    source = SourceSpec(kind="delimited", columns=tuple(Column(name=name) for name in ("Number", "Name", "Amount")))
    crm = factories.make_connection(company, "CRM", system="sqlite", path="")
    plan = factories.make_plan(crm, source=source, key_fields=("Amount",), lines=(line,))
    return factories.make_process(company, plan)


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Any:
    with scope(company=company):
        yield


def draft(process: Process) -> Plan:
    process.refresh_from_db()
    return process.drafted


def names(process: Process) -> list[str]:
    return [column.name for column in draft(process).source.columns]


def test_what_names_a_column_follows_its_new_name_and_scripts_are_told(client: Client, process: Process) -> None:
    response = save(client, process, "source", **{"columns-2-name": "Total"})

    plan = draft(process)
    assert names(process) == ["Number", "Name", "Total"]
    assert plan.key_fields == ("Total",)
    assert plan.lines[0].aggregates == {"Total": Aggregate.SUM}
    assert [field.value for field in plan.lines[0].fields] == [
        "Number",
        "Total",
        "return this._Amount + '!';",
        "Amount",
    ]
    assert "Amount is Total now." in said(response)
    assert "this._Amount is no column of the source" in response.content.decode()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"columns-0-name": "Name", "columns-1-name": "Number"}, ["Name", "Number", "Amount"]),
        ({"columns-2-place": "1"}, ["Amount", "Number", "Name"]),
        ({"columns-0-place": "3"}, ["Name", "Amount", "Number"]),
        ({"columns-0-place": "2"}, ["Name", "Number", "Amount"]),
        ({"columns-1-remove": "on"}, ["Number", "Amount"]),
        ({"columns-3-name": "City", "columns-3-type": "text"}, ["Number", "Name", "Amount", "City"]),
        (
            {"columns-3-name": "City", "columns-3-type": "text", "columns-3-place": "1", "columns-1-remove": "on"},
            ["City", "Number", "Amount"],
        ),
    ],
)
def test_columns_are_renamed_moved_removed_and_added_by_hand(
    client: Client, process: Process, changes: dict[str, str], expected: list[str]
) -> None:
    response = save(client, process, "source", **changes)

    assert response.status_code == 200
    assert names(process) == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"columns-1-name": "Number"}, "Two columns are named Number. Rename one."),
        ({"columns-1-name": ""}, "Name has no name. Type one, or tick Remove."),
        ({"columns-0-place": "soon"}, "Place is not a whole number."),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(
    client: Client, process: Process, changes: dict[str, str], sentence: str
) -> None:
    response = save(client, process, "source", **changes)

    assert response.status_code == 422
    assert response.content.decode().count(sentence) == 2  # above the columns, and at the one it is about
    assert names(process) == ["Number", "Name", "Amount"]


def test_a_column_that_is_removed_is_told_where_it_is_used(client: Client, process: Process) -> None:
    response = save(client, process, "source", **{"columns-2-remove": "on"})

    assert "amount of line Customer: Amount is not a column of the source" in response.content.decode()
    assert draft(process).key_fields == ()


def test_columns_are_read_with_the_options_as_they_are_typed(client: Client, process: Process) -> None:
    upload_sample(client, process, b"Number;Name\n1;A\n", **{"option-delimiter": ";", "columns-0-type": "integer"})
    assert draft(process).source.options["delimiter"] == ";"
    assert draft(process).source.columns == (Column(name="Number", type=ValueType.INTEGER), Column(name="Name"))

    typed = shown_answers(client, process, "source") | {"option-delimiter": ","}
    response = client.post(reverse("process-read-columns", args=[process.public_id]), typed, follow=True)

    assert draft(process).source.options["delimiter"] == ","
    assert names(process) == ["Number;Name"]
    assert "No longer there: Number, Name." in said(response)


def test_what_is_typed_is_not_guessed_over_by_the_first_sample(client: Client, process: Process) -> None:
    removed = {f"columns-{at}-remove": "on" for at in range(3)}

    upload_sample(client, process, b"A,B;C\n1,2;3\n", **removed, **{"option-delimiter": ";"})

    assert names(process) == ["A,B", "C"]


def test_a_file_that_was_chosen_is_kept_by_any_save(client: Client, process: Process) -> None:
    save(client, process, "source", file=SimpleUploadedFile("next.csv", b"Number,Name\n1,A\n"))

    process.refresh_from_db()
    assert process.sample is not None and process.sample.name == "next.csv"
    assert names(process) == ["Number", "Name"]


def test_a_file_that_cannot_be_fetched_is_told_and_the_typed_pattern_kept(
    client: Client, process: Process, company: Company, tmp_path: Path, settings: Any
) -> None:
    settings.FOLDERS = [tmp_path]
    folder = factories.make_connection(company, "Inbox", "folder", path=str(tmp_path))
    typed = shown_answers(client, process, "source")
    typed |= {"connection": str(folder.public_id), "option-pattern": "orders_*.csv"}

    missing = client.post(reverse("process-read-columns", args=[process.public_id]), typed, follow=True)

    assert "No file matches orders_*.csv at Inbox" in said(missing)
    assert draft(process).source.options["pattern"] == "orders_*.csv"
    (tmp_path / "orders_1.csv").write_bytes(b"Order,Amount\n1,2\n")
    typed = shown_answers(client, process, "source")
    client.post(reverse("process-read-columns", args=[process.public_id]), typed)
    assert names(process) == ["Order", "Amount"]
