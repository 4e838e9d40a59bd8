"""Column types, additional columns, lookups and the trial of a restriction, by the forms that a designer sees."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Company, User
from integrations.engine.plan import (
    Column,
    ColumnType,
    DateCalculation,
    DateUnit,
    DayOfMonth,
    Lookup,
    Match,
    NoneFound,
    ParentColumn,
    WithoutParent,
)
from integrations.forms.differences import differences
from integrations.models import Connection, GlobalVariable, Process, TranslationTable
from tests import factories
from tests.web.defining import (
    crm,
    draft,
    in_company,
    only_process,
    process,
    said,
    save,
    shown_answers,
    sql_connection,
    with_line,
)

__all__ = ["crm", "in_company", "process", "with_line"]


def map_note(client: Client, process: Process, **answers: str) -> Any:
    """Map the field `note` as answered, and give the page that follows."""
    rows = client.get(reverse("process-mapping", args=[process.public_id, 1])).context["rows"]
    at = next(index for index, row in enumerate(rows) if row["shown"]["target"] == "note")
    return save(client, process, "mapping", line=1, **{f"fields-{at}-{name}": text for name, text in answers.items()})


def sample_of_note(response: Any) -> Any:
    return next(row["sample"] for row in response.context["rows"] if row["shown"]["target"] == "note")


def test_a_global_variable_is_mapped_with_the_value_that_a_run_would_begin_with(
    client: Client, with_line: Process, company: Company
) -> None:
    variable = GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")

    response = map_note(client, with_line, column_type="global_variable", variable="GBL_REGION")

    assert sample_of_note(response).text == "North"
    (field,) = draft(with_line).lines[0].fields
    assert (field.column_type, field.value) == (ColumnType.GLOBAL_VARIABLE, "GBL_REGION")
    used = client.get(reverse("global-variable", args=[variable.public_id])).context["used_in"]
    assert [place.sentence for item in used for place in item.places] == ["the mapping of note"]


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        (
            {},
            "Document 00123 would fail: “Köhler & Söhne” in Name of row 1 is not in the translation table Short names.",
        ),
        ({"no_match": "keep"}, "Köhler & Söhne"),
        ({"no_match": "default", "default": "none"}, "none"),
    ],
)
def test_a_translation_is_mapped_and_its_sample_says_what_comes_of_it(
    client: Client, with_line: Process, company: Company, answers: dict[str, str], shown: str
) -> None:
    table = TranslationTable.make(company, by=None, pairs=[("Koehler", "KS")], name="Short names")
    said = {"column_type": "translation", "column": "Name", "table": str(table.public_id)}

    cell = sample_of_note(map_note(client, with_line, **said, **answers))

    assert (cell.problem or cell.text) == shown
    table.change(revision=0, by=User.objects.get(name__startswith="Dora"), pairs=[("Köhler & Söhne", "KS")])
    page = client.get(reverse("process-mapping", args=[with_line.public_id, 1]))
    assert sample_of_note(page).text == "KS"


def test_a_date_calculation_is_mapped_and_its_sample_is_a_date(client: Client, with_line: Process) -> None:
    today = timezone.localdate(timezone=ZoneInfo(with_line.company.time_zone))

    response = map_note(
        client, with_line, column_type="date_calculation", base="start", amount="0", unit="months", day="first"
    )

    assert sample_of_note(response).text in {f"{day:%Y-%m}-01" for day in (today, today - timedelta(days=1))}
    (field,) = draft(with_line).lines[0].fields
    assert field.date == DateCalculation(of_start=True, unit=DateUnit.MONTHS, day=DayOfMonth.FIRST)

    response = map_note(client, with_line, base="column", dated="Name", amount="2")

    assert "is not a date and time such as" in sample_of_note(response).problem


@pytest.fixture
def known(crm: Connection, tmp_path: Path) -> Connection:
    """The CRM with two customers in it."""
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("INSERT INTO customers VALUES ('00123', 'Known already', 1, NULL), ('9', 'Other', 2, NULL)")
    return crm


def add_lookup(client: Client, process: Process, crm: Connection, **changes: Any) -> Any:
    """Add the column Known as and say where it is looked up."""
    save(client, process, "additional", line=1, **{"fields-0-target": "Known as", "fields-0-column_type": "lookup"})
    answers = {
        "revision": process.revision,
        "connection": str(crm.public_id),
        "table": "customers",
        "result": "name",
        "field-0": "customer_number",
        "with-0": "column:Customer Number",
        "none": "default",
        "many": "fail",
        "default": "new",
    }
    args = [process.public_id, 1, "additional", 1]
    response = client.post(reverse("process-lookup-save", args=args), answers | changes, follow=True)
    process.refresh_from_db()
    return response


def test_an_additional_column_is_looked_up_and_offered_to_every_line(
    client: Client, with_line: Process, known: Connection
) -> None:
    response = add_lookup(client, with_line, known)

    assert response.status_code == 200, response.context["form"].errors
    (column,) = draft(with_line).additional
    assert column.lookup == Lookup(
        connection=str(known.public_id),
        table="customers",
        matches=(Match(field="customer_number", column="Customer Number"),),
        result="name",
        none=NoneFound.DEFAULT,
        default="new",
    )
    assert response.context["cell"].text == "Known already"
    mapping = client.get(reverse("process-mapping", args=[with_line.public_id, 1]), {"sample": "2"})
    assert "Known as" in mapping.context["cells"]["columns"]
    additional = client.get(reverse("process-additional", args=[with_line.public_id, 1]), {"sample": "2"})
    assert [row["sample"].text for row in additional.context["rows"] if row["sample"]] == ["new"]
    preview = client.get(reverse("process-preview", args=[with_line.public_id])).context["seen"]
    assert preview.columns[-1] == "Known as" and [row[-1] for row in preview.rows] == [
        "Known already",
        "new",
        "Known already",
    ]
    assert (
        "Additional column Known as added: a lookup of name in customers where customer_number is Customer Number, "
        "or “new”, of several the document fails"
    ) in differences(replace(draft(with_line), additional=()), draft(with_line))


def test_a_lookup_that_is_half_made_keeps_the_draft_from_running_and_says_what_it_lacks(
    client: Client, with_line: Process, known: Connection
) -> None:
    for changes, said_of_it in (
        ({"connection": ""}, "Additional column Known as: the lookup says no connection."),
        ({"table": ""}, "Additional column Known as: the lookup says no table."),
        ({"field-0": "", "with-0": ""}, "Additional column Known as: the lookup says nothing to match."),
        ({"result": ""}, "Additional column Known as: the lookup says no field to take."),
    ):
        page = add_lookup(client, with_line, known, **changes)
        assert said_of_it in [place.sentence for place in page.context["problems"]]
        assert "The live sample appears once the lookup is complete." in page.content.decode()


def test_a_lookup_names_what_is_not_in_the_other_system(client: Client, with_line: Process, known: Connection) -> None:
    wrong = add_lookup(client, with_line, known, table="clients").content.decode()
    assert "There is no table clients at this connection." in wrong and "customers, items" in wrong

    wrong = add_lookup(client, with_line, known, result="title").content.decode()
    assert "The table customers has no field title." in wrong

    answers = {"field-0": "customer_number", "with-0": "", "field-1": "", "with-1": "column:Name"}
    refused = add_lookup(client, with_line, known, **answers)
    assert refused.status_code == 422
    assert "customer_number has nothing to be compared with" in refused.content.decode()
    assert "Name has no field to be compared with" in refused.content.decode()


def test_a_lookup_at_a_web_service_is_a_path_with_braces(client: Client, with_line: Process, company: Company) -> None:
    shop = factories.make_connection(company, "Shop", "http", url="http://127.0.0.1:1/")
    path = {"table": "customers/{code}", "field-0": "code", "result": "items.name"}

    page = add_lookup(client, with_line, shop, **path)
    column = draft(with_line).additional[0].lookup
    assert column is not None and (column.table, column.result) == ("customers/{code}", "items.name")
    assert 'In the braces of the path: <span class="mono">code</span>' in page.content.decode()
    assert "could not be looked up: “127.0.0.1” does not accept connections now.</span>" in page.content.decode()

    wrong = add_lookup(client, with_line, shop, **{**path, "field-0": "number"}).content.decode()
    assert "has {code}, and nothing says what goes there. Correct the lookup." in wrong


def test_an_additional_lookup_leaves_no_line_out(client: Client, with_line: Process, known: Connection) -> None:
    assert add_lookup(client, with_line, known, none="restrict").status_code == 422


def test_a_connection_that_is_looked_up_at_is_not_deleted(
    client: Client, with_line: Process, known: Connection, company: Company, tmp_path: Path
) -> None:
    other = sql_connection(company, tmp_path / "crm.db", name="Other")
    add_lookup(client, with_line, other)

    response = client.post(reverse("connection-delete", args=[other.public_id]), follow=True)

    assert "CUSTOMERS" in said(response) and Connection.objects.filter(pk=other.pk).exists()


def test_a_column_of_the_parent_is_mapped_with_what_stands_without_one(client: Client, with_line: Process) -> None:
    response = map_note(
        client, with_line, column_type="parent_column", of_parent="Order No", alone="default", default="none"
    )

    (note,) = [item for item in only_process(with_line.company).drafted.lines[0].fields if item.target == "note"]
    how = ParentColumn(alone=WithoutParent.DEFAULT, default="none")
    assert (note.column_type, note.value, note.parent) == (ColumnType.PARENT_COLUMN, "Order No", how)
    assert 'value="Order No"' in response.content.decode()

    response = map_note(client, with_line, column_type="parent_column", of_parent="Order No", alone="fail")
    assert "of the parent’s document" in response.content.decode()


def test_an_option_is_one_of_its_list(client: Client, with_line: Process) -> None:
    refused = map_note(client, with_line, column_type="list_option", option="West", choices="North; South")
    assert (
        refused.status_code == 422 and "West is no option of note. Options: North, South." in refused.content.decode()
    )

    response = map_note(client, with_line, column_type="list_option", option="South", choices="North; South; ")

    assert sample_of_note(response).text == "South"
    (field,) = draft(with_line).lines[0].fields
    assert (field.value, field.choices) == ("South", ("North", "South"))


@pytest.mark.parametrize(
    ("script", "number", "sentence"),
    [
        ("return this._Name !== '';", "1", "True: the record would be sent."),
        ("return this._Name !== '';", "2", "False: the record would be left out."),
        ("this.GBL_SEEN = this._Name; return true;", "1", "GBL_SEEN"),
        ("return this.nothing.at.all;", "1", "The document would fail: The restriction of customers failed: TypeError"),
        ("return 1;", "1", "The document would fail: The restriction of customers"),
        ("", "1", "There is no script yet to test"),
        ("return (", "1", "Unexpected token"),
    ],
)
def test_a_restriction_is_tried_on_a_chosen_document_and_saves_nothing(
    client: Client, with_line: Process, company: Company, script: str, number: str, sentence: str
) -> None:
    GlobalVariable.objects.create(company=company, name="GBL_SEEN", value="")
    answers = {"revision": with_line.revision, "script": script, "sample": number}

    page = client.post(reverse("process-restriction-test", args=[with_line.public_id, 1]), answers)

    assert sentence in page.content.decode()
    assert draft(with_line).lines[0].restriction == ""


def test_a_restriction_that_cannot_be_tried_says_why(client: Client, with_line: Process) -> None:
    """What is wrong need not be the script."""
    page = client.post(reverse("process-restriction-test", args=[with_line.public_id, 1]), {"script": "return true;"})

    assert page.status_code == 200 and "Revision is empty. Fill it in." in page.content.decode()


def test_a_restriction_of_every_row_is_tried_on_all_rows_of_the_document(client: Client, with_line: Process) -> None:
    save(client, with_line, "grouping", line=1, grouped="no")
    answers = {"revision": with_line.revision, "script": "return this._Amount > 7;", "sample": "1"}

    page = client.post(reverse("process-restriction-test", args=[with_line.public_id, 1]), answers)

    assert "1 of 2 records would be sent; left out: row 3." in page.content.decode()


def test_blank_values_overwrite_until_the_line_says_otherwise(client: Client, with_line: Process) -> None:
    assert shown_answers(client, with_line, "target")["lines-0-update_blanks"] == "on"

    save(client, with_line, "target", **{"lines-0-update_blanks": None})

    (line,) = draft(with_line).lines
    assert not line.update_blanks and "lines-0-update_blanks" not in shown_answers(client, with_line, "target")
    before = replace(draft(with_line), lines=(replace(line, update_blanks=True),))
    assert differences(before, draft(with_line)) == ["Line customers: blank values leave what is there"]


def test_a_line_is_told_which_list_it_takes(client: Client, with_line: Process) -> None:
    draft = with_line.drafted
    columns = (*draft.source.columns, Column(name="Rows of"))
    with_line.draft = replace(draft, source=replace(draft.source, columns=columns)).to_json()
    with_line.save()
    save(client, with_line, "grouping", line=1, rows="lines")

    assert with_line.drafted.lines[0].rows == "lines"


def test_the_sample_of_an_additional_calculation_that_is_not_written_yet_is_blank(
    client: Client, with_line: Process
) -> None:
    answers = shown_answers(client, with_line, "additional", line=1)
    answers |= {"fields-0-target": "Later", "fields-0-column_type": "calculation"}
    address = reverse("process-additional-sample", args=[with_line.public_id, 1])

    response = client.post(address, answers)

    assert response.status_code == 200
    (cell,) = (row["sample"] for row in response.context["rows"] if row["sample"])
    assert (cell.text, cell.words) == ("", "blank")


def test_a_field_that_was_named_and_not_mapped_is_not_dropped_in_silence(client: Client, with_line: Process) -> None:
    refused = save(client, with_line, "additional", line=1, **{"fields-0-target": "Due", "fields-0-type": "date"})

    assert refused.status_code == 422
    assert "Due is not mapped. Choose its column type, or clear its name." in refused.content.decode()
