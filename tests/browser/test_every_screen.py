"""Every page, light and wide, dark and narrow: axe finds nothing, nothing is cut off, no script complains.

Each test furnishes the Demo company once and walks one room with one page of the browser. A page is loaded once and
then looked at twice; with EVERY_LOOK=1 four times, each theme on each width.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core import mail
from django.test import Client
from django.urls import reverse
from django_scopes import scope
from playwright.sync_api import Page, expect

from accounts import first_visit, invitations
from accounts.audit import record
from accounts.models import Company, Role, User
from integrations.connectors.excel import write_rows
from integrations.engine.plan import (
    DOCUMENT,
    ROWS_OF,
    ChoicesFrom,
    Column,
    ColumnType,
    DateCalculation,
    FieldMap,
    Lookup,
    Match,
    NoMatch,
    NoneFound,
    Plan,
    Prompt,
    PromptType,
    SourceMode,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Translation,
    Variable,
)
from integrations.exchange.bundle import zipped
from integrations.exchange.things import File, everything
from integrations.models import (
    Connection,
    GlobalVariable,
    Process,
    RollingNumber,
    Run,
    TranslationTable,
    Watermark,
)
from integrations.runs.request import request_cancel, request_run
from integrations.runs.watermarks import changing
from tests import factories
from tests.accounts.table import TABLE
from tests.browser.conftest import NO_FAULT, ended_run

Enter = Callable[[User, str], Page]

Look = tuple[int, Literal["light", "dark"]]
LOOKS: tuple[Look, ...] = ((1440, "light"), (360, "dark"))
if os.environ.get("EVERY_LOOK"):
    LOOKS = ((1440, "light"), (1440, "dark"), (360, "light"), (360, "dark"))

RUN = ("runs", "run-panel", "run-panel-process", "run-summary", "run-errors", "run-details", "run-source-file")
PROCESS = ("process", "process-options", "process-versions", "process-preview", "process-source", "process-target")
LINE = ("process-grouping", "process-mapping", "process-additional", "process-restriction")
TASK = ("process-tasks", "process-task-new", "process-variables")
VARIABLES = ("global-variables", "global-variable-new")
TABLES = ("translation-tables", "translation-table-new")
NUMBERS = ("rolling-numbers", "rolling-number-new")
DEFINE = (
    *PROCESS,
    *LINE,
    *TASK,
    *VARIABLES,
    *TABLES,
    *NUMBERS,
    "process-task",
    "process-lookup",
    "process-prompt",
    "global-variable",
    "translation-table",
    "rolling-number",
)
DEFINE += ("process-version", "process-compare", "definitions-import")
DEFINE += ("processes", "process-new", "connections", "connection", "connection-new")
ADMINISTER = ("users", "audit-log", "companies", "company", "profile", "account_change_password", "account_logout")
PLAIN = (
    "account_login",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "account_inactive",
    "account_reauthenticate",
    "welcome",
    "invitation-accept",
    "no-company",
)
NO_SCREEN = {
    "home": "leads to Runs",
    "account_set_password": "leads whoever has a password to the page that changes it",
    "process-integration": "leads to the first line",
    "run-progress": "lives in the panel",
    "run-source-download": "is a file",
    "run-output-download": "is a file",
    "run-errors-export": "is a file",
    "translation-table-export": "is a file",
    "definitions-export": "is a file",
    "process-export": "is a file",
    "health": "is for machines",
    "metrics": "is for machines",
}


OPEN_ALL_THAT_ASK = """() => {
    const closed = [...document.querySelectorAll('details.ask:not([open])')];
    closed.forEach((box) => { box.open = true; box.dataset.looked = ''; });
    return closed.length;
}"""
CLOSE_THEM = (
    "document.querySelectorAll('[data-looked]').forEach((box) => { box.open = false; delete box.dataset.looked; })"
)


class Eye:
    """Looks at pages, and keeps what it finds wrong."""

    def __init__(self, page: Page, root: str) -> None:
        self.page, self.root = page, root
        self.found: dict[str, list[str]] = {}
        self._said: list[str] = []
        page.on("console", lambda said: self._hear(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._hear(str(error)))

    def look(self, *addresses: str) -> None:
        for address in addresses:
            self.page.goto(self.root + address)
            self.look_at(address)

    def look_at(self, name: str) -> None:
        """Judge what is open now."""
        wrong = [*self._said]
        self._said.clear()
        self.page.evaluate(Axe().axe_script)
        for width, theme in LOOKS:
            self.page.set_viewport_size({"width": width, "height": 900})
            # Without motion: a colour that is still on its way would be judged.
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            if self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                wrong.append(f"wider than {width} px")
            wrong += [f"{theme} {width}: {rule}" for rule in self._axe()]
            if self.page.evaluate(OPEN_ALL_THAT_ASK):
                wrong += [f"{theme} {width}, asking: {rule}" for rule in self._axe()]
                self.page.evaluate(CLOSE_THEM)
        if wrong:
            self.found[name] = wrong

    def _axe(self) -> list[str]:
        told = self.page.evaluate("axe.run({resultTypes: ['violations']}).then((told) => told.violations)")
        return [f"{item['id']} at {item['nodes'][0]['target']}" for item in told]

    def _hear(self, words: str) -> None:
        if not NO_FAULT.search(words):
            self._said.append(words)


@pytest.fixture
def eye(page: Page, live_server: Any) -> Iterator[Eye]:
    eye = Eye(page, live_server.url)
    yield eye
    assert eye.found == {}


def test_every_page_of_the_product_is_looked_at_here() -> None:
    pages = {name for name, row in TABLE.items() if "GET" in row.methods}
    assert {*RUN, *DEFINE, *ADMINISTER, *PLAIN, *NO_SCREEN} == pages


def test_the_run_desk(eye: Eye, enter: Enter, customers: Process, omar: User) -> None:
    page = enter(omar, "/runs/")
    eye.look("/runs/", "/run/", "/run/?q=nothing", f"/run/{customers.public_id}/")
    run = ended_run(customers, omar)
    with scope(company=customers.company):
        request_cancel(request_run(customers, by=omar), by=omar)
        request_run(customers, by=omar)
    number = [run.number]
    eye.look("/runs/?run=1&period=day", "/runs/?q=nothing", "/runs/3/summary/", f"/run/{customers.public_id}/")
    eye.look(*(reverse(name, args=number) for name in RUN[3:]))

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(eye.root + "/runs/")
    page.keyboard.press("?")
    eye.look_at("the keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("n")
    expect(page.get_by_label("Find an integration")).to_be_focused()
    eye.look_at("the panel, choosing")
    page.get_by_role("dialog").get_by_role("link", name="ORDERS_TO_CRM").click()
    expect(page.get_by_label("Integration Run Name")).to_be_focused()
    page.locator("#run-file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"1"})
    eye.look_at("the panel, refusing a file")
    page.locator("#run-file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"a\n1\n"})
    page.get_by_role("button", name="Run Integration").click()
    page.get_by_text("Cancel run", exact=True).click()
    eye.look_at("the panel, asking whether to cancel")
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_text("Cancelled.", exact=True)).to_be_visible()
    eye.look_at("the panel, ended")


def test_the_designers_pages(
    eye: Eye, enter: Enter, customers: Process, olga: User, demo: Company, tmp_path: Path
) -> None:
    page = enter(olga, "/processes/")
    with scope(company=demo):
        crm = Connection.objects.get()
    eye.look("/processes/", "/processes/?show=trash", "/processes/new/", "/connections/")
    eye.look(*(reverse(name, args=[customers.public_id]) for name in PROCESS))
    eye.look(*(reverse(name, args=[customers.public_id, 1]) for name in LINE))
    with scope(company=demo):
        broken = replace(customers.drafted, key_fields=())
        Process.objects.filter(pk=customers.pk).update(draft=broken.to_json())
    eye.look(reverse("process", args=[customers.public_id]), reverse("process-versions", args=[customers.public_id]))
    eye.look(
        reverse("process-version", args=[customers.public_id, 1]),
        reverse("process-compare", args=[customers.public_id]),
    )
    page.goto(eye.root + reverse("definitions-import"))
    eye.look_at("the import")
    page.get_by_label("Exported file").set_input_files(_exported(demo, tmp_path))
    page.get_by_role("button", name="Look at what it would change").click()
    expect(page.get_by_role("button", name="Take what is chosen")).to_be_visible()
    eye.look_at("what an import would change")
    eye.look(*(f"/connections/new/{connector}/" for connector in ("folder", "sftp", "sql", "http")))
    with scope(company=demo):
        variable = GlobalVariable.objects.create(company=demo, name="GBL_FAILED", value="none")
        script = "this.GBL_FAILED = 'x'; return true;"
        task = Task(name="COLLECT", type=TaskType.RUN_SCRIPT, stage=Stage.DOCUMENT_POST_FAILURE, script=script)
        asked = Prompt(
            type=PromptType.CHOICE,
            choices_from=ChoicesFrom.QUERY,
            connection=broken.destination.connection,
            query="SELECT 1",
        )
        variables = (Variable(name=variable.name, prompt=asked),)
        draft = replace(broken, tasks=(task,), variables=variables)
        Process.objects.filter(pk=customers.pk).update(draft=draft.to_json())
    eye.look(*(reverse(name, args=[customers.public_id]) for name in TASK))
    eye.look(reverse("process-task", args=[customers.public_id, 1]))
    eye.look(reverse("process-prompt", args=[customers.public_id, variable.name]))
    eye.look(*map(reverse, VARIABLES), reverse("global-variable", args=[variable.public_id]))
    with scope(company=demo):
        pairs = [(f"{number:05}", f"Account {number}") for number in range(300)]
        table = TranslationTable.make(demo, by=olga, pairs=pairs, name="Accounts")
        how = Translation(table=str(table.public_id), no_match=NoMatch.DEFAULT, default="none")
        field = FieldMap(target="name", column_type=ColumnType.TRANSLATION, value="CompanyName", translation=how)
        line = broken.lines[0]
        dated = FieldMap(target="source", column_type=ColumnType.DATE_CALCULATION, date=DateCalculation(of_start=True))
        how_found = Lookup(
            connection=str(crm.public_id),
            table="customers",
            matches=(Match(field="customer_number", column="CustomerNumber"),),
            result="name",
            none=NoneFound.DEFAULT,
            default="new",
        )
        found = FieldMap(target="Known as", column_type=ColumnType.LOOKUP, lookup=how_found)
        listed = FieldMap(target="Kind", column_type=ColumnType.LIST_OPTION, value="b", choices=("a", "b"))
        others = {"name": field, "source": dated}
        fields = tuple(others.get(item.target, item) for item in line.fields)
        sequence = RollingNumber.objects.create(company=demo, name="Invoices", prefix="INV-", width=6, updated_by=olga)
        numbered = FieldMap(target="Invoice", column_type=ColumnType.ROLLING_NUMBER, sequence=str(sequence.public_id))
        translated = replace(broken, lines=(replace(line, fields=fields),), additional=(found, listed, numbered))
        Process.objects.filter(pk=customers.pk).update(draft=translated.to_json())
    _look_at_sources(eye, customers, translated, crm, olga)
    eye.look(*map(reverse, NUMBERS), reverse("rolling-number", args=[sequence.public_id]))
    eye.look(*map(reverse, TABLES), reverse("translation-table", args=[table.public_id]))
    eye.look(*(reverse(f"process-{part}", args=[customers.public_id, 1]) for part in ("mapping", "additional")))
    eye.look(reverse("process-lookup", args=[customers.public_id, 1, "additional", 1]))
    workbook = tmp_path / "accounts.xlsx"
    write_rows(workbook, ("From", "To"), [*pairs[1:], ("00001x", ""), ("", "none")])
    page.goto(eye.root + reverse("translation-table", args=[table.public_id]))
    page.get_by_label("Workbook (.xlsx)").set_input_files(workbook)
    page.get_by_role("button", name="Look at the changes").click()
    expect(page.get_by_role("button", name="Take these rows")).to_be_visible()
    eye.look_at("what a workbook would change")

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{eye.root}/connections/{crm.public_id}/")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_role("heading", name="Test")).to_be_visible()
    eye.look_at("a connection, tested")


def _look_at_sources(eye: Eye, process: Process, plan: Plan, crm: Connection, by: User) -> None:
    """Each kind of source, the grouping of one that is read as documents, and one that is read for changes only."""
    source = reverse("process-source", args=[process.public_id])
    eye.look(*(f"{source}?kind={kind}" for kind in ("json", "xml", "fixed_width", "rest", "parent_rows")))
    columns = (*plan.source.columns, Column(name=DOCUMENT), Column(name=ROWS_OF))
    nested = SourceSpec(kind="json", options={"shape": "documents"}, columns=columns)
    lines = (replace(plan.lines[0], grouped=False, rows="items"),)
    changes = SourceSpec(
        kind="sql_query",
        connection=str(crm.public_id),
        options={"query": "SELECT * FROM customers"},
        columns=plan.source.columns,
        mode=SourceMode.CHANGES,
        watermark=plan.source.columns[0].name,
    )
    with scope(company=process.company):
        Process.objects.filter(pk=process.pk).update(draft=replace(plan, source=nested, lines=lines).to_json())
    eye.look(reverse("process-grouping", args=[process.public_id, 1]))
    with scope(company=process.company):
        run, file = Run.objects.filter(process=process).first(), process.default_file
        Process.objects.filter(pk=process.pk).update(draft=replace(plan, source=changes).to_json())
        with changing(process) as watermark:
            watermark.set(changes.watermark, "2026-11-01 10:00:00", by=by)
            Watermark.objects.filter(pk=watermark.pk).update(carried=file, carried_documents=3, carried_from=run)
    eye.look(source)
    eye.page.get_by_text("Reset", exact=True).click()
    eye.look_at("asking whether to reset the watermark")
    with scope(company=process.company):
        Process.objects.filter(pk=process.pk).update(draft=plan.to_json())


def _exported(company: Company, folder: Path) -> Path:
    """An export in which something is new, something waits for its secret, something is in conflict and some is the same."""
    with scope(company=company):
        files = everything()
    secret = "waybill: 1\nkind: connection\nname: Shop\nconnector: http\nsettings: {url: https://shop.example, auth: bearer}\nsecrets: [secret]\n"
    files += [
        File("connection", "Shop", "connections/Shop.yaml", secret),
        File("connection", "SAP", "connections/SAP.yaml", "waybill: 1\nkind: connection\nname: SAP\nconnector: sap\n"),
    ]
    changed = [replace(file, text=file.text.replace("draft:", "group: Nightly\ndraft:")) for file in files]
    (path := folder / "company.zip").write_bytes(zipped(changed))
    return path


def test_the_administrators_pages(eye: Eye, enter: Enter, demo: Company, olga: User, omar: User) -> None:
    enter(olga, "/runs/")
    with scope(company=demo):
        invitations.invite(demo, email="nia@harwood.test", role=Role.VIEWER, by=olga)
    eye.look(*(reverse(name, args=[demo.public_id] if name == "company" else []) for name in ADMINISTER))
    eye.look("/audit-log/?action=nothing", "/no/such/page/")
    enter(omar, "/users/")
    eye.look_at("a page of another role")


def test_the_pages_before_and_around_sign_in(
    eye: Eye, enter: Enter, page: Page, demo: Company, olga: User, omar: User, client: Client
) -> None:
    with scope(company=demo):
        _, known = invitations.invite(demo, email=omar.email, role=Role.VIEWER, by=olga)
        _, new = invitations.invite(demo, email="nia@harwood.test", role=Role.VIEWER, by=olga)
    client.post(reverse("account_reset_password"), {"email": omar.email})
    (key_page,) = re.findall(r"/password/reset/key/\S+", mail.outbox[-1].body)
    eye.look(*(reverse(name) for name in PLAIN[:3]), key_page, reverse(PLAIN[4]), reverse(PLAIN[5]))
    eye.look(*("/" + link.split("/", 3)[-1] for link in (known, new)), "/invitation/no-such-token/")
    enter(factories.make_user("nobody@harwood.test"), "/")
    eye.look(reverse("no-company"), reverse("account_reauthenticate"))

    User.objects.filter(is_owner=True).update(is_owner=False)
    welcome = first_visit.owner_link()
    assert welcome
    page.context.clear_cookies()
    eye.look(welcome, "/welcome/no-such-token/")


@pytest.mark.parametrize("width", [1440, 360])
def test_the_whole_text_of_the_audit_log_is_in_view(page: Page, enter: Enter, olga: User, width: int) -> None:
    changes = ["Line Customer: customers_with_a_rather_long_name_of_their_own instead of customers"] * 2
    record("process.saved", "CUSTOMERS_TO_CRM", user=olga, company=Company.objects.get(), after={"changes": changes})
    page.set_viewport_size({"width": width, "height": 900})
    entries = enter(olga, "/audit-log/").get_by_role("region", name="Entries")
    expect(entries.get_by_text("a_rather_long_name").first).to_be_visible()
    assert entries.evaluate("region => region.scrollWidth <= region.clientWidth")
