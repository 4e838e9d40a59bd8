"""Runs that look values up in another system."""

from dataclasses import replace
from typing import Any

import pytest

from accounts.models import Company
from integrations.engine.errors import AdministratorError
from integrations.engine.execute import ATTEMPTS
from integrations.engine.plan import (
    Column,
    ColumnType,
    FieldMap,
    Line,
    Lookup,
    Match,
    NoneFound,
    SourceSpec,
    Stage,
    Task,
    TaskType,
)
from integrations.models import Connection, DocumentOutcome, Process, RunStatus
from integrations.runs import lookups
from integrations.runs.preview import first_rows, preview_of
from tests import factories
from tests.connectors.test_rest import Service, service
from tests.runs.performing import Crm, file_of, performed, process_into

__all__ = ["service"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_company")]
ROWS = "1,Acme\n2,Bolt\n3,Acme\n"


@pytest.fixture
def known(crm: Crm) -> Crm:
    crm._do("CREATE TABLE names (short TEXT, long TEXT)")
    crm._do("INSERT INTO names VALUES ('Acme', 'Acme Incorporated')")
    return crm


def looking_up(crm: Crm, none: NoneFound) -> Process:
    """Customers whose name is looked up in the CRM, as an additional column that a field takes."""
    how = Lookup(
        connection=str(crm.connection.public_id),
        table="names",
        matches=(Match(field="short", column="Name"),),
        result="long",
        none=none,
        default="unknown",
    )
    column = FieldMap(target="Long name", column_type=ColumnType.LOOKUP, lookup=how)
    fields = (FieldMap(target="customer_number", value="CustomerNumber"), FieldMap(target="name", value="Long name"))
    line = Line(name="Customer", target="customers", keys=("customer_number",), fields=fields)
    return process_into(crm, additional=(column,), lines=(line,))


def test_a_run_sends_what_it_looked_up(known: Crm) -> None:
    run = performed(looking_up(known, NoneFound.DEFAULT), ROWS)

    assert run.status == RunStatus.COMPLETED, run.reason
    assert known.customers() == [("1", "Acme Incorporated"), ("2", "unknown"), ("3", "Acme Incorporated")]


def test_a_document_for_which_nothing_is_found_fails_alone(known: Crm) -> None:
    run = performed(looking_up(known, NoneFound.FAIL), ROWS)

    assert (run.status, run.documents_failed) == (RunStatus.COMPLETED_WITH_ERRORS, 1)
    assert [number for number, _ in known.customers()] == ["1", "3"]


def test_a_table_that_is_gone_fails_the_run_before_anything_is_read(known: Crm) -> None:
    process = looking_up(known, NoneFound.FAIL)
    known._do("DROP TABLE names")

    run = performed(process, ROWS)

    assert (run.status, run.source_documents) == (RunStatus.FAILED, None)
    assert run.reason == "There is no table names in CRM to look up in. Correct the lookup."


def test_a_lookup_of_a_line_leaves_its_record_out_and_counts_it_as_restricted(known: Crm) -> None:
    process = looking_up(known, NoneFound.RESTRICT)
    plan = process.drafted
    number, name = plan.lines[0].fields
    line = replace(plan.lines[0], fields=(number, replace(plan.additional[0], target=name.target)))

    run = performed(process_into(known, lines=(line,), process="DIRECTLY"), ROWS)

    assert (run.documents_created, run.documents_restricted) == (2, 1)
    assert known.customers() == [("1", "Acme Incorporated"), ("3", "Acme Incorporated")]


# ---- at a web service --------------------------------------------------------------------------------------------


@pytest.fixture
def shop(company: Company, service: Service) -> Lookup:
    connection = factories.make_connection(company, "Shop", "http", url=service.url, timeout=20)
    return Lookup(
        connection=str(connection.public_id),
        table="names/{short}",
        matches=(Match(field="short", column="Name"),),
        result="long",
    )


def through(crm: Crm, how: Lookup) -> Process:
    name = FieldMap(target="name", column_type=ColumnType.LOOKUP, lookup=how)
    fields = (FieldMap(target="customer_number", value="CustomerNumber"), name)
    line = Line(name="Customer", target="customers", keys=("customer_number",), fields=fields)
    return process_into(crm, lines=(line,), batch_documents=100)


def test_a_key_is_asked_for_once_however_many_rows_have_it(crm: Crm, shop: Lookup, service: Service) -> None:
    service.reply = lambda path, query: {"long": f"{path[-4:]} Incorporated"}

    run = performed(through(crm, shop), ROWS)

    assert run.status == RunStatus.COMPLETED, run.reason
    assert [name for _, name in crm.customers()] == ["Acme Incorporated", "Bolt Incorporated", "Acme Incorporated"]
    assert sorted(service.paths()) == ["names/Acme", "names/Bolt"]


def test_what_passes_is_asked_again_and_what_stays_fails_its_document(
    crm: Crm, shop: Lookup, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "FIRST_PAUSE_SECONDS", 0.0)
    late = iter([(500, b"down", {})])
    service.reply = lambda path, query: (
        (500, b"broken", {}) if path.endswith("Bolt") else next(late, {"long": "Acme Incorporated"})
    )

    run = performed(through(crm, shop), ROWS)

    assert (run.status, run.documents_failed) == (RunStatus.COMPLETED_WITH_ERRORS, 1)
    assert [number for number, _ in crm.customers()] == ["1", "3"]
    sentence = DocumentOutcome.objects.get(run=run).sentence
    assert sentence == "“Bolt” in Name of row 2 could not be looked up: Shop answered 500: broken."
    assert service.paths().count("names/Bolt") == ATTEMPTS


def test_rows_are_validated_there(crm: Crm, shop: Lookup, service: Service) -> None:
    service.reply = lambda path, query: {"items": [] if path.endswith("Bolt") else [1]}
    task = Task(name="CHECK", type=TaskType.VALIDATION, stage=Stage.VALIDATION, lookup=replace(shop, result="items"))

    run = performed(process_into(crm, tasks=(task,)), ROWS)

    assert run.reason.startswith("CHECK failed: 1 row of 3 is not found in names/{short}: row 2 (2), “Bolt” in Name.")


@pytest.mark.parametrize("answer", [401, 500, 200])
def test_a_preview_shows_no_secret_that_an_answer_repeats(
    crm: Crm, shop: Lookup, service: Service, company: Company, answer: int
) -> None:
    there = Connection.objects.get(public_id=shop.connection)
    there.settings["auth"] = "bearer"
    there.seal_secret("secret", "only-the-shop-knows")
    there.save()
    process = through(crm, shop)
    process.sample = file_of(company, ROWS)
    process.save()

    def repeated(path: str, query: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        return answer, {"long": f"you sent {service.asked[-1][1]['Authorization']}"}, {}

    service.reply = repeated
    try:
        shown = repr(preview_of(process, process.drafted))
    except AdministratorError as refused:
        shown = refused.sentence

    assert "you sent Bearer ••••••" in shown
    assert "only-the-shop-knows" not in shown


def test_a_preview_shows_no_secret_that_the_rows_of_a_service_repeat(
    crm: Crm, service: Service, company: Company
) -> None:
    there = factories.make_connection(company, "Shop", "http", url=service.url, auth="bearer", timeout=5)
    there.seal_secret("secret", "only-the-shop-knows")
    there.save()
    service.reply = lambda path, query: [{"CustomerNumber": "1", "Name": service.asked[-1][1]["Authorization"]}]
    columns = (Column(name="CustomerNumber"), Column(name="Name"))
    options = {"path": "customers"}
    source = SourceSpec(kind="rest", connection=str(there.public_id), options=options, columns=columns)
    process = process_into(crm, source=source)

    assert first_rows(process, source)[1] == [["1", "Bearer ••••••"]]
    assert "only-the-shop-knows" not in repr(preview_of(process, process.drafted))
