"""A value of the parent's document in a child run: kept on the child's row, taken from the parent's rows, or missing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import (
    ColumnType,
    FieldMap,
    ParentColumn,
    ParentData,
    Stage,
    ValueType,
    WithoutParent,
)
from integrations.models import DocumentOutcome, Process, Run, RunStatus
from integrations.runs.perform import perform_next
from integrations.runs.preview import preview_of
from integrations.runs.request import request_run, rerun
from tests.runs.making import held_run
from tests.runs.performing import Crm, file_of, fresh, performed, process_into
from tests.runs.test_tasks import children_of, run_integration

pytestmark = pytest.mark.django_db(transaction=True)

OR_NOBODY = ParentColumn(alone=WithoutParent.DEFAULT, default="nobody")


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.fixture
def second(crm: Crm, company: Company, tmp_path: Path) -> Crm:
    folder = tmp_path / "second"
    folder.mkdir()
    return Crm(company, folder, name="SECOND")


@pytest.fixture
def child(second: Crm) -> Callable[..., Process]:
    """Give a maker of processes that write the parent's `column` beside their own customer number."""

    def made(column: str = "Name", how: ParentColumn | None = None, **field: Any) -> Process:
        (line,) = process_into(second, process=f"SHAPE{Process.objects.count()}").newest_version.plan.lines
        name = FieldMap(target="name", column_type=ColumnType.PARENT_COLUMN, value=column, parent=how, **field)
        lines = (replace(line, fields=(line.fields[0], name)),)
        made = process_into(second, process=f"CHILD{Process.objects.count()}", lines=lines)
        made.default_file = file_of(second.connection.company, "00009,Own\n")
        made.save()
        return made

    return made


def test_at_a_documents_stage_it_is_the_documents_first_row(
    crm: Crm, second: Crm, child: Callable[..., Process]
) -> None:
    each = run_integration("EACH", Stage.DOCUMENT_POST_SUCCESS, child())
    run = performed(process_into(crm, tasks=(each,), key_fields=("CustomerNumber",)), "1,Anna\n1,Later\n2,Ben\n")
    assert run.status == RunStatus.COMPLETED, run.reason
    assert [its.parent_document for its in children_of(run)] == [{"Name": "Anna"}, {"Name": "Ben"}]
    assert second.customers() == [("00009", "Ben")], "each child read its own source"


def test_an_additional_column_of_the_parent_counts_as_its_own(
    crm: Crm, second: Crm, child: Callable[..., Process]
) -> None:
    region = FieldMap(target="Region", column_type=ColumnType.CONSTANT, value="North")
    each = run_integration("EACH", Stage.DOCUMENT_PRE, child("Region"))
    performed(process_into(crm, tasks=(each,), additional=(region,)), "1,Anna\n")
    assert second.customers() == [("00009", "North")]


def test_with_data_from_the_parent_behind_everything_it_is_each_rows_own(
    crm: Crm, second: Crm, child: Callable[..., Process]
) -> None:
    behind = run_integration("ALL", Stage.INTEGRATION_POST_SUCCESS, child(), parent_data=ParentData.ALL)
    run = performed(process_into(crm, tasks=(behind,)), "1,Anna\n2,Ben\n")
    assert run.status == RunStatus.COMPLETED, run.reason
    assert second.customers() == [("1", "Anna"), ("2", "Ben")]


def test_a_resumed_child_maps_what_its_row_keeps(second: Crm, child: Callable[..., Process]) -> None:
    process = child()
    held_run(process, owner="", parent_document={"Name": "Anna"}, source_file=process.default_file)

    assert perform_next()

    assert second.customers() == [("00009", "Anna")]


def test_a_child_that_is_run_again_maps_the_same(crm: Crm, second: Crm, child: Callable[..., Process]) -> None:
    each = run_integration("EACH", Stage.DOCUMENT_POST_SUCCESS, child())
    run = performed(process_into(crm, tasks=(each,)), "1,Anna\n")
    (its,) = children_of(run)
    second._do("DELETE FROM customers")

    again = rerun(its, by=None)
    assert perform_next()

    assert fresh(again).status == RunStatus.COMPLETED
    assert again.parent_document == {"Name": "Anna"} and second.customers() == [("00009", "Anna")]


@pytest.mark.parametrize("stage", [Stage.INTEGRATION_POST_SUCCESS, None])
def test_where_no_document_started_it_it_fails_before_it_reads_anything(
    crm: Crm, second: Crm, child: Callable[..., Process], stage: Stage | None
) -> None:
    process = child()
    if stage is None:
        run = request_run(process, by=None)
        assert perform_next()
        run = fresh(run)
    else:
        above = performed(process_into(crm, tasks=(run_integration("X", stage, process),)), "1,Anna\n")
        assert above.status == RunStatus.COMPLETED_WITH_ERRORS
        (run,) = children_of(above)
    assert run.status == RunStatus.FAILED and run.source_documents is None and second.customers() == []
    assert run.reason.startswith("name takes Name of the parent's document, and this run has none with that column.")


def test_a_default_stands_where_there_is_no_parent(second: Crm, child: Callable[..., Process]) -> None:
    run: Run = request_run(child(how=OR_NOBODY), by=None)
    assert perform_next()
    assert fresh(run).status == RunStatus.COMPLETED and second.customers() == [("00009", "nobody")]


@pytest.mark.parametrize(
    ("column", "how", "sent", "said"),
    [
        ("Gone", OR_NOBODY, [("1", "nobody")], ""),
        ("Gone", None, [], "name takes Gone of the parent's document, and this run has none with that column."),
    ],
)
def test_rows_of_a_parent_without_the_column_have_the_default_or_none(
    crm: Crm,
    second: Crm,
    child: Callable[..., Process],
    column: str,
    how: ParentColumn | None,
    sent: list[Any],
    said: str,
) -> None:
    behind = run_integration("ALL", Stage.INTEGRATION_POST_SUCCESS, child(column, how), parent_data=ParentData.ALL)
    (its,) = children_of(performed(process_into(crm, tasks=(behind,)), "1,Anna\n"))
    assert its.reason.startswith(said) and second.customers() == sent


def test_a_value_that_does_not_fit_the_field_fails_the_childs_documents(
    crm: Crm, child: Callable[..., Process]
) -> None:
    each = run_integration("EACH", Stage.DOCUMENT_PRE, child(type=ValueType.INTEGER))
    (its,) = children_of(performed(process_into(crm, tasks=(each,)), "1,Anna\n"))
    assert its.documents_failed == 1
    assert DocumentOutcome.objects.get(run=its).sentence.startswith("“Anna” in Name of row 1 is not a whole number")


def test_a_preview_has_no_parent_and_shows_what_there_is_without(child: Callable[..., Process]) -> None:
    for process, values in (
        (child(how=OR_NOBODY), {"customer_number": "00009", "name": "nobody"}),
        (child(), {"customer_number": "00009"}),
    ):
        (document,) = preview_of(process, process.drafted).documents
        assert document.problem is None and document.lines[0][0].values == values
