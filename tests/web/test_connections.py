"""Connections: what people see, what is kept secret, what is refused."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.engine.plan import Stage, Task, TaskType
from integrations.models import Connection
from tests import factories
from tests.web.defining import make_database, said, sql_connection


class ShopServer:
    """A web service that remembers with which credentials it was asked."""

    def __init__(self) -> None:
        self.authorizations: list[str] = []
        told = self.authorizations

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told.append(self.headers["Authorization"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                """Nothing: the test looks at what was sent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop_server() -> Iterator[ShopServer]:
    server = ShopServer()
    yield server
    server.close()


PASSWORD = "only-the-database-knows"


@pytest.fixture
def database(tmp_path: Path, settings: Any) -> Path:
    settings.FOLDERS = [tmp_path]
    return make_database(tmp_path)


@pytest.fixture
def crm(company: Company, database: Path) -> Connection:
    return sql_connection(company, database)


def page_of(connection: Connection) -> str:
    return reverse("connection", args=[connection.public_id])


def try_it(client: Client, connection: Connection, **typed: Any) -> Any:
    """Press Test with the form as it stands on the screen, some of its answers changed."""
    shown = client.get(page_of(connection)).context["form"].initial
    answers = {name: value for name, value in shown.items() if value not in (None, "")} | typed
    return client.post(reverse("connection-test", args=[connection.public_id]), answers)


def test_a_designer_makes_a_connection_from_a_connector(
    client: Client, dora: User, company: Company, database: Path
) -> None:
    client.force_login(dora)

    response = client.post(
        reverse("connection-new", args=["sql"]),
        {"name": "CRM", "system": "sqlite", "path": str(database), "password": PASSWORD},
        follow=True,
    )

    assert "CRM is saved" in said(response)
    with scope(company=company):
        made = Connection.objects.get()
        assert made.settings["path"] == str(database)
        assert made.opened_settings()["password"].reveal() == PASSWORD
    entry = AuditEntry.objects.get(action="connection.created")
    assert (entry.user, entry.company, entry.thing) == (dora, company, "CRM")
    assert PASSWORD not in str(entry.after)


def test_a_secret_is_never_shown_again(client: Client, dora: User, company: Company, crm: Connection) -> None:
    crm.seal_secret("password", PASSWORD)
    with scope(company=company):
        crm.save(update_fields=["secrets"])
    client.force_login(dora)

    content = client.get(page_of(crm)).content.decode()

    assert PASSWORD not in content
    assert crm.secrets["password"] not in content
    assert "Replace" in content


def test_an_empty_secret_keeps_the_stored_one_and_a_new_one_replaces_it(
    client: Client, dora: User, company: Company, crm: Connection
) -> None:
    crm.seal_secret("password", PASSWORD)
    with scope(company=company):
        crm.save(update_fields=["secrets"])
    client.force_login(dora)
    answers = {"name": "CRM", "system": "sqlite", "path": crm.settings["path"]}
    save = reverse("connection-save", args=[crm.public_id])

    client.post(save, {**answers, "revision": 0, "password": ""})
    with scope(company=company):
        assert Connection.objects.get().opened_settings()["password"].reveal() == PASSWORD
    client.post(save, {**answers, "revision": 1, "password": "another"})

    with scope(company=company):
        assert Connection.objects.get().opened_settings()["password"].reveal() == "another"
    replaced = AuditEntry.objects.filter(action="connection.saved").order_by("id").last()
    assert replaced is not None and replaced.after["secrets replaced"] == ["password"]
    assert "another" not in str(replaced.after)


def test_someone_elses_save_meanwhile_is_shown_and_nothing_is_overwritten(
    client: Client, dora: User, ada: User, company: Company, crm: Connection
) -> None:
    with scope(company=company):
        crm.change(revision=0, by=ada, name="CRM of Ada")
    client.force_login(dora)

    response = client.post(
        reverse("connection-save", args=[crm.public_id]),
        {"name": "CRM of Dora", "system": "sqlite", "path": "/elsewhere", "revision": 0},
    )

    assert response.status_code == 409
    assert "Ada saved this connection meanwhile" in response.content.decode()
    assert "CRM of Dora" in response.content.decode()
    with scope(company=company):
        assert Connection.objects.get().name == "CRM of Ada"


def test_two_connections_of_a_company_cannot_share_a_name(client: Client, dora: User, crm: Connection) -> None:
    client.force_login(dora)

    response = client.post(reverse("connection-new", args=["sql"]), {"name": "crm", "system": "sqlite", "path": "/x"})

    assert response.status_code == 422
    assert "There is already a connection named “crm”" in response.content.decode()


def test_the_test_says_check_by_check_what_it_found_and_offers_the_marker_table(
    client: Client, dora: User, crm: Connection
) -> None:
    client.force_login(dora)

    response = try_it(client, crm)

    assert response.status_code == 200
    assert response.context["tested"].ok
    assert "Create the delivery marker table" in response.content.decode()
    assert AuditEntry.objects.filter(action="connection.tested", thing="CRM").exists()


