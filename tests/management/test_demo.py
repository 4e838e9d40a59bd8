"""The Demo company, run as a newcomer runs it: every figure is known, and every failed document says why."""

import csv
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company, Role
from integrations.forms.problems import problems_of
from integrations.forms.surroundings import surroundings_of
from integrations.management.demo import FILES, create_demo
from integrations.models import DocumentOutcome, Process, Run, RunStatus
from integrations.runs.perform import perform
from integrations.runs.request import request_run
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def crm(settings: Any, tmp_path: Path) -> Path:
    settings.DEMO_CRM = tmp_path / "demo_crm.db"
    settings.FOLDERS = [settings.DEMO_CRM]
    return settings.DEMO_CRM


@pytest.fixture
def demo(crm: Path) -> Iterator[Company]:
    company = create_demo(factories.make_user("owner@harwood.test"))
    with scope(company=company):
        yield company


def ran(name: str) -> Run:
    """A run of a Demo process on its own file, as it ended."""
    run = request_run(Process.objects.get(name=name), by=None)
    perform()
    run.refresh_from_db()
    assert run.is_balanced
    return run


def buckets(run: Run) -> dict[str, tuple[int, int]]:
    """Documents and rows of every bucket that holds any."""
    names = ("created", "updated", "unchanged", "restricted", "failed", "unknown", "held")
    found = {name: (getattr(run, f"documents_{name}"), getattr(run, f"rows_{name}")) for name in names}
    return {name: counts for name, counts in found.items() if counts != (0, 0)}


def failed(run: Run) -> list[tuple[str, int, str, str]]:
    """Key, first row, column and reason of every failed document."""
    return [
        (outcome.key, outcome.rows[0]["number"], outcome.column, outcome.sentence)
        for outcome in DocumentOutcome.objects.filter(run=run).order_by("document")
    ]


