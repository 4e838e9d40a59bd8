"""The list of processes: groups, owners, copies, and the way back from the trash."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_scopes import scope

from accounts.models import AuditEntry, Company, Membership, User
from integrations.models import Process
from tests import factories
from tests.web.defining import said, save

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    """Rows are read back in the company of the test."""
    with scope(company=company):
        yield


@pytest.fixture
def process(client: Client, dora: User, company: Company) -> Process:
    """A process with a version, its designer signed in."""
    client.force_login(dora)
    return factories.make_process(company, factories.make_plan(factories.make_connection(company)))


def test_a_process_gets_a_group_and_an_owner(client: Client, process: Process, omar: User) -> None:
    save(client, process, "details", group="Nightly", owner=str(omar.pk))

    assert (process.group, process.owner) == ("Nightly", omar)
    entry = AuditEntry.objects.get(action="process.details_saved")
    assert ("owned by", "", "Omar") in entry.changes and ("group", "", "Nightly") in entry.changes


def test_only_a_member_becomes_owner(client: Client, process: Process, mallory: User) -> None:
    response = save(client, process, "details", owner=str(mallory.pk))

    assert "the choice is no longer offered" in str(response.context["form"].errors["owner"])
    assert process.owner is None


def test_an_owner_who_left_the_company_stays_until_there_is_another(
    client: Client, process: Process, omar: User
) -> None:
    Process.objects.filter(pk=process.pk).update(owner=omar)
    Membership.objects.filter(user=omar).delete()

    save(client, process, "details", description="Told anew")

    assert (process.owner, process.description) == (omar, "Told anew")


def test_the_list_is_in_groups_and_shows_one_alone(client: Client, process: Process, company: Company) -> None:
    for name, group in (("A", "Shop"), ("Z", "CRM"), ("M", "Shop")):
        made = factories.make_process(company, process.drafted, name=name)
        Process.objects.filter(pk=made.pk).update(group=group)

    def listed(**asked: str) -> list[str]:
        return [row.process.name for row in client.get(reverse("processes"), asked).context["rows"]]

    assert listed() == ["Z", "A", "M", "CUSTOMERS_TO_CRM"], "those without a group come last"
    assert listed(group="Shop") == ["A", "M"]
    assert listed(group="Shop", q="m") == ["M"]
    assert listed(group="No such group") == listed()
    page = client.get(reverse("processes")).content.decode()
    assert page.index("No group") > page.index(">Shop</th>") > page.index(">CRM</th>")


def test_a_copy_is_a_draft_of_a_free_name(client: Client, process: Process, omar: User) -> None:
    Process.objects.filter(pk=process.pk).update(group="Shop", owner=omar, description="Of the shop")

    for _ in range(2):
        response = client.post(reverse("process-copy", args=[process.public_id]), follow=True)

    assert "CUSTOMERS_TO_CRM copy 2 is a copy of CUSTOMERS_TO_CRM, as a draft" in said(response)
    first, second = Process.objects.filter(name__contains="copy")
    assert (first.name, second.name) == ("CUSTOMERS_TO_CRM copy", "CUSTOMERS_TO_CRM copy 2")
    assert (first.group, first.owner, first.description) == ("Shop", omar, "Of the shop")
    assert first.drafted.process == first.name and first.drafted.lines == process.drafted.lines
    assert first.newest_version is None


def test_a_copy_of_a_long_name_fits(client: Client, process: Process) -> None:
    Process.objects.filter(pk=process.pk).update(name="N" * 120)

    for _ in range(2):
        client.post(reverse("process-copy", args=[process.public_id]))

    assert Process.objects.count() == 3


def test_a_line_is_copied_beneath_itself(client: Client, process: Process) -> None:
    save(client, process, "target", do="copy-1")
    save(client, process, "target", do="copy-1")

    assert [line.name for line in process.drafted.lines] == ["Customer", "Customer copy 2", "Customer copy"]
    assert process.drafted.lines[2].fields == process.drafted.lines[0].fields


def test_the_trash_offers_the_way_back(client: Client, process: Process, vera: User) -> None:
    Process.objects.filter(pk=process.pk).update(trashed_at=timezone.now())

    def page() -> str:
        return client.get(reverse("processes"), {"show": "trash"}).content.decode()

    restore: Any = reverse("process-restore", args=[process.public_id])
    assert restore in page()
    client.post(restore)
    assert Process.objects.kept().get() == process
    Process.objects.filter(pk=process.pk).update(trashed_at=timezone.now())
    client.force_login(vera)
    assert restore not in page()
