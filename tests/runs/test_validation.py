"""Validations by lookup in real runs: what they list, and that nothing is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import Expects, FieldMap, Lookup, Match, Stage, Task, TaskType
from integrations.models import DocumentOutcome, GlobalVariable, RunStatus
from integrations.runs.trial import try_task
from tests.runs.performing import Crm, file_of, performed, process_into

pytestmark = pytest.mark.django_db(transaction=True)

THREE = "1,Acme\n2,Bolt\n3,Cog\n"


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North")
        yield


@pytest.fixture
def known(crm: Crm) -> Crm:
    crm._do("CREATE TABLE names (short TEXT, region TEXT)")
    crm._do("INSERT INTO names VALUES ('Acme', 'North'), ('Acme', 'North'), ('Bolt', 'South')")
    return crm


BY_NAME = (Match(field="short", column="Name"),)


def check(
    crm: Crm,
    stage: Stage = Stage.VALIDATION,
    expects: Expects = Expects.ROW,
    matches: tuple[Match, ...] = BY_NAME,
    table: str = "names",
    **more: Any,
) -> Task:
    lookup = Lookup(connection=str(crm.connection.public_id), table=table, matches=matches)
    return Task(name="CHECK", type=TaskType.VALIDATION, stage=stage, expects=expects, lookup=lookup, **more)


@pytest.mark.parametrize(
    ("expects", "matches", "said"),
    [
        (Expects.ROW, BY_NAME, "1 row of 3 is not found in names: row 3 (3), “Cog” in Name."),
        (
            Expects.NO_ROW,
            BY_NAME,
            "2 rows of 3 are found, and should not be, in names: row 1 (1), “Acme” in Name; row 2 (2), “Bolt” in Name.",
        ),
        (
            Expects.ROW,
            (*BY_NAME, Match(field="region", variable="GBL_REGION")),
            "2 rows of 3 are not found in names: row 2 (2), “Bolt” in Name and “North” in GBL_REGION; row 3 (3), “Cog” in "
            "Name and “North” in GBL_REGION.",
        ),
    ],
)
def test_rows_that_are_wrong_are_listed_and_nothing_is_sent(
    known: Crm, expects: Expects, matches: tuple[Match, ...], said: str
) -> None:
    task = check(known, expects=expects, matches=matches)
    run = performed(process_into(known, tasks=(task,), key_fields=("CustomerNumber",)), THREE)
    assert run.status == RunStatus.FAILED
    assert run.reason == f"CHECK failed: {said} It quits here. Nothing was sent."
    assert known.customers() == [] and (run.documents_held, run.is_balanced) == (3, True)


def test_rows_that_are_right_are_sent(known: Crm) -> None:
    run = performed(process_into(known, tasks=(check(known),)), "1,Acme\n2,Bolt\n")
    assert run.status == RunStatus.COMPLETED, run.reason
    assert len(known.customers()) == 2


def test_the_first_of_many_rows_are_listed_and_all_are_counted(known: Crm) -> None:
    rows = "".join(f"{number},Nobody {number}\n" for number in range(1, 2_001))
    run = performed(process_into(known, tasks=(check(known),)), rows)
    assert run.reason.startswith(
        "CHECK failed: 2,000 rows of 2,000 are not found in names: row 1 (1), “Nobody 1” in Name;"
    )
    assert "row 20 (20), “Nobody 20” in Name; and 1,980 more. It quits here." in run.reason


def test_before_a_document_its_own_rows_are_looked_up_with_additional_columns(known: Crm) -> None:
    added = FieldMap(target="Short", value="Name")
    task = check(known, Stage.DOCUMENT_PRE, matches=(Match(field="short", column="Short"),))
    run = performed(process_into(known, tasks=(task,), additional=(added,)), THREE)
    assert [number for number, _ in known.customers()] == ["1", "2"]
    sentence = DocumentOutcome.objects.get(run=run).sentence
    assert sentence == "CHECK failed: 1 row of 1 is not found in names: row 3 (3), “Cog” in Short. It quits here."


@pytest.mark.parametrize(("expects", "said"), [(Expects.ROW, ""), (Expects.NO_ROW, "“North” in GBL_REGION is found")])
def test_before_the_source_is_read_a_variable_is_looked_up(known: Crm, expects: Expects, said: str) -> None:
    task = check(known, Stage.INTEGRATION_PRE, expects, (Match(field="region", variable="GBL_REGION"),))
    run = performed(process_into(known, tasks=(task,)), "1,Acme\n")
    assert (run.status == RunStatus.FAILED) is bool(said) and said in run.reason


def test_a_table_that_is_not_there_is_a_failed_task(known: Crm) -> None:
    run = performed(process_into(known, tasks=(check(known, table="gone"),)), THREE)
    assert run.status == RunStatus.FAILED
    assert "CHECK failed: There is no table gone in CRM to look up in." in run.reason


def test_a_connection_that_is_gone_fails_the_run_before_anything_is_read(known: Crm, company: Company) -> None:
    folder = known.path.parent / "other"
    folder.mkdir()
    other = Crm(company, folder, name="OTHER")
    process = process_into(known, tasks=(check(other),))
    other.connection.delete()
    run = performed(process, THREE)
    assert (run.status, run.source_documents) == (RunStatus.FAILED, None)
    assert "The connection of task CHECK no longer exists." in run.reason


@pytest.mark.parametrize(
    ("stage", "number", "said"),
    [
        (Stage.VALIDATION, 1, "The task would fail: 1 row of 3 is not found in names: row 3 (3), “Cog” in Name."),
        (Stage.DOCUMENT_PRE, 1, "Valid"),
        (Stage.DOCUMENT_PRE, 3, "The task would fail: 1 row of 1 is not found in names: row 3 (3), “Cog” in Name."),
    ],
)
def test_it_is_tried_on_the_sample(known: Crm, stage: Stage, number: int, said: str) -> None:
    process = process_into(known)
    process.sample = file_of(process.company, THREE)
    process.save()
    assert try_task(process, process.drafted, check(known, stage), number, {}).sentence == said