def test_the_offer_creates_the_marker_table(client: Client, dora: User, crm: Connection) -> None:
    client.force_login(dora)

    client.post(reverse("connection-offer", args=[crm.public_id, "delivery_marker"]))

    response = try_it(client, crm)
    assert response.context["tested"].offers == ()


def test_the_test_tries_what_is_typed_and_saves_nothing(
    client: Client, dora: User, company: Company, crm: Connection, tmp_path: Path
) -> None:
    client.force_login(dora)

    typed = try_it(client, crm, path=str(tmp_path / "gone.db"))

    assert "gone.db" in typed.content.decode() and "lies outside" not in typed.content.decode()
    assert not (typed.context.get("tested") and typed.context["tested"].ok)
    assert typed.context["form"]["path"].value() == str(tmp_path / "gone.db")
    crm.refresh_from_db()
    assert (crm.settings["path"], crm.revision) == (str(tmp_path / "crm.db"), 0)
    assert try_it(client, crm).context["tested"].ok


def test_what_a_test_offers_waits_until_what_was_tested_is_saved(
    client: Client, dora: User, crm: Connection, tmp_path: Path
) -> None:
    client.force_login(dora)
    other = tmp_path / "other"
    other.mkdir()

    content = try_it(client, crm, path=str(make_database(other))).content.decode()

    assert "Tested as typed, which is not saved yet." in content
    assert "Create the delivery marker table" not in content


def test_a_connection_is_tested_before_it_is_saved_for_the_first_time(
    client: Client, dora: User, company: Company, database: Path
) -> None:
    client.force_login(dora)
    address = reverse("connection-new-test", args=["sql"])

    well = client.post(address, {"name": "", "system": "sqlite", "path": str(database)})

    assert well.context["tested"].ok
    with scope(company=company):
        assert not Connection.objects.exists()


def test_a_test_takes_the_stored_secret_where_none_is_typed_but_not_to_another_address(
    client: Client, dora: User, company: Company, shop_server: ShopServer
) -> None:
    shop = factories.make_connection(company, "Shop", "http", url=shop_server.url, auth="bearer")
    with scope(company=company):
        shop.seal_secret("secret", PASSWORD)
        shop.save(update_fields=["secrets"])
    client.force_login(dora)

    try_it(client, shop)
    assert shop_server.authorizations == [f"Bearer {PASSWORD}"]
    try_it(client, shop, secret="another one")
    assert shop_server.authorizations[1:] == ["Bearer another one"]
    refused = try_it(client, shop, url=f"{shop_server.url}/elsewhere")

    assert "the stored password, token or key would be sent there" in refused.content.decode()
    assert len(shop_server.authorizations) == 2


def test_an_offer_that_the_connector_does_not_make_is_not_found(client: Client, dora: User, crm: Connection) -> None:
    client.force_login(dora)

    assert client.post(reverse("connection-offer", args=[crm.public_id, "drop-everything"])).status_code == 404


def test_a_test_that_fails_says_why(
    client: Client, dora: User, company: Company, tmp_path: Path, settings: Any
) -> None:
    settings.FOLDERS = [tmp_path]
    gone = sql_connection(company, tmp_path / "gone.db")
    client.force_login(dora)

    response = try_it(client, gone)

    content = response.content.decode()
    assert "refused" in response.context or not response.context["tested"].ok
    assert "gone.db" in content


def test_a_used_connection_is_not_deleted_and_its_users_are_named(
    client: Client, dora: User, company: Company, crm: Connection
) -> None:
    factories.make_process(company, factories.make_plan(crm))
    client.force_login(dora)

    response = client.post(reverse("connection-delete", args=[crm.public_id]), follow=True)

    assert "CRM is used by CUSTOMERS_TO_CRM" in said(response)
    with scope(company=company):
        assert Connection.objects.exists()


def test_a_connection_that_only_a_task_names_is_used(
    client: Client, dora: User, company: Company, crm: Connection
) -> None:
    other = factories.make_connection(company, "Other", system="sqlite", path="")
    task = Task(
        name="ASK", type=TaskType.RUN_SQL, stage=Stage.INTEGRATION_PRE, connection=str(other.public_id), statement="x"
    )
    factories.make_process(company, factories.make_plan(crm, tasks=(task,)))
    client.force_login(dora)

    assert "CUSTOMERS_TO_CRM" in client.get(reverse("connection", args=[other.public_id])).content.decode()
    response = client.post(reverse("connection-delete", args=[other.public_id]), follow=True)
    assert "Other is used by CUSTOMERS_TO_CRM" in said(response)


