"""Exports and imports on screen: what is downloaded, what a look shows, and what taking changes."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.models import Connection, GlobalVariable, Process, StoredFile
from integrations.runs.connections import opened
from tests import factories
from tests.web.defining import said

pytestmark = pytest.mark.django_db

VARIABLE = "waybill: 1\nkind: global variable\nname: GBL_A\nvalue: {}\n"
SHOP = (
    "waybill: 1\nkind: connection\nname: Shop\nconnector: http\n"
    "settings:\n  auth: bearer\n  url: https://shop.example\nsecrets:\n- secret\n"
)


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    """Rows are read back in the company of the test."""
    with scope(company=company):
        yield


@pytest.fixture
def process(company: Company) -> Process:
    crm = factories.make_connection(company, system="sqlite", path="/srv/crm.db")
    return factories.make_process(company, factories.make_plan(crm))


def look(client: Client, content: str | bytes, name: str = "x.yaml") -> Any:
    content = content.encode() if isinstance(content, str) else content
    return client.post(reverse("definitions-look"), {"file": SimpleUploadedFile(name, content)})


def take(client: Client, looked: Any, **more: Any) -> Any:
    """Press the button of what a look shows, everything that can be chosen being so."""
    shown = looked.context
    numbers = [number for number, item in shown["rows"] if item.state != "conflict" and not item.left]
    answers = {"kept": str(shown["file"].public_id), "seen": shown["seen"], "take": numbers}
    return client.post(reverse("definitions-take"), answers | more, follow=True)


def test_a_process_is_downloaded_alone_or_with_what_it_needs(client: Client, vera: User, process: Process) -> None:
    client.force_login(vera)
    url = reverse("process-export", args=[process.public_id])

    alone, with_all = client.get(url), client.get(url, {"with": "needs"})

    assert alone["Content-Disposition"] == 'attachment; filename="customers_to_crm.yaml"'
    assert alone.content.startswith(b"waybill: 1\nkind: process\nname: CUSTOMERS_TO_CRM\n")
    with zipfile.ZipFile(io.BytesIO(with_all.content)) as archive:
        assert archive.namelist() == ["connections/Demo CRM.yaml", "processes/CUSTOMERS_TO_CRM.yaml"]


def test_a_company_goes_through_the_screens_into_another(
    client: Client, ada: User, mallory: User, process: Process
) -> None:
    client.force_login(ada)
    ours = client.get(reverse("definitions-export")).content
    client.force_login(mallory)

    response = take(client, look(client, ours, "ours.zip"))

    assert "Taken from ours.zip: 1 connection, 1 process." in said(response)
    assert client.get(reverse("definitions-export")).content == ours
    again = look(client, ours, "ours.zip")
    assert again.context["rows"] == [] and len(again.context["same"]) == 2


def test_a_look_changes_nothing_and_tells_in_words(client: Client, dora: User, company: Company) -> None:
    GlobalVariable.objects.create(company=company, name="GBL_A", value="old")
    client.force_login(dora)

    page = look(client, VARIABLE.format("new"))

    assert "value: new instead of old" in page.content.decode()
    assert GlobalVariable.objects.get().value == "old"
    assert AuditEntry.objects.filter(action="definitions.read").exists()


def test_only_what_is_chosen_is_taken(client: Client, dora: User) -> None:
    client.force_login(dora)

    response = take(client, look(client, VARIABLE.format("new")), take=[])

    assert "Nothing of x.yaml was chosen" in said(response)
    assert not GlobalVariable.objects.exists()


def test_connections_are_for_an_administrator(client: Client, dora: User) -> None:
    client.force_login(dora)
    looked = look(client, SHOP)

    take(client, looked, take=[0])

    assert "Connections are imported by an Administrator." in looked.content.decode()
    assert not Connection.objects.exists()


def test_a_secret_is_typed_in_with_the_import_and_never_shown(client: Client, ada: User) -> None:
    client.force_login(ada)
    looked = look(client, SHOP)
    assert 'name="secret-0-secret"' in looked.content.decode()

    response = take(client, looked, **{"secret-0-secret": "ours-to-know"})

    connection = Connection.objects.select_related("company").get()
    assert opened(connection).settings["secret"].reveal() == "ours-to-know"
    assert "ours-to-know" not in response.content.decode()
    assert not any("ours-to-know" in str(entry.after) for entry in AuditEntry.objects.all())


def test_a_secret_that_is_not_typed_in_is_asked_for_on_the_page_of_the_connection(client: Client, ada: User) -> None:
    client.force_login(ada)
    take(client, look(client, SHOP))
    connection = Connection.objects.get()
    url = reverse("connection", args=[connection.public_id])
    assert "It needs its password, token or key." in client.get(url).content.decode()
    assert "needs its secret" in client.get(reverse("connections")).content.decode()

    answers = {"name": "Shop", "auth": "bearer", "url": "https://shop.example", "revision": connection.revision}
    client.post(reverse("connection-save", args=[connection.public_id]), answers | {"secret": "typed"})

    connection.refresh_from_db()
    assert connection.missing_secrets == [] and list(connection.secrets) == ["secret"]


def test_a_secret_that_is_not_needed_here_is_let_go(client: Client, ada: User) -> None:
    client.force_login(ada)
    take(client, look(client, SHOP))
    connection = Connection.objects.get()

    answers = {"name": "Shop", "auth": "none", "url": "https://shop.example", "revision": connection.revision}
    client.post(reverse("connection-save", args=[connection.public_id]), answers | {"forget-secret": "on"})

    connection.refresh_from_db()
    assert connection.missing_secrets == []


def test_a_save_between_the_look_and_the_taking_is_shown(client: Client, dora: User, company: Company) -> None:
    variable = GlobalVariable.objects.create(company=company, name="GBL_A", value="old")
    client.force_login(dora)
    looked = look(client, VARIABLE.format("new"))
    variable.change(revision=0, by=dora, value="saved meanwhile")

    response = take(client, looked)

    assert response.status_code == 409
    assert "new instead of saved meanwhile" in response.content.decode()
    variable.refresh_from_db()
    assert variable.value == "saved meanwhile"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty. Export again."),
        (b"name: x\n", "x.yaml does not begin with “waybill: 1”."),
        (b"waybill: 1\nkind: process\nname: P\ndraft: &a [*a]\n", "anchors and aliases are not read"),
        (b"waybill: 1\nkind: process\nname: P\ndraft: {source: 5}\n", "draft: destination is missing. Add it."),
        (VARIABLE.format("[1]").encode(), "value: a text belongs there."),
    ],
)
def test_what_is_no_export_is_refused_at_the_field(client: Client, dora: User, content: bytes, sentence: str) -> None:
    client.force_login(dora)

    response = look(client, content)

    assert response.status_code == 422
    assert sentence in response.context["form"].errors["file"][0]
    assert not Process.objects.exists() and not StoredFile.objects.exists()


@pytest.mark.parametrize("kept", ["", "x", "00000000-0000-0000-0000-000000000000"])
def test_an_export_that_is_gone_is_asked_for_again(client: Client, dora: User, kept: str) -> None:
    client.force_login(dora)

    response = client.post(reverse("definitions-take"), {"kept": kept, "seen": "", "take": "0"}, follow=True)

    assert "The export is no longer here. Choose it again." in said(response)


def test_what_keeps_an_imported_process_from_running_is_said(client: Client, dora: User, process: Process) -> None:
    client.force_login(dora)
    alone = client.get(reverse("process-export", args=[process.public_id])).content.decode()

    response = take(client, look(client, alone.replace("Demo CRM", "ERP").replace("_TO_CRM", "_TO_ERP")))

    assert "CUSTOMERS_TO_ERP: The connection ERP is not here. It stays a draft until this is put right:" in said(
        response
    )