def rows_of(name: str) -> list[dict[str, str]]:
    with (FILES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def held(crm: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(crm)) as database:
        return database.execute(query).fetchall()


def test_the_customers_end_where_they_should(demo: Company, crm: Path) -> None:
    run = ran("CUSTOMERS_TO_CRM")

    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert (run.source_rows, run.source_documents) == (1_000, 997)
    assert buckets(run) == {"created": (923, 926), "restricted": (63, 63), "failed": (11, 11)}
    a_state, a_date = (
        "is refused by the rule state_is_a_us_state of customers. It comes from State.",
        "is not a date such as 2026-11-24, which customer_since needs.",
    )
    assert failed(run) == [
        ("C10143", 143, "state", f"“XX” in state {a_state}"),
        ("C10208", 208, "state", f"“Tex.” in state {a_state}"),
        ("C10267", 267, "CustomerSince", f"“2019-02-30” in CustomerSince of row 267 {a_date}"),
        ("C10392", 392, "CompanyName", "CompanyName is blank in row 392, and name is required."),
        ("C10434", 434, "CreditLimit", "“12,5OO.00” in CreditLimit of row 434 is not a number such as 1234.50, which credit_limit needs."),
        ("C10513", 513, "CustomerSince", f"“13/25/2017” in CustomerSince of row 513 {a_date}"),
        ("C10605", 605, "CompanyName", "CompanyName is blank in row 605, and name is required."),
        ("C10689", 689, "CreditLimit", "“n/a” in CreditLimit of row 689 is not a number such as 1234.50, which credit_limit needs."),
        ("C10748", 748, "state", f"“ZZ” in state {a_state}"),
        ("C10800", 800, "", "Line 802 has 11 values, too few: the header names 12 columns."),
        ("C10872", 872, "email", "“no-at-sign.example” in email is refused by the rule email_has_an_at_sign of customers. It comes from Email."),
    ]  # fmt: skip


def test_the_crm_holds_exactly_the_customers_that_were_delivered(demo: Company, crm: Path) -> None:
    wrong = {key for key, _, _, _ in failed(ran("CUSTOMERS_TO_CRM"))}

    expected = {}
    for row in rows_of("customers.csv"):
        if row["Status"] != "Inactive" and row["CustomerNumber"] not in wrong:
            expected.setdefault(row["CustomerNumber"], (row["CompanyName"], row["Street"], row["ZipCode"]))
    found = {number: (name, street, code) for number, name, street, code in held(
        crm, "SELECT customer_number, name, street, zip FROM customers"
    )}  # fmt: skip
    assert found == expected
    codes = [code for _, _, code in found.values()]
    assert sum(code.startswith("0") for code in codes) > 50 and {len(code) for code in codes} == {5}
    assert any("\n" in street for _, street, _ in found.values()), "a line break in a field arrives as one"
    assert any('"' in name for name, _, _ in found.values())
    assert ("株式会社 山田商店",) in held(crm, "SELECT name FROM customers")
    assert held(crm, "SELECT DISTINCT source, typeof(zip) FROM customers") == [("Web shop", "text")]
    assert held(crm, "SELECT count(*) FROM customers WHERE credit_class <> CASE WHEN credit_limit >= 50000 THEN 'A' "
                     "WHEN credit_limit >= 10000 THEN 'B' ELSE 'C' END") == [(0,)]  # fmt: skip


def test_the_orders_end_where_they_should(demo: Company, crm: Path) -> None:
    run = ran("ORDERS_TO_CRM")

    assert run.status == RunStatus.COMPLETED_WITH_ERRORS
    assert (run.source_rows, run.source_documents) == (3_000, 813)
    assert buckets(run) == {"created": (809, 2_982), "failed": (4, 18)}
    assert failed(run) == [
        ("SO-118037", 101, "Quantity", "“2.5” in Quantity of row 101 is not a whole number such as 42."),
        ("SO-118205", 669, "OrderDate", "“2026-09-31” in OrderDate of row 669 is not a date such as 2026-11-24, which order_date needs."),
        ("SO-118333", 1156, "currency", "“EURO” in currency is refused by the rule currency_is_three_letters of orders. It comes from Currency."),
        ("SO-118410", 1448, "UnitPrice", "“abc” in UnitPrice of row 1448 is not a number such as 1234.50, which unit_price needs."),
    ]  # fmt: skip


def test_the_total_of_an_order_is_the_sum_of_its_items(demo: Company, crm: Path) -> None:
    wrong = {key for key, _, _, _ in failed(ran("ORDERS_TO_CRM"))}

    totals: dict[str, Decimal] = defaultdict(Decimal)
    items: dict[str, int] = defaultdict(int)
    for row in rows_of("orders.csv"):
        if row["OrderNumber"] not in wrong:
            totals[row["OrderNumber"]] += Decimal(row["LineTotal"])
            items[row["OrderNumber"]] += 1
    found = {number: Decimal(str(total)) for number, total in held(crm, "SELECT order_number, total FROM orders")}
    assert found == totals
    assert dict(held(crm, "SELECT order_number, count(*) FROM order_items GROUP BY 1")) == items
    assert held(
        crm,
        "SELECT count(*) FROM orders o WHERE round(total, 2) <> (SELECT round(sum(quantity * unit_price), 2) "
        "FROM order_items i WHERE i.order_number = o.order_number)",
    ) == [(0,)]


@pytest.mark.parametrize(("name", "unchanged"), [("CUSTOMERS_TO_CRM", (923, 926)), ("ORDERS_TO_CRM", (809, 2_982))])
def test_a_second_run_says_unchanged_of_everything_that_arrived(
    demo: Company, name: str, unchanged: tuple[int, int]
) -> None:
    first, second = ran(name), ran(name)

    expected = buckets(first)
    expected["unchanged"] = expected.pop("created")
    assert buckets(second) == expected
    assert expected["unchanged"] == unchanged
    assert failed(second) == failed(first)


def test_the_demo_is_made_once_and_its_owner_administers_it(demo: Company, crm: Path) -> None:
    owner = demo.memberships.get()
    assert owner.role == Role.ADMINISTRATOR
    assert create_demo(owner.user) == demo
    assert Process.objects.count() == 4


def test_the_web_shops_customers_tell_the_story_of_tasks_and_a_child(demo: Company, crm: Path) -> None:
    run = ran("WEB_SHOP_TO_CRM")
    (mark,) = Run.objects.filter(parent=run)

    assert (run.status, run.source_documents) == (RunStatus.COMPLETED_WITH_ERRORS, 3)
    assert buckets(run) == {"created": (2, 2), "failed": (1, 1)}
    assert [key for key, _, _, _ in failed(run)] == ["Bluebird Cycles"]
    assert (mark.status, mark.variables) == (RunStatus.COMPLETED, {"GBL_FAILED_CUSTOMERS": "Bluebird Cycles|"})
    assert buckets(mark) == {"updated": (2, 2), "restricted": (1, 1)}
    assert held(crm, "SELECT company_name, in_crm FROM web_shop_customers ORDER BY 1") == [
        ("Alder & Sons", "yes"),
        ("Bluebird Cycles", "no"),
        ("Copper Kettle", "yes"),
    ]

    again = ran("WEB_SHOP_TO_CRM")
    assert buckets(again) == {"unchanged": (2, 2), "failed": (1, 1)}
    assert buckets(Run.objects.get(parent=again)) == {"unchanged": (2, 2), "restricted": (1, 1)}


def test_the_demos_definitions_could_be_saved_as_they_are(demo: Company) -> None:
    for process in Process.objects.all():
        assert not problems_of(process.drafted, surroundings_of(process)), process
