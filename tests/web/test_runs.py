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
from integrations.engine.batch import Bucket
from integrations.models import DocumentOutcome, LedgerSegment, Process, Run, RunStatus
from integrations.models.run import Trigger
from integrations.runs.journal import make_filter, pack_keys
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
    assert first.context["lines"] == [] and first.context["page"].sought == (newest.number - 2, newest.number)
    assert f"Among runs {newest.number - 2} to {newest.number} none fits" in first.content.decode()
    second = client.get(f"/runs/{first.context['page'].older}")
    assert [line.run for line in second.context["lines"]] == [old]
    assert second.context["page"].newer == f"?q=monday&after={old.number}"
    assert listed(client, second.context["page"].newer) == []


def test_every_run_is_on_exactly_one_page(client: Client, vera: User, process: Process) -> None:
    runs = [ended(process).number for _ in range(2 * A_PAGE + 3)]
    client.force_login(vera)
    seen, query = [], ""
    for _ in range(3):
        response = client.get(f"/runs/{query}")
        seen += [line.run.number for line in response.context["lines"]]
        query = response.context["page"].older
    assert seen == sorted(runs, reverse=True) and query == ""


def test_one_can_page_back_to_where_one_was(client: Client, vera: User, process: Process) -> None:
    for _ in range(2 * A_PAGE):
        ended(process)
    client.force_login(vera)
    first = client.get("/runs/")
    second = client.get(f"/runs/{first.context['page'].older}")
    assert listed(client, second.context["page"].newer) == [line.run.number for line in first.context["lines"]]


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


# ---- business keys ----------------------------------------------------------------------------------------------


def account(run: Run, keys: dict[str, Bucket], *, number: int = 1) -> None:
    """Write a segment of `run` as a worker does, and a row for each document that failed."""
    owned = {"company": run.company, "run": run}
    LedgerSegment.objects.create(
        **owned,
        number=number,
        epoch=1,
        first_document=1,
        last_document=len(keys),
        documents={},
        rows={},
        lines=[],
        keys=pack_keys(list(keys), list(keys.values())),
        key_filter=make_filter(keys),
    )
    for place, (key, bucket) in enumerate(keys.items(), 1):
        if bucket is Bucket.FAILED:
            said = {"sentence": "Refused.", "cause": "Refused", "code": "refused", "rows": [], "records": []}
            DocumentOutcome.objects.create(**owned, document=place, key=key, bucket="failed", **said)


def test_a_business_key_finds_the_runs_that_delivered_it_and_those_where_it_failed(
    client: Client, vera: User, process: Process, company: Company
) -> None:
    delivered, failed, other = ended(process), ended(process, RunStatus.COMPLETED_WITH_ERRORS), ended(process)
    with scope(company=company):
        account(delivered, {"C-1001": Bucket.CREATED, "C-1002": Bucket.CREATED})
        account(failed, {"C-1001": Bucket.FAILED})
        account(other, {f"C-{number}": Bucket.UPDATED for number in range(5_000, 5_400)})
    client.force_login(vera)
    assert listed(client, "?q=C-1001") == [failed.number, delivered.number]
    assert listed(client, "?q=C-1001&status=completed") == [delivered.number]
    assert listed(client, "?q=C-5399") == [other.number]
    assert listed(client, "?q=C-100") == [], "a key is found exactly, or not at all"


def test_a_key_is_not_found_in_another_company(
    client: Client, mallory: User, process: Process, company: Company
) -> None:
    with scope(company=company):
        account(ended(process), {"C-1001": Bucket.FAILED})
    client.force_login(mallory)
    assert listed(client, "?q=C-1001") == []


