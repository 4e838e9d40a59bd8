"""Versions as people read them: each as text, two of them side by side, and the way from a run to the one it ran."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, User
from integrations.engine.plan import Stage, Task, TaskType, Variable
from integrations.exchange.compare import Cell, Row, side_by_side
from integrations.models import Process, ProcessVersion, Run
from integrations.models.vault import vault_of
from tests import factories

pytestmark = pytest.mark.django_db

SCRIPT = "// Who left stays out.\nvar left = this._Status;\nreturn left !== 'Inactive';\n"


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    """Rows are read back in the company of the test."""
    with scope(company=company):
        yield


@pytest.fixture
def process(client: Client, vera: User, company: Company) -> Process:
    """Two versions, of which the second changed a line of a script; a viewer is signed in."""
    client.force_login(vera)
    plan = factories.make_plan(factories.make_connection(company))
    first = replace(plan, lines=(replace(plan.lines[0], restriction=SCRIPT),))
    second = replace(plan, lines=(replace(plan.lines[0], restriction=SCRIPT.replace("Inactive", "Gone")),))
    process = factories.make_process(company, first)
    ProcessVersion.objects.create(company=company, process=process, number=2, plan_json=second.to_json())
    Process.objects.filter(pk=process.pk).update(draft=replace(second, key_fields=()).to_json())
    return process


def test_a_version_is_read_part_by_part_with_things_by_name(client: Client, process: Process) -> None:
    page = client.get(reverse("process-version", args=[process.public_id, 1]))

    parts = {part.title: part.text for part in page.context["parts"]}
    assert list(parts) == ["Source", "Target", "Key fields", "Line Customer"]
    assert "connection: Demo CRM" in parts["Target"]
    assert "restriction: |\n  // Who left stays out.\n" in parts["Line Customer"]


def test_a_script_is_compared_line_by_line(client: Client, process: Process) -> None:
    page = client.get(reverse("process-compare", args=[process.public_id]), {"old": "1", "new": "2"})

    assert page.context["told"] == ["Line Customer: restriction changed"]
    (changed,) = [row for row in page.context["rows"] if not row.is_same and not row.left_out]
    assert (changed.old.changed, changed.new.changed) == ("Inactiv", "Gon")
    assert changed.new.before.endswith("return left !== '")
    assert "<del>Inactiv</del>" in page.content.decode()


def test_the_draft_is_compared_with_the_version_in_use_unless_others_are_asked_for(
    client: Client, process: Process
) -> None:
    page = client.get(reverse("process-compare", args=[process.public_id]))

    assert (page.context["old"].title, page.context["new"].title) == ("Version 2", "Draft")
    assert page.context["told"] == ["Key fields: none instead of CustomerNumber"]


@pytest.mark.parametrize("asked", [{"old": "3"}, {"old": "x"}, {"new": "99999999999999999999"}, {"new": "0"}])
def test_a_version_that_is_not_there_is_not_found(client: Client, process: Process, asked: dict[str, str]) -> None:
    assert client.get(reverse("process-compare", args=[process.public_id]), asked).status_code == 404


def test_a_secure_value_is_on_neither_side(client: Client, company: Company, process: Process) -> None:
    sealed = vault_of(company).sealed("GBL_KEY", "only-ours-to-know")
    plan = replace(process.drafted, variables=(Variable(name="GBL_KEY", value=sealed, secure=True),))
    Process.objects.filter(pk=process.pk).update(draft=plan.to_json())

    page = client.get(reverse("process-compare", args=[process.public_id])).content.decode()

    assert "GBL_KEY" in page and sealed not in page and sealed.split("~")[3] not in page


def test_a_run_leads_to_the_version_it_ran(client: Client, process: Process) -> None:
    version = process.versions.get(number=1)
    Run.objects.create(company=process.company, number=1, process=process, version=version, name="Nightly")

    summary = client.get(reverse("run-summary", args=[1])).content.decode()

    link = reverse("process-version", args=[process.public_id, 1])
    assert f'<a href="{link}">version 1</a>' in summary
    assert "Nightly" in client.get(link).content.decode()


def test_a_restored_version_becomes_a_new_one(client: Client, dora: User, process: Process) -> None:
    client.force_login(dora)
    client.post(reverse("process-version-restore", args=[process.public_id, 1]), {"revision": process.revision})
    process.refresh_from_db()

    assert process.drafted == process.versions.get(number=1).plan
    assert list(process.versions.values_list("number", flat=True).order_by("number")) == [1, 2]


def test_lines_that_are_the_same_far_from_a_change_are_counted() -> None:
    old = [f"line {number}" for number in range(1, 21)]
    new = [*old[:9], "another", "and one more", *old[10:]]

    rows = side_by_side("\n".join(old), "\n".join(new))

    assert rows[0] == Row(left_out=6)
    assert rows[4] == Row(Cell(10, "", "line 10"), Cell(10, "", "another"))
    assert rows[5] == Row(None, Cell(11, "", "and one more"))
    assert rows[-1] == Row(left_out=7)
    assert side_by_side("same\n", "same\n") == [Row(Cell(1, "same"), Cell(1, "same"), is_same=True)]


def test_a_task_is_a_part_of_its_own(client: Client, process: Process) -> None:
    task = Task(name="TELL", type=TaskType.RUN_SCRIPT, stage=Stage.INTEGRATION_PRE, script="return true;")
    version = process.versions.get(number=2)
    ProcessVersion.objects.filter(pk=version.pk).update(plan_json=replace(version.plan, tasks=(task,)).to_json())

    page = client.get(reverse("process-version", args=[process.public_id, 2]))

    assert page.context["parts"][-1].title == "Task TELL"
