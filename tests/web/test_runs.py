"""The list of runs: what stands in it, how it is filtered and paged, and what it costs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_scopes import scope
from pytest_django import DjangoAssertNumQueries

from accounts.models import Company, User
from integrations.models import Process, Run, RunStatus
from integrations.web.runs import A_PAGE
from tests.runs.making import held_run, make_run, process_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def process(company: Company) -> Process:
    return process_of(company)


def ended(process: Process, status: str = RunStatus.COMPLETED, **fields: Any) -> Run:
    return make_run(process, status=status, ended_at=timezone.now(), **fields)


def listed(client: Client, query: str = "") -> list[int]:
    response = client.get(f"/runs/{query}")
    assert response.status_code == 200
    return [line.run.number for line in response.context["lines"]]


def test_the_newest_run_stands_first(client: Client, vera: User, process: Process) -> None:
    first, second = ended(process), held_run(process)
    client.force_login(vera)
    assert listed(client) == [second.number, first.number]


def test_ok_failed_and_total_are_what_the_foot_of_the_list_says(client: Client, vera: User, process: Process) -> None:
    figures = {"created": 1, "updated": 2, "unchanged": 4, "restricted": 8, "failed": 16, "unknown": 32, "held": 64}
    ended(process, source_documents=127, **{f"documents_{bucket}": count for bucket, count in figures.items()})
    client.force_login(vera)
    (line,) = client.get("/runs/").context["lines"]
    assert (line.ok, line.failed, line.total) == (1 + 2 + 4, 16 + 32 + 64, 127)


@pytest.mark.parametrize(
    ("filter_", "status"),
    [
        ("in-progress", RunStatus.QUEUED),
        ("completed", RunStatus.COMPLETED),
        ("with-errors", RunStatus.COMPLETED_WITH_ERRORS),
        ("failed", RunStatus.FAILED),
        ("cancelled", RunStatus.SKIPPED),
    ],
)
def test_a_status_filter_shows_that_status_only(
    client: Client, vera: User, process: Process, filter_: str, status: str
) -> None:
    runs = {
        one: make_run(process) if one == RunStatus.QUEUED else ended(process, one)
        for one in RunStatus
        if one != "in_progress"
    }
    client.force_login(vera)
    shown = listed(client, f"?status={filter_}")
    assert runs[RunStatus(status)].number in shown
    assert len(shown) == (2 if filter_ == "cancelled" else 1)


def test_a_search_finds_names_numbers_and_reasons(client: Client, vera: User, process: Process) -> None:
    named = ended(process, name="Monday customers")
    reasoned = ended(process, RunStatus.FAILED, reason="The source has no column “Naem”.")
    client.force_login(vera)
    assert listed(client, "?q=monday") == [named.number]
    assert listed(client, "?q=Naem") == [reasoned.number]
    assert named.number in listed(client, f"?q={named.number}")


def test_filters_go_together_and_live_in_the_address(
    client: Client, vera: User, process: Process, company: Company
) -> None:
    other = process_of(company, "ORDERS_TO_CRM")
    wanted = ended(process, RunStatus.FAILED)
    ended(process), ended(other, RunStatus.FAILED)
    ended(process, RunStatus.FAILED, queued_at=timezone.now() - timedelta(days=3))
    client.force_login(vera)
    query = f"?status=failed&process={process.public_id}&period=day"
    assert listed(client, query) == [wanted.number]
    pills = {pill.label: pill for pill in client.get(f"/runs/{query}").context["pills"]}
    assert pills["Failed"].current and pills["Failed"].count == "1"
    assert f"process={process.public_id}" in pills["Completed"].url, "a pill keeps the other filters"


def test_the_process_of_a_filter_is_known_by_its_name_even_in_the_trash(
    client: Client, vera: User, process: Process, company: Company
) -> None:
    with scope(company=company):
        Process.objects.update(trashed_at=timezone.now())
    client.force_login(vera)
    chosen = {item.key: item.chosen for item in client.get(f"/runs/?process={process.public_id}").context["filters"]}
    assert chosen["process"] == "CUSTOMERS_TO_CRM"


def test_the_runs_of_a_process_are_reached_from_its_details(client: Client, vera: User, process: Process) -> None:
    run = ended(process)
    client.force_login(vera)
    details = client.get(f"/processes/{process.public_id}/").content.decode()
    (query,) = re.findall(r'href="/runs/(\?process=[^"]+)"', details)
    assert listed(client, query) == [run.number]


def test_a_search_goes_on_among_older_runs(
    client: Client, vera: User, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.web.runs.SOUGHT_AT_ONCE", 3)
    old = ended(process, name="Monday customers")
    newest = [ended(process) for _ in range(4)][-1]
    client.force_login(vera)
    first = client.get("/runs/?q=monday")
    assert first.context["lines"] == [] and first.context["sought"] == (newest.number - 2, newest.number)
    assert f"Among runs {newest.number - 2} to {newest.number} none fits" in first.content.decode()
    second = client.get(f"/runs/{first.context['older']}")
    assert [line.run for line in second.context["lines"]] == [old]
    assert second.context["newer"] == f"?q=monday&after={old.number}"
    assert listed(client, second.context["newer"]) == []


def test_every_run_is_on_exactly_one_page(client: Client, vera: User, process: Process) -> None:
    runs = [ended(process).number for _ in range(2 * A_PAGE + 3)]
    client.force_login(vera)
    seen, query = [], ""
    for _ in range(3):
        response = client.get(f"/runs/{query}")
        seen += [line.run.number for line in response.context["lines"]]
        query = response.context["older"]
    assert seen == sorted(runs, reverse=True) and query == ""


def test_one_can_page_back_to_where_one_was(client: Client, vera: User, process: Process) -> None:
    for _ in range(2 * A_PAGE):
        ended(process)
    client.force_login(vera)
    first = client.get("/runs/")
    second = client.get(f"/runs/{first.context['older']}")
    assert listed(client, second.context["newer"]) == [line.run.number for line in first.context["lines"]]


def test_an_address_that_makes_no_sense_shows_the_list(client: Client, vera: User, process: Process) -> None:
    run = ended(process)
    client.force_login(vera)
    for query in ("?before=abc", "?after=-1", "?status=nonsense", f"?before={'9' * 40}"):
        assert listed(client, query) == [run.number], query


def test_a_page_of_runs_costs_the_same_whether_one_or_fifty(
    client: Client, vera: User, process: Process, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client.force_login(vera)
    ended(process)
    with django_assert_num_queries(30, exact=False) as few:
        client.get("/runs/")
    for _ in range(A_PAGE):
        ended(process, RunStatus.COMPLETED_WITH_ERRORS)
    with django_assert_num_queries(30, exact=False) as many:
        client.get("/runs/")
    assert len(many.captured_queries) == len(few.captured_queries)


def test_nothing_of_another_company_is_listed(client: Client, mallory: User, process: Process) -> None:
    ended(process)
    client.force_login(mallory)
    assert listed(client) == []
    with scope(company=process.company):
        assert Run.objects.count() == 1


def test_only_the_table_is_sent_to_the_live_list(client: Client, vera: User, process: Process) -> None:
    ended(process)
    client.force_login(vera)
    part = client.get("/runs/", headers={"HX-Request": "true", "HX-Target": "runs"}).content.decode()
    assert "<table" in part and "<html" not in part


def test_an_empty_list_offers_what_can_run_to_whoever_may_run_it(
    client: Client, vera: User, omar: User, process: Process
) -> None:
    offer = f'href="/run/{process.public_id}/"'
    client.force_login(omar)
    assert offer in client.get("/runs/").content.decode()
    assert offer not in client.get("/runs/?q=nothing").content.decode()
    client.force_login(vera)
    assert offer not in client.get("/runs/").content.decode()