def test_a_key_that_every_run_has_is_found_a_few_at_a_time_and_all_in_the_end(
    client: Client, vera: User, process: Process, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.runs.find.RUNS_FOUND", 3)
    monkeypatch.setattr("integrations.runs.find.SEGMENTS_AT_ONCE", 2)
    runs = [ended(process) for _ in range(9)]
    with scope(company=company):
        for run in runs:
            account(run, {"C-1001": Bucket.UNCHANGED})
    client.force_login(vera)
    seen, query = [], "?q=C-1001"
    while query:
        response = client.get(f"/runs/{query}")
        seen += [line.run.number for line in response.context["lines"]]
        query = response.context["page"].older
    assert seen == [run.number for run in reversed(runs)]


def test_where_a_key_failed_before_the_runs_that_are_looked_at_is_named(
    client: Client, vera: User, process: Process, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ended(process)
    with scope(company=company):
        account(old, {"C-1001": Bucket.FAILED})
    for _ in range(4):
        ended(process)
    monkeypatch.setattr("integrations.web.runs.SOUGHT_AT_ONCE", 3)
    client.force_login(vera)
    page = client.get("/runs/?q=C-1001")
    assert page.context["lines"] == [] and page.context["older_with_key"] == [old.number]
    assert f"/runs/{old.number}/errors/" in page.content.decode()


# ---- order, columns, views --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["name", "integration", "started", "took", "ok", "failed", "total"])
@pytest.mark.parametrize("falling", [True, False])
def test_a_sorted_list_has_every_run_once_on_its_pages_and_back(
    client: Client, vera: User, process: Process, monkeypatch: pytest.MonkeyPatch, sort: str, falling: bool
) -> None:
    monkeypatch.setattr("integrations.web.runs.A_PAGE", 3)
    now = timezone.now()
    for place, failed in enumerate((3, 0, 7, 3, 3, 1, 0, 5)):
        counts = {"source_documents": failed, "documents_failed": failed, "documents_created": failed % 3}
        times = {
            "started_at": now - timedelta(minutes=place, seconds=failed),
            "ended_at": now - timedelta(minutes=place),
        }
        make_run(process, name=f"Run {9 - failed}", status=RunStatus.COMPLETED, **counts, **times)
    running = held_run(process)
    client.force_login(vera)
    query = f"?sort={'-' if falling else ''}{sort}"
    pages: list[list[Run]] = []
    while query:
        response = client.get(f"/runs/{query}")
        pages.append([line.run for line in response.context["lines"]])
        query, back = response.context["page"].older, response.context["page"].newer
    seen = [run for page in pages for run in page]
    assert len(seen) == len({run.number for run in seen}) == 9 and running in seen
    values = {
        "name": lambda run: run.name,
        "integration": lambda run: "",
        "started": lambda run: 0,
        "took": lambda run: (run.ended_at - run.started_at).total_seconds() if run.ended_at else -1,
        "ok": lambda run: run.documents_created,
        "failed": lambda run: run.documents_failed,
        "total": lambda run: run.source_documents or 0,
    }
    places = [(values[sort](run), run.number) for run in seen]
    assert places == sorted(places, reverse=falling)
    assert listed(client, back) == [run.number for run in pages[-2]]


def test_a_list_is_sorted_so_many_runs_at_once_and_says_so(
    client: Client, vera: User, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.web.runs.SOUGHT_AT_ONCE", 2)
    first, second, third = (ended(process, documents_failed=failed) for failed in (9, 1, 5))
    client.force_login(vera)
    shown = client.get("/runs/?sort=-failed")
    assert [line.run for line in shown.context["lines"]] == [third, second]
    assert f"Sorted are runs {second.number} to {third.number}." in shown.content.decode()
    assert listed(client, shown.context["page"].further) == [first.number]


def heads(response: Any) -> list[str]:
    head = response.content.decode().partition("<thead>")[2].partition("</thead>")[0]
    return [re.sub(r"<[^>]+>", "", part).strip() for part in re.findall(r"<th .*?</th>", head, re.DOTALL)]


def test_the_columns_that_a_person_chose_are_remembered_for_them_alone(
    client: Client, vera: User, omar: User, process: Process
) -> None:
    ended(process)
    client.force_login(vera)
    usual = heads(client.get("/runs/"))
    sent = {"column": ["took", "status", "nonsense"], "query": "status=completed&columns=by"}
    saved = client.post("/runs/columns/", sent, follow=True)
    assert saved.redirect_chain == [("/runs/?status=completed", 302)]
    assert heads(saved) == heads(client.get("/runs/")) == ["Status", "Run name", "Duration"]
    assert heads(client.get("/runs/?columns=failed,file")) == ["Run name", "Failed", "Source file"], "a link decides"
    client.force_login(omar)
    assert heads(client.get("/runs/")) == usual


def test_a_view_is_saved_opened_by_its_link_and_by_default_and_deleted(
    client: Client, vera: User, omar: User, process: Process
) -> None:
    failed = ended(process, RunStatus.FAILED)
    done = ended(process)
    client.force_login(vera)
    shown = client.get("/runs/?status=failed&sort=-failed&columns=status,failed&before=99999&run=1")
    answers = {"name": "  What  failed ", "query": shown.context["view_query"], "default": "on"}
    client.post("/runs/views/save/", answers)
    (view,) = client.get("/runs/?view=all").context["views"]
    assert (view.name, view.is_default) == ("What failed", True)
    assert "before" not in view.query and "run=" not in view.query
    opened = client.get("/runs/", follow=True)
    assert [line.run for line in opened.context["lines"]] == [failed] and heads(opened)[-1] == "Failed"
    assert listed(client, "?view=all") == [done.number, failed.number]

    client.force_login(omar)
    assert listed(client, f"?{view.query}") == [failed.number], "the link can be sent"
    assert listed(client) == [done.number, failed.number], "and the view is nobody else's"
    for do in ("delete", "open-with"):
        refused = client.post("/runs/views/change/", {"view": str(view.public_id), "do": do}, follow=True)
        assert "no longer here" in refused.content.decode()

    client.force_login(vera)
    client.post("/runs/views/change/", {"view": str(view.public_id), "do": "open-without"})
    assert listed(client) == [done.number, failed.number]
    client.post("/runs/views/change/", {"view": str(view.public_id), "do": "delete"})
    assert client.get("/runs/").context["views"] == []


@pytest.mark.parametrize(("name", "said"), [(" ", "needs a name"), ("n" * 81, "has 81 characters; it may have 80")])
def test_a_view_without_a_fitting_name_is_refused(client: Client, vera: User, name: str, said: str) -> None:
    client.force_login(vera)
    refused = client.post("/runs/views/save/", {"name": name, "query": "status=failed"}, follow=True)
    assert said in refused.content.decode() and refused.redirect_chain == [("/runs/?status=failed", 302)]
    assert refused.context["views"] == []


def test_a_child_is_told_from_a_run_of_its_own(client: Client, vera: User, process: Process) -> None:
    parent = ended(process)
    child = ended(process, parent=parent, trigger=Trigger.PARENT)
    client.force_login(vera)
    assert listed(client, "?kind=child") == [child.number]
    assert listed(client, "?kind=integration&trigger=manual") == [parent.number]


def test_runs_can_open_with_a_view_of_every_run(client: Client, vera: User, process: Process) -> None:
    run = ended(process)
    client.force_login(vera)
    client.post("/runs/views/save/", {"name": "All", "query": "", "default": "on"})
    response = client.get("/runs/", follow=True)
    assert [line.run for line in response.context["lines"]] == [run]