def test_a_connection_that_only_an_older_version_names_can_be_deleted(
    client: Client, dora: User, company: Company, crm: Connection, database: Path
) -> None:
    process = factories.make_process(company, factories.make_plan(crm))
    other = sql_connection(company, database, "Other")
    plan = factories.make_plan(other)
    with scope(company=company):
        process.change(revision=0, by=dora, draft=plan.to_json())
        process.save_version(revision=1, by=dora)
    client.force_login(dora)

    client.post(reverse("connection-delete", args=[crm.public_id]))

    with scope(company=company):
        assert [connection.name for connection in Connection.objects.all()] == ["Other"]
    assert AuditEntry.objects.filter(action="connection.deleted", thing="CRM").exists()


def test_the_list_says_where_a_connection_points_and_where_it_is_used(
    client: Client, vera: User, company: Company, crm: Connection
) -> None:
    factories.make_process(company, factories.make_plan(crm))
    client.force_login(vera)

    content = client.get(reverse("connections")).content.decode()

    assert f'<td class="soft wrap">{crm.settings["path"]}</td>' in content
    assert "CUSTOMERS_TO_CRM" in content
    assert "New connection" not in content


def test_a_viewer_looks_and_changes_nothing(client: Client, vera: User, crm: Connection) -> None:
    client.force_login(vera)

    page = client.get(page_of(crm))
    refused = client.post(reverse("connection-save", args=[crm.public_id]), {"name": "Mine", "revision": 0})

    assert page.status_code == 200
    assert 'type="submit"' not in page.content.decode().split("<main")[1]
    assert refused.status_code == 403


def test_a_connection_of_another_company_is_not_found(client: Client, mallory: User, crm: Connection) -> None:
    client.force_login(mallory)

    assert client.get(page_of(crm)).status_code == 404
    assert client.post(reverse("connection-test", args=[crm.public_id])).status_code == 404
    assert client.post(reverse("connection-delete", args=[crm.public_id])).status_code == 404


def test_unknown_connectors_are_not_found(client: Client, dora: User) -> None:
    client.force_login(dora)

    assert client.get(reverse("connection-new", args=["no-such-thing"])).status_code == 404


def test_a_secret_does_not_follow_an_address_that_changes(client: Client, dora: User, company: Company) -> None:
    shop = factories.make_connection(company, "Shop", "http", url="https://shop.test/", auth="bearer")
    with scope(company=company):
        shop.seal_secret("secret", PASSWORD)
        shop.save(update_fields=["secrets"])
    client.force_login(dora)
    shown = {name: value for name, value in client.get(page_of(shop)).context["form"].initial.items() if value != ""}
    elsewhere = shown | {"url": "https://mallory.test/"}

    refused = client.post(reverse("connection-save", args=[shop.public_id]), elsewhere)
    assert refused.status_code == 422
    assert (
        "Base address changed, and the stored password, token or key would be sent there." in refused.content.decode()
    )
    shop.refresh_from_db()
    assert shop.settings["url"] == "https://shop.test/"

    client.post(reverse("connection-save", args=[shop.public_id]), elsewhere | {"secret": "another one"})
    shop.refresh_from_db()
    assert shop.settings["url"] == "https://mallory.test/"
    with scope(company=company):
        assert shop.opened_settings()["secret"].reveal() == "another one"


def test_a_path_names_the_folders_it_may_lie_in_and_so_does_its_refusal(
    client: Client, dora: User, crm: Connection, tmp_path: Path
) -> None:
    client.force_login(dora)
    assert f"It may lie in: {tmp_path}." in client.get(page_of(crm)).content.decode()

    with scope(company=crm.company):
        Connection.objects.update(settings=crm.settings | {"path": "/elsewhere/crm.db"})
    tested = try_it(client, crm).content.decode()
    assert f"lies outside of the folders that this installation opens to connections: {tmp_path}." in tested


def test_the_settings_of_one_system_stand_together_under_its_name(client: Client, dora: User) -> None:
    client.force_login(dora)
    groups = client.get(reverse("connection-new", args=["sql"])).context["groups"]
    assert [(group.title, len(group.fields)) for group in groups] == [("", 1), ("SQLite file", 1), ("PostgreSQL", 6)]


@pytest.mark.parametrize("way", ["connection-test", "connection-save"])
def test_a_port_that_is_cleared_is_another_one_and_no_stored_password_goes_there(
    client: Client, dora: User, company: Company, way: str
) -> None:
    there = {"system": "postgresql", "host": "db.example", "port": 6543, "database": "shop", "user": "waybill"}
    server = factories.make_connection(company, "Server", "sql", **there)
    server.seal_secret("password", PASSWORD)
    with scope(company=company):
        server.save()
    client.force_login(dora)

    answers = {**there, "name": "Server", "revision": 0, "sslmode": "prefer", "port": ""}
    response = client.post(reverse(way, args=[server.public_id]), answers)

    assert "Port changed, and the stored password would be sent there" in response.content.decode()
    server.refresh_from_db()
    assert server.settings["port"] == 6543
