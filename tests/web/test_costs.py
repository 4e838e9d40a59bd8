"""What the lists cost: as many questions to the database for many as for one."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_scopes import scope

from accounts.models import Company, User
from integrations.models import Process, RunStatus
from integrations.runs.claims import claim_next
from tests.runs.making import make_run, process_of

pytestmark = pytest.mark.django_db


def questions(client: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


def make_more(company: Company, numbers: range) -> None:
    for number in numbers:
        process = process_of(company, f"PROCESS_{number}")
        make_run(process, status=RunStatus.COMPLETED, ended_at=timezone.now())
        make_run(process)


@pytest.mark.parametrize(
    "path", ["/runs/", "/runs/?q=process", "/runs/?period=day", "/processes/", "/connections/", "/run/"]
)
def test_a_list_asks_as_often_for_many_as_for_one(client: Client, ada: User, company: Company, path: str) -> None:
    client.force_login(ada)
    make_more(company, range(1))
    client.get(path)
    few = questions(client, path)
    make_more(company, range(1, 12))
    assert questions(client, path) == few


EDITOR = ["", "source/", "target/", "options/", "tasks/", "variables/", "versions/", "preview/"]
EDITOR += [f"integration/1/{part}/" for part in ("grouping", "mapping", "additional", "restriction")]


@pytest.mark.parametrize("page", EDITOR)
def test_a_page_of_the_editor_asks_as_often_for_many_lines_as_for_one(
    client: Client, ada: User, company: Company, page: str
) -> None:
    client.force_login(ada)
    process = process_of(company, "LINES")
    path = f"/processes/{process.public_id}/{page}"
    client.get(path)
    few = questions(client, path)
    (line,) = process.drafted.lines
    lines = tuple(replace(line, name=f"Line {number}") for number in range(30))
    with scope(company=company):
        Process.objects.filter(pk=process.pk).update(draft=replace(process.drafted, lines=lines).to_json())
    assert questions(client, path) == few


def test_a_claim_asks_as_often_behind_a_long_line_as_behind_none(company: Company) -> None:
    process = process_of(company)
    make_run(process)
    with CaptureQueriesContext(connection) as few:
        assert claim_next("one")
    for _ in range(30):
        make_run(process)
    claim_next("one")
    with CaptureQueriesContext(connection) as many:
        assert claim_next("one") is None
    assert len(many) <= len(few)
