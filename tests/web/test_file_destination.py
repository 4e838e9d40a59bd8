"""Files as a destination, on the Target tab: what is asked, what is refused, and what is missing, in words."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope
from pysequoia import Tsk

from accounts.models import Company, User
from integrations.engine.plan import WriteMode
from integrations.forms.differences import differences
from integrations.forms.problems import problems_of
from integrations.forms.surroundings import surroundings_of
from integrations.models import Connection, GlobalVariable, Process
from tests import factories
from tests.web.defining import said, save

pytestmark = pytest.mark.django_db


@pytest.fixture
def exchange(company: Company, settings: Any, tmp_path: Path) -> Connection:
    settings.FOLDERS = [tmp_path]
    (tmp_path / "out").mkdir()
    return factories.make_connection(company, "Exchange", "folder", path=str(tmp_path / "out"))


@pytest.fixture
def process(company: Company, exchange: Connection) -> Process:
    return factories.make_process(company, factories.make_plan(factories.make_connection(company)))


@pytest.fixture
def designer(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


def problems(process: Process) -> list[str]:
    with scope(company=process.company):
        return [problem.sentence for problem in problems_of(process.drafted, surroundings_of(process))]


def test_a_line_of_a_file_only_adds_and_finds_nothing(designer: Client, process: Process, exchange: Connection) -> None:
    save(designer, process, "target", destination=f"folder_file@{exchange.public_id}", **{"lines-0-target": "a.csv"})

    (line,) = process.drafted.lines
    assert (line.mode, line.keys, line.target) == (WriteMode.INSERT, (), "a.csv")
    assert problems(process) == []
    page = designer.get(reverse("process-target", args=[process.public_id])).content.decode()
    assert "File name" in page and "Write mode" not in page and "Key targets" not in page


def test_a_download_needs_no_connection(designer: Client, process: Process) -> None:
    save(designer, process, "target", destination="download@", **{"lines-0-target": "a.csv"})

    assert process.drafted.destination.kind == "download" and problems(process) == []
    assert "File to download" in designer.get(reverse("processes")).content.decode()


def test_what_keeps_a_file_from_being_made_is_listed(designer: Client, process: Process, exchange: Connection) -> None:
    save(designer, process, "target", destination=f"folder_file@{exchange.public_id}", **{"lines-0-target": "../a"})
    save(designer, process, "target", **{"option-format": "xlsx", "option-existing": "append"})

    found = " ".join(problems(process))
    assert "holds “/”" in found and "appended to a workbook" in found


def test_a_name_of_an_unknown_variable_is_a_problem(designer: Client, process: Process) -> None:
    save(designer, process, "target", destination="download@", **{"lines-0-target": "[GBL_NOWHERE].csv"})

    assert any("GBL_NOWHERE, which is no global variable" in sentence for sentence in problems(process))


def test_a_secure_variable_is_kept_out_of_a_name(designer: Client, process: Process, company: Company) -> None:
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_TOKEN", value="", is_secure=True)

    save(designer, process, "target", destination="download@", **{"lines-0-target": "[GBL_TOKEN].csv"})

    assert any("GBL_TOKEN in its target, which everyone sees" in sentence for sentence in problems(process))


def test_a_public_key_is_judged_when_it_is_saved_and_told_afterwards(designer: Client, process: Process) -> None:
    key = Tsk.generate("Ann <ann@harwood.test>")
    save(designer, process, "target", destination="download@", **{"lines-0-target": "a.csv"})
    before = process.drafted

    refused = save(designer, process, "target", **{"option-recipients": str(key)})
    save(designer, process, "target", **{"option-recipients": str(key.extract_certificate())})

    assert refused.status_code == 422 and "private key" in refused.content.decode()
    page = designer.get(reverse("process-target", args=[process.public_id])).content.decode()
    assert "Ann &lt;ann@harwood.test&gt;" in page and "valid" in page
    changes = differences(before, process.drafted)
    assert "Destination: recipients changed" in changes


def test_going_back_to_a_database_asks_for_the_way_of_writing_again(
    designer: Client, process: Process, exchange: Connection
) -> None:
    database = process.drafted.destination
    save(designer, process, "target", destination="download@", **{"lines-0-target": "a.csv"})

    response = save(designer, process, "target", destination=f"{database.kind}@{database.connection}")

    assert process.drafted.destination.kind == "sql" and response.status_code == 200 and said(response)
    page = designer.get(reverse("process-target", args=[process.public_id])).content.decode()
    assert "Write mode" in page
