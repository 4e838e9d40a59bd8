"""Secure values in real runs: they arrive where they are sent, and nothing that Waybill keeps or shows holds them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.db import connection as database
from django_scopes import scope

from accounts.keys import new_data_key
from accounts.models import Company
from integrations.engine.plan import (
    ColumnType,
    DestinationSpec,
    Expects,
    FieldMap,
    Header,
    Keep,
    Line,
    ParentData,
    Stage,
    Task,
    TaskType,
    Then,
    ValueType,
    Variable,
    WriteMode,
)
from integrations.engine.secret import DOTS
from integrations.engine.secure import is_handle
from integrations.models import DocumentOutcome, GlobalVariable, Process, RunStatus
from integrations.models.vault import vault_of
from integrations.runs.trial import try_task
from tests import factories
from tests.mail_server import MailServer
from tests.runs.performing import Crm, performed, process_into
from tests.runs.test_outside_tasks import Service, call, email, mail, service, sql, valid
from tests.runs.test_perform import log_of
from tests.runs.test_tasks import script

__all__ = ["call", "mail", "service"]

pytestmark = pytest.mark.django_db(transaction=True)

KEY, TEXT, COPY = "GBL_API_KEY", "k3y/with & <signs>+ÄÖ", "GBL_COPY"
COMPOSE = script("COMPOSE", Stage.INTEGRATION_PRE, f"this.{COPY} = 'Bearer ' + this.{KEY}; return true;")


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        sealed = vault_of(company).sealed(KEY, TEXT)
        GlobalVariable.objects.create(company=company, name=KEY, value=sealed, is_secure=True)
        GlobalVariable.objects.create(company=company, name=COPY)
        GlobalVariable.objects.create(company=company, name="GBL_MAIL", value="ops@x.test")
        yield


def kept_in_the_database() -> str:
    """Everything that stands in any table, as text."""
    found = []
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [repr([bytes(v) if isinstance(v, memoryview) else v for v in row]) for row in cursor.fetchall()]
    return "\n".join(found)


def mapped_from(process: Process, item: FieldMap) -> Process:
    """Have the names of customers come from `item`."""
    (line,) = process.drafted.lines
    plan = replace(process.drafted, lines=(replace(line, fields=(line.fields[0], item)),))
    version = process.newest_version
    assert version is not None
    version.plan_json = plan.to_json()
    version.save()
    return process


def test_a_field_arrives_with_the_value_and_the_run_keeps_a_handle(crm: Crm) -> None:
    for number, item in enumerate(
        (
            FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value=KEY),
            FieldMap(target="name", column_type=ColumnType.CALCULATION, value=f"return this.{KEY};"),
        )
    ):
        run = performed(mapped_from(process_into(crm, process=f"P{number}"), item), f"{number},Anna\n")
        assert run.status == RunStatus.COMPLETED and is_handle(run.variables[KEY])
    assert crm.customers() == [("0", TEXT), ("1", TEXT)]
    assert TEXT not in kept_in_the_database()


def test_what_a_script_makes_of_a_handle_goes_out_bound_quoted_and_escaped_where_due(
    crm: Crm, service: Service, call: Any
) -> None:
    service.text = "{}"
    ask = call(Stage.INTEGRATION_PRE, path=f"keys/[{KEY}]", body=json.dumps({"auth": f"[{COPY}]"}), variable="")
    note = sql(crm, Stage.INTEGRATION_PRE, f"INSERT INTO customers VALUES ('key', [{COPY}])")
    run = performed(
        process_into(crm, tasks=(COMPOSE, replace(ask, name="ASK"), replace(note, name="NOTE"))), "1,Anna\n"
    )
    assert run.status == RunStatus.COMPLETED, run.reason
    ((_, path, body, _),) = service.asked
    assert path.startswith("/v1/keys/k3y%2Fwith%20") and unquote(path).endswith(TEXT)
    assert body == {"auth": f"Bearer {TEXT}"}
    assert ("key", f"Bearer {TEXT}") in crm.customers()


def test_a_header_carries_a_secure_value_that_nothing_keeps(crm: Crm, service: Service, call: Any) -> None:
    service.text = f"you sent {TEXT}"
    headers = (Header(name="X-Key", value=f"Key [{KEY}]"),)
    run = performed(process_into(crm, tasks=(call(Stage.INTEGRATION_PRE, headers=headers),)), "1,Anna\n")
    assert run.status == RunStatus.COMPLETED, run.reason
    assert service.headers[0]["X-Key"].encode("latin-1").decode() == f"Key {TEXT}"
    assert log_of(run) == [f"CALL is done. Answered 200: you sent {DOTS}"]
    assert TEXT not in kept_in_the_database()


@pytest.mark.parametrize(
    "said",
    ["you sent {}", "no such key: {}", '{{"echo": "{}"}}'],
)
def test_what_another_system_echoes_is_dots(crm: Crm, service: Service, call: Any, said: str) -> None:
    service.text, service.status = said.format(TEXT), 400
    ask = call(Stage.INTEGRATION_PRE, path="x", body=f'{{"k": "[{KEY}]"}}', on_failure=Then.NEXT)
    service_says = performed(process_into(crm, tasks=(ask,)), "1,Anna\n")
    assert any(DOTS in line for line in log_of(service_says))
    service.status = 200
    answered = performed(process_into(crm, process="TWO", tasks=(replace(ask, variable=COPY),)), "1,Anna\n")
    assert answered.variables[COPY] == said.format(DOTS)
    assert TEXT not in kept_in_the_database()


def test_a_query_that_gives_the_value_back_gives_dots(crm: Crm) -> None:
    ask = sql(crm, Stage.INTEGRATION_PRE, f"SELECT [{KEY}]", variable=COPY)
    run = performed(process_into(crm, tasks=(ask,)), "1,Anna\n")
    assert run.variables[COPY] == DOTS


def test_a_sealed_value_that_was_copied_into_a_source_is_not_opened(crm: Crm, company: Company) -> None:
    copied = vault_of(company).sealed(KEY, "of-somebody-else")
    note = sql(crm, Stage.DOCUMENT_PRE, "INSERT INTO customers VALUES ('note', [_Name])")
    performed(process_into(crm, tasks=(note,)), f"1,{copied}\n")
    assert crm.customers() == [("1", copied), ("note", copied)]


def test_a_validation_that_is_asked_with_a_secure_value_tells_no_rows(crm: Crm) -> None:
    query = f"SELECT substr([{KEY}], 1, 3), substr([{KEY}], 4)"
    asked = valid(crm, Stage.INTEGRATION_PRE, query, Expects.NO_ROW)
    process = process_into(crm, tasks=(asked,))

    for said in (performed(process, "1,Anna\n").reason, try_task(process, process.drafted, asked, 1, {}).sentence):
        assert "its query gives rows that should not be there." in said and TEXT[:3] not in said


def test_a_record_that_is_refused_is_kept_for_repair_with_dots(crm: Crm) -> None:
    crm._do("CREATE TRIGGER no BEFORE INSERT ON customers BEGIN SELECT RAISE(ABORT, 'not this one'); END")
    field = FieldMap(target="name", column_type=ColumnType.CALCULATION, value=f"return 'Bearer ' + this.{KEY};")
    run = performed(mapped_from(process_into(crm), field), "1,Anna\n")
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert outcome.records[0]["values"]["name"] == f"Bearer {DOTS}"
    assert TEXT not in kept_in_the_database()


def test_a_script_that_prints_returns_or_throws_it_shows_dots(crm: Crm) -> None:
    throws = script("THROWS", Stage.INTEGRATION_PRE, f"throw new Error('it is ' + this.{KEY});", on_failure=Then.NEXT)
    field = FieldMap(target="name", column_type=ColumnType.CALCULATION, value=f"throw this.{KEY};")
    run = performed(mapped_from(process_into(crm, tasks=(throws,)), field), "1,Anna\n")
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert f"threw {DOTS}" in outcome.sentence
    assert any(f"it is {DOTS}" in line for line in log_of(run))


def test_an_email_gets_dots(crm: Crm, mail: MailServer) -> None:
    tell = email(Stage.INTEGRATION_POST_ALWAYS, subject=f"[{KEY}]", text=f"[{COPY}]")
    performed(process_into(crm, tasks=(COMPOSE, tell)), "1,Anna\n")
    ((_, message),) = mail.taken
    assert message["Subject"] == DOTS and message.get_content().strip() == f"Bearer {DOTS}"


def test_what_is_written_into_a_secure_variable_is_sealed_and_kept_so(crm: Crm, company: Company) -> None:
    learn = script("LEARN", Stage.INTEGRATION_PRE, f"this.{KEY} = 'learnt-' + this.{KEY}; return true;")
    process = process_into(crm, tasks=(learn,), variables=(Variable(name=KEY, keep=Keep.ALWAYS),))
    performed(process, "1,Anna\n")
    process.refresh_from_db()
    assert vault_of(company).opened(process.kept_values[KEY]) == f"learnt-{TEXT}"
    again = performed(process, "1,Anna\n")
    assert vault_of(company).opened(again.variables[KEY]) == f"learnt-learnt-{TEXT}"
    assert TEXT not in kept_in_the_database()


def test_a_child_gets_and_hands_back_handles(crm: Crm, company: Company) -> None:
    note = sql(crm, Stage.INTEGRATION_PRE, f"INSERT INTO customers VALUES ('child', [{COPY}])")
    back = script("BACK", Stage.INTEGRATION_PRE, f"this.{COPY} += '!'; return true;")
    child = process_into(crm, process="CHILD", tasks=(replace(note, name="NOTE"), back))
    run_child = Task(
        name="RUN",
        type=TaskType.RUN_INTEGRATION,
        stage=Stage.INTEGRATION_POST_ALWAYS,
        integration=str(child.public_id),
        parent_data=ParentData.ALL,
        use_variables=True,
        hand_back=True,
    )
    run = performed(process_into(crm, tasks=(COMPOSE, run_child)), "1,Anna\n")
    assert ("child", f"Bearer {TEXT}") in crm.customers(), log_of(run)
    assert vault_of(company).opened(run.variables[COPY]) == f"Bearer {TEXT}!"
    assert TEXT not in kept_in_the_database()


def test_what_a_parent_knows_as_plain_is_sealed_where_the_child_calls_it_secure(crm: Crm, company: Company) -> None:
    GlobalVariable.objects.filter(name=COPY).update(value="plain-until-here")
    process = process_into(crm, variables=(Variable(name=COPY, value=None, secure=True),))
    run = performed(process, "1,Anna\n")
    assert vault_of(company).opened(run.variables[COPY]) == "plain-until-here" and is_handle(run.variables[COPY])


def test_a_value_that_cannot_be_opened_ends_the_run_before_anything_is_read(crm: Crm, company: Company) -> None:
    company.data_key = new_data_key()
    company.save()
    run = performed(process_into(crm, tasks=(COMPOSE,)), "1,Anna\n")
    assert (run.status, run.source_rows, run.error_code) == (RunStatus.FAILED, None, "variable.secret")
    assert run.reason.startswith(f"The secure value of {KEY} cannot be opened")


def test_a_secure_value_goes_into_text_alone(crm: Crm) -> None:
    field = FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value=KEY, type=ValueType.INTEGER)
    run = performed(mapped_from(process_into(crm), field), "1,Anna\n")
    assert run.status == RunStatus.FAILED and "whose value is secure: it goes into text alone" in run.reason


@pytest.mark.parametrize("kind", ["download", "folder_file"])
def test_a_file_takes_no_secure_value_whatever_way_it_comes(
    crm: Crm, company: Company, tmp_path: Path, kind: str
) -> None:
    folder = factories.make_connection(company, "Folder", "folder", path=str(tmp_path))
    item = FieldMap(target="name", column_type=ColumnType.CALCULATION, value=f"return 'Bearer ' + this.{KEY};")
    line = Line(name="Customer", target="out.csv", mode=WriteMode.INSERT, fields=(item,))
    destination = DestinationSpec(kind=kind, connection=str(folder.public_id) if kind == "folder_file" else "")
    run = performed(
        process_into(crm, destination=destination, lines=(line,), variables=(Variable(name=KEY),)), "1,Anna\n"
    )

    assert (run.documents_failed, run.documents_created) == (1, 0)
    (outcome,) = DocumentOutcome.objects.filter(run=run)
    assert outcome.sentence == (
        "name of the line Customer cannot be written: its value is secure, and a file is read by whoever opens it."
    )
    assert not list(tmp_path.glob("*.csv")) and TEXT not in kept_in_the_database()
