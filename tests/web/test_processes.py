"""Processes: from a name to a version that runs, by the forms that a designer sees."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scope

from accounts.models import AuditEntry, Company, Membership, Role, User
from integrations.engine.plan import (
    Aggregate,
    ColumnType,
    Plan,
    WhenBusy,
)
from integrations.models import Connection, GlobalVariable, Process, ProcessVersion
from tests import factories
from tests.runs.making import process_of
from tests.web.defining import (
    answers_of,
    crm,
    draft,
    in_company,
    only_process,
    process,
    said,
    save,
    shown_answers,
    upload_sample,
    with_line,
)

__all__ = ["crm", "in_company", "process", "with_line"]


def test_a_process_begins_with_a_name_and_a_kind_of_source(process: Process, crm: Connection) -> None:
    assert process.newest_version is None
    assert draft(process).source.kind == "delimited"
    assert draft(process).destination.connection == str(crm.public_id)
    assert set(process.target_profile) == {"customers", "items"}
    assert AuditEntry.objects.filter(action="process.created", thing="CUSTOMERS").exists()


def test_a_name_is_given_once(client: Client, process: Process) -> None:
    response = client.post(reverse("process-new"), {"name": "customers", "kind": "delimited"})

    assert response.status_code == 422
    assert "There is already a process named “customers”" in response.content.decode()


def test_a_query_without_a_connection_is_refused_at_the_field(client: Client, dora: User) -> None:
    client.force_login(dora)

    response = client.post(reverse("process-new"), {"name": "QUERY", "kind": "sql_query"})

    assert "needs a connection to read from" in response.context["form"].errors["source_connection"][0]


def test_a_sample_file_tells_the_columns_and_text_stays_text(client: Client, process: Process) -> None:
    response = upload_sample(client, process)

    assert "3 columns are known" in said(response)
    assert [column.name for column in draft(process).source.columns] == ["Customer Number", "Name", "Amount"]
    assert "00123" in response.content.decode()
    assert process.sample is not None and process.sample.name == "customers.csv"


def test_a_sample_that_cannot_be_read_is_kept_and_says_why(client: Client, process: Process) -> None:
    response = upload_sample(client, process, b"PK\x03\x04 not text", "book.csv")

    assert "The columns could not be read" in said(response)
    assert draft(process).source.columns == ()


def test_an_empty_upload_is_refused_with_the_next_step(client: Client, process: Process) -> None:
    response = upload_sample(client, process, b"")

    assert "Choose one with a header and a few rows" in response.content.decode()


def test_declared_types_survive_a_new_sample(client: Client, process: Process) -> None:
    upload_sample(client, process)
    save(client, process, "source", **{"columns-2-type": "decimal"})

    upload_sample(client, process, b"Name,Amount,City\nA,1,B\n")

    assert [(column.name, column.type.value) for column in draft(process).source.columns] == [
        ("Name", "text"),
        ("Amount", "decimal"),
        ("City", "text"),
    ]


def test_a_changed_delimiter_reads_the_columns_again(client: Client, process: Process) -> None:
    upload_sample(client, process, b"A;B\n1;2\n")

    save(client, process, "source", **{"option-delimiter": ";"})

    assert [column.name for column in draft(process).source.columns] == ["A", "B"]


def test_a_query_tells_its_columns(client: Client, dora: User, company: Company, crm: Connection) -> None:
    client.force_login(dora)
    client.post(reverse("process-new"), {"name": "QUERY", "kind": "sql_query", "source_connection": str(crm.public_id)})
    process = only_process(company)

    save(client, process, "source", **{"option-query": "SELECT customer_number, name FROM customers"})

    assert [column.name for column in draft(process).source.columns] == ["customer_number", "name"]


def test_choosing_a_target_brings_its_key_fields(with_line: Process) -> None:
    (line,) = draft(with_line).lines

    assert (line.name, line.target, line.keys) == ("customers", "customers", ("customer_number",))


def test_lines_are_added_moved_and_removed(client: Client, with_line: Process) -> None:
    save(client, with_line, "target", do="add")
    save(client, with_line, "target", **{"lines-1-target": "items", "lines-1-name": "Items"})
    save(client, with_line, "target", do="up-2")
    assert [line.name for line in draft(with_line).lines] == ["Items", "customers"]

    save(client, with_line, "target", do="remove-1")

    assert [line.name for line in draft(with_line).lines] == ["customers"]


def test_the_grid_lists_required_targets_first_and_shows_the_engines_sample(client: Client, with_line: Process) -> None:
    url = reverse("process-mapping", args=[with_line.public_id, 1])
    before = client.get(url).context["rows"]
    assert [(row["shown"]["target"], row["group"]) for row in before][:2] == [
        ("customer_number", "missing"),
        ("name", "missing"),
    ]

    response = save(client, with_line, "mapping", line=1, do="match")

    assert "customer_number, name, amount" in said(response)
    cells = {row["shown"]["target"]: row["sample"] for row in response.context["rows"] if row["sample"]}
    assert cells["customer_number"].text == "00123"
    assert cells["name"].text == "Köhler & Söhne"


def test_the_nearest_column_is_taken_by_one_press(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="take-name")

    (mapped,) = draft(with_line).lines[0].fields
    assert (mapped.target, mapped.value) == ("name", "Name")


def test_a_constant_and_a_calculation_are_mapped_and_computed(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")
    shown = client.get(reverse("process-mapping", args=[with_line.public_id, 1])).context["rows"]
    at = {row["shown"]["target"]: index for index, row in enumerate(shown)}

    response = save(
        client,
        with_line,
        "mapping",
        line=1,
        **{
            f"fields-{at['note']}-column_type": "constant",
            f"fields-{at['note']}-constant": "web",
            f"fields-{at['name']}-column_type": "calculation",
            f"fields-{at['name']}-script": "return this._Name.toUpperCase();",
        },
    )

    fields = {item.target: item for item in draft(with_line).lines[0].fields}
    assert (fields["note"].column_type, fields["note"].value) == (ColumnType.CONSTANT, "web")
    cells = {row["shown"]["target"]: row["sample"] for row in response.context["rows"] if row["sample"]}
    assert cells["name"].text == "KÖHLER & SÖHNE"
    assert cells["note"].text == "web"


def test_the_live_sample_answers_for_what_is_typed_and_saves_nothing(client: Client, with_line: Process) -> None:
    args = [with_line.public_id, 1]
    shown = client.get(reverse("process-mapping", args=args)).context
    answers = answers_of([shown["form"], shown["grid"]])
    answers |= {"fields-0-column_type": "constant", "fields-0-constant": "typed just now"}

    response = client.post(reverse("process-mapping-sample", args=args), answers)

    assert "typed just now" in response.content.decode()
    assert draft(with_line).lines[0].fields == ()


def cells_of_sample(client: Client, process: Process, **typed: tuple[str, str]) -> tuple[dict[str, str], Any]:
    """Give what the live sample says of each field, with some answers (column type, value) typed; and the sample."""
    args = [process.public_id, 1]
    shown = client.get(reverse("process-mapping", args=args)).context
    answers = answers_of([shown["form"], shown["grid"]])
    for at, row in enumerate(shown["rows"]):
        if typed_here := typed.get(row["shown"]["target"]):
            kind, value = typed_here
            cell = {"calculation": "script", "source_column": "column"}[kind]
            answers |= {f"fields-{at}-column_type": kind, f"fields-{at}-{cell}": value}
    context = client.post(reverse("process-mapping-sample", args=args), answers).context
    told = {row["shown"]["target"]: row["sample"] for row in context["rows"] if row["sample"]}
    return {name: cell.problem or cell.text or cell.words for name, cell in told.items()}, context["sample"]


def test_a_calculation_that_fails_is_told_once_at_its_row(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")

    cells, sample = cells_of_sample(
        client,
        with_line,
        note=("calculation", "return this._Name.nothing.more;"),
        amount=("calculation", "throw new Error('no amount');"),
    )

    assert (cells["customer_number"], cells["name"]) == ("00123", "Köhler & Söhne")
    assert cells["note"].startswith("Document 00123 would fail: ") and "note" in cells["note"]
    assert cells["amount"].startswith("Document 00123 would fail: ") and "no amount" in cells["amount"]
    assert sample.verdict == ""


def test_a_value_that_fits_no_field_is_told_once_at_its_row(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")

    cells, sample = cells_of_sample(client, with_line, amount=("source_column", "Name"))

    assert (cells["customer_number"], cells["name"]) == ("00123", "Köhler & Söhne")
    assert cells["amount"].startswith("Document 00123 would fail: ")
    assert sample.verdict == ""


def test_a_restriction_that_fails_is_told_once_above_the_rows(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")
    save(client, with_line, "restriction", line=1, script="throw new Error('not today'); return true;")

    cells, sample = cells_of_sample(client, with_line)

    assert set(cells.values()) == {"not computed"}
    assert sample.verdict.startswith("would fail: ") and "not today" in sample.verdict


def test_a_calculation_with_a_fault_is_not_saved_and_stays_on_the_screen(client: Client, with_line: Process) -> None:
    response = save(
        client,
        with_line,
        "mapping",
        line=1,
        **{"fields-0-column_type": "calculation", "fields-0-script": "return ("},
    )

    assert response.status_code == 422
    assert "return (" in response.content.decode()
    assert draft(with_line).lines[0].fields == ()


def test_grouping_keeps_aggregates_by_column(client: Client, with_line: Process) -> None:
    save(client, with_line, "grouping", line=1, **{"aggregate-1": "sum"})

    assert dict(draft(with_line).lines[0].aggregates) == {"Amount": Aggregate.SUM}


def test_a_restriction_without_return_is_saved_with_a_warning(client: Client, with_line: Process) -> None:
    response = save(client, with_line, "restriction", line=1, script="this._Name !== ''")

    assert draft(with_line).lines[0].restriction == "this._Name !== ''"
    assert response.context["warnings"]


def test_a_restriction_that_cannot_be_read_is_refused(client: Client, with_line: Process) -> None:
    response = save(client, with_line, "restriction", line=1, script="return (((")

    assert response.status_code == 422
    assert draft(with_line).lines[0].restriction == ""


def test_options_are_kept(client: Client, process: Process) -> None:
    save(client, process, "options", when_busy="refuse", separator=";")

    assert draft(process).options.when_busy is WhenBusy.REFUSE
    assert draft(process).options.separator == ";"


def test_limits_are_kept_and_a_blank_one_is_none(client: Client, process: Process) -> None:
    save(client, process, "options", time_limit="90", stop_after="100", keep_days="")

    kept = draft(process).options
    assert (kept.time_limit, kept.stop_after, kept.keep_days) == (90, 100, 0)


def test_a_limit_that_is_none_is_refused_beside_what_was_typed(client: Client, process: Process) -> None:
    response = save(client, process, "options", stop_after_percent="200")

    assert response.status_code == 422
    assert "Stop after percent failed is 200. Enter a number from 1 to 100" in response.content.decode()
    assert 'value="200"' in response.content.decode()


def test_the_people_who_may_run_are_named_at_once_and_put_on_record(
    client: Client, process: Process, omar: User, vera: User
) -> None:
    url = reverse("process-runners-save", args=[process.public_id])
    response = client.post(url, {"people": [omar.pk]}, follow=True)

    assert "Saved." in said(response)
    assert list(process.runners.all()) == [omar]
    entry = AuditEntry.objects.get(action="process.runners_saved")
    assert (entry.before, entry.after) == ({"may run": []}, {"may run": [str(omar)]})

    refused = client.post(url, {"people": [vera.pk]})
    assert refused.status_code == 422, "a viewer runs nothing"
    assert list(process.runners.all()) == [omar]


def test_a_process_is_closed_to_everyone_but_administrators(
    client: Client, process: Process, company: Company, omar: User
) -> None:
    url = reverse("process-runners-save", args=[process.public_id])
    refused = client.post(url, {"people": [omar.pk], "only_administrators_run": "on"})
    assert refused.status_code == 422 and "Choose nobody, or switch this off" in refused.content.decode()

    client.post(url, {"only_administrators_run": "on"})
    assert not process.may_be_run_by(omar)
    assert AuditEntry.objects.get(action="process.runners_saved").after == {"may run": ["administrators only"]}


def test_whoever_runs_a_process_stays_named_with_another_role(
    client: Client, process: Process, company: Company, omar: User
) -> None:
    process.runners.set([omar])
    Membership.objects.filter(user=omar, company=company).update(role=Role.VIEWER)

    page = client.get(reverse("process-options", args=[process.public_id]))

    assert list(page.context["runners"].fields["people"].queryset.filter(pk=omar.pk)) == [omar]


def test_save_makes_a_version_only_when_nothing_is_missing(client: Client, with_line: Process) -> None:
    response = save(client, with_line, "options", then="version")
    assert "It cannot become a version yet" in said(response)
    assert with_line.newest_version is None
    save(client, with_line, "mapping", line=1, do="match")

    response = save(client, with_line, "options", then="version")

    assert "Version 1 is saved" in said(response)
    version = with_line.newest_version
    assert version is not None and version.plan == draft(with_line)
    assert AuditEntry.objects.filter(action="process.version_saved", thing="CUSTOMERS").exists()


def test_saving_the_same_again_makes_no_second_version(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")
    save(client, with_line, "options", then="version")

    response = client.post(
        reverse("process-save", args=[with_line.public_id]), {"revision": with_line.revision}, follow=True
    )

    assert "Nothing differs from version 1" in said(response)
    assert ProcessVersion.objects.count() == 1


def test_the_page_says_how_the_draft_differs_and_discarding_brings_the_version_back(
    client: Client, with_line: Process
) -> None:
    save(client, with_line, "mapping", line=1, do="match")
    save(client, with_line, "options", then="version")
    save(client, with_line, "restriction", line=1, script="return true;")
    page = client.get(reverse("process-versions", args=[with_line.public_id]))
    assert page.context["changes"] == ["Line customers: restriction changed"]

    client.post(reverse("process-discard", args=[with_line.public_id]), {"revision": with_line.revision})

    assert draft(with_line).lines[0].restriction == ""


def test_an_earlier_version_can_be_put_into_the_draft(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")
    save(client, with_line, "options", then="version")
    save(client, with_line, "options", separator="/", then="version")

    client.post(reverse("process-version-restore", args=[with_line.public_id, 1]), {"revision": with_line.revision})

    assert draft(with_line).options.separator == "|"
    assert ProcessVersion.objects.count() == 2


@pytest.mark.parametrize("tab", ["options", "target", "source", "details"])
def test_someone_elses_save_meanwhile_is_shown_and_nothing_is_overwritten(
    client: Client, ada: User, with_line: Process, tab: str
) -> None:
    name = "process" if tab == "details" else f"process-{tab}"
    shown = client.get(reverse(name, args=[with_line.public_id])).context
    forms = [shown[part] for part in ("form", "columns", "lines") if part in shown]
    mine = answers_of(forms) | {
        "kind": "delimited",
        "separator": "mine",
        "lines-0-name": "mine",
        "columns-0-type": "integer",
        "name": "mine",
    }
    with_line.change(revision=with_line.revision, by=ada, description="Ada was here")

    response = client.post(reverse(f"process-{tab}-save", args=[with_line.public_id]), mine)

    assert response.status_code == 409
    assert "Ada saved this process meanwhile" in response.content.decode()
    with_line.refresh_from_db()
    assert with_line.updated_by == ada
    again = answers_of([response.context[part] for part in ("form", "columns", "lines") if part in response.context])
    assert again["revision"] == str(with_line.revision)


def test_a_version_is_not_made_of_a_draft_that_the_person_has_not_seen(
    client: Client, ada: User, with_line: Process
) -> None:
    save(client, with_line, "mapping", line=1, do="match")
    seen = with_line.revision
    with_line.change(revision=seen, by=ada, description="Ada was here")

    response = client.post(reverse("process-save", args=[with_line.public_id]), {"revision": seen}, follow=True)

    assert "Ada saved this process meanwhile" in said(response)
    assert with_line.newest_version is None


def test_what_the_draft_lacks_is_listed_with_links_to_the_place(client: Client, with_line: Process) -> None:
    page = client.get(reverse("process", args=[with_line.public_id]))

    places = {place.sentence: place.url for place in page.context["problems"]}
    mapping = reverse("process-mapping", args=[with_line.public_id, 1])
    assert places["No field of line customers is mapped."] == mapping


def test_the_trash_keeps_a_process_and_gives_it_back(client: Client, process: Process) -> None:
    client.post(reverse("process-trash", args=[process.public_id]), {"revision": process.revision})
    process.refresh_from_db()
    assert process.trashed_at is not None
    assert client.get(reverse("process-options", args=[process.public_id])).status_code == 200
    assert client.post(reverse("process-options-save", args=[process.public_id])).status_code == 404

    client.post(reverse("process-restore", args=[process.public_id]))

    process.refresh_from_db()
    assert process.trashed_at is None


def test_a_process_is_not_restored_over_a_newer_one_of_its_name(client: Client, process: Process) -> None:
    client.post(reverse("process-trash", args=[process.public_id]), {"revision": process.revision})
    client.post(reverse("process-new"), {"name": "CUSTOMERS", "kind": "delimited"})

    response = client.post(reverse("process-restore", args=[process.public_id]), follow=True)

    assert "There is already a process named “CUSTOMERS”" in said(response)
    process.refresh_from_db()
    assert process.trashed_at is not None


def test_the_preview_shows_rows_documents_and_records(client: Client, with_line: Process) -> None:
    save(client, with_line, "mapping", line=1, do="match")

    page = client.get(reverse("process-preview", args=[with_line.public_id]))

    assert len(page.context["seen"].rows) == 3
    assert [(document.key, document.rows) for document in page.context["documents"]] == [("00123", 2), ("00124", 1)]
    (line,) = page.context["lines"]
    assert line.records[0].values == ["00123", "Köhler & Söhne", 10]


def with_lines(process: Process, count: int) -> Plan:
    """Give the draft `count` lines like its first one."""
    plan = draft(process)
    lines = tuple(replace(plan.lines[0], name=f"Line {number}") for number in range(1, count + 1))
    plan = replace(plan, lines=lines)
    Process.objects.filter(pk=process.pk).update(draft=plan.to_json())
    process.refresh_from_db()
    return plan


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", "Lines 1 to 20 of 45"),
        ("?page=3", "Lines 41 to 45 of 45"),
        ("?page=99", "Lines 41 to 45 of 45"),
        ("?lines=all", ""),
    ],
)
@pytest.mark.parametrize("script", ["", "this.GBL_REGION = 'north';\nreturn true;"])
def test_the_preview_computes_a_page_of_many_lines_and_says_so(
    client: Client, with_line: Process, company: Company, query: str, shown: str, script: str
) -> None:
    GlobalVariable.objects.create(company=company, name="GBL_REGION", value="")
    save(client, with_line, "mapping", line=1, do="match")
    save(client, with_line, "restriction", line=1, script=script)
    with_lines(with_line, 45)

    page = client.get(reverse("process-preview", args=[with_line.public_id]) + query)

    numbers = [line.number for line in page.context["lines"]]
    assert numbers == {"": [*range(1, 21)], "?lines=all": [*range(1, 46)]}.get(query, [*range(41, 46)])
    assert {line.name for line in page.context["lines"]} == {f"Line {number}" for number in numbers}
    assert page.context["documents"][0].sent == len(numbers)
    text = page.content.decode()
    assert shown in text if shown else "Next lines" not in text


def test_a_target_of_many_lines_is_saved_whole(client: Client, with_line: Process) -> None:
    plan = with_lines(with_line, 200)

    response = save(client, with_line, "target", **{"lines-199-name": "The last one"})

    assert "Saved" in said(response)
    assert [line.name for line in draft(with_line).lines] == [*(line.name for line in plan.lines[:-1]), "The last one"]


def test_a_preview_without_a_sample_says_what_to_do(client: Client, process: Process) -> None:
    page = client.get(reverse("process-preview", args=[process.public_id]))

    assert "Upload one on the Source tab" in page.content.decode()


def test_the_list_tells_versions_drafts_and_where_rows_go(client: Client, vera: User, with_line: Process) -> None:
    client.force_login(vera)

    page = client.get(reverse("processes"))

    (row,) = page.context["rows"]
    assert (row.version, row.differs, row.destination) == (None, False, "CRM: customers")
    assert "New process" not in page.content.decode()


def test_the_list_costs_the_same_for_many_processes(
    client: Client, vera: User, company: Company, crm: Connection, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        factories.make_process(company, factories.make_plan(crm), name=f"P{number}")
    client.force_login(vera)

    with django_assert_max_num_queries(16):
        page = client.get(reverse("processes"))

    assert len(page.context["rows"]) == 12


def test_a_viewer_sees_every_tab_and_saves_none(client: Client, vera: User, with_line: Process) -> None:
    client.force_login(vera)
    key = with_line.public_id

    for name in ("process", "process-source", "process-target", "process-options", "process-versions"):
        page = client.get(reverse(name, args=[key]))
        assert page.status_code == 200
        assert "Save<span" not in page.content.decode()
    for name in ("process-grouping", "process-mapping", "process-restriction"):
        assert client.get(reverse(name, args=[key, 1])).status_code == 200
    assert client.post(reverse("process-options-save", args=[key])).status_code == 403
    assert client.post(reverse("process-save", args=[key])).status_code == 403
    assert client.post(reverse("process-mapping-sample", args=[key, 1])).status_code == 403


def test_a_process_of_another_company_is_not_found(client: Client, mallory: User, with_line: Process) -> None:
    client.force_login(mallory)

    assert client.get(reverse("process", args=[with_line.public_id])).status_code == 404
    assert client.post(reverse("process-save", args=[with_line.public_id]), {"revision": 0}).status_code == 404


def test_a_line_that_is_not_there_is_not_found(client: Client, with_line: Process) -> None:
    assert client.get(reverse("process-mapping", args=[with_line.public_id, 7])).status_code == 404


def test_a_name_that_was_taken_a_moment_ago_is_said_and_nothing_is_lost(
    client: Client, dora: User, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = process_of(company, "FIRST"), process_of(company, "SECOND")
    client.force_login(dora)
    answers = shown_answers(client, second, "details") | {"name": "FIRST"}
    # What the forms look up was true a moment ago.
    monkeypatch.setattr("integrations.forms.process.name_is_taken", lambda name, but_for=None: "")
    monkeypatch.setattr("integrations.web.processes.name_is_taken", lambda name, but_for=None: "")

    renamed = client.post(reverse("process-details-save", args=[second.public_id]), answers)
    assert renamed.status_code == 422 and "was made a moment ago" in renamed.content.decode()

    with scope(company=company):
        Process.objects.filter(pk=first.pk).update(trashed_at=timezone.now())
        Process.objects.filter(pk=second.pk).update(name="FIRST")
    assert "was made a moment ago" in said(client.post(reverse("process-restore", args=[first.public_id]), follow=True))


def test_the_first_sample_of_a_nested_file_fixes_its_format_and_its_key(
    client: Client, dora: User, company: Company
) -> None:
    client.force_login(dora)
    client.post(reverse("process-new"), {"name": "ORDERS", "kind": "xml"})
    process = only_process(company)
    save(client, process, "source", **{"option-shape": "documents"})
    orders = b"<orders><order id='1'><line><sku>A</sku></line><line><sku>B</sku></line></order><order id='2'/></orders>"
    upload_sample(client, process, orders, "orders.xml")
    process.refresh_from_db()

    drafted = process.drafted
    assert {"path": "orders/order", "lists": "line"}.items() <= drafted.source.options.items()
    assert [column.name for column in drafted.source.columns] == ["Document", "Rows of", "@id", "line.sku"]
    assert drafted.key_fields == ("Document",)


def test_a_process_that_is_only_a_child_names_its_columns(client: Client, dora: User, company: Company) -> None:
    client.force_login(dora)
    client.post(reverse("process-new"), {"name": "CHILD", "kind": "parent_rows"})
    process = only_process(company)
    save(client, process, "source", **{"option-columns": "CustomerNumber\nName"})

    assert [column.name for column in process.drafted.source.columns] == ["CustomerNumber", "Name"]
    page = client.get(reverse("process-source", args=[process.public_id])).content.decode()
    assert "id_connection" not in page and "Read columns" not in page
