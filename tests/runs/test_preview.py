"""What the editor shows of a draft is what a run of it then does to the destination."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.errors import DefinitionError, SourceError
from integrations.engine.plan import ColumnType, FieldMap
from integrations.management.demo import create_demo
from integrations.models import DocumentOutcome, Process
from integrations.runs.files import store
from integrations.runs.perform import perform
from integrations.runs.preview import preview_of
from integrations.runs.request import request_run
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def demo(settings: Any, tmp_path: Path) -> Iterator[Company]:
    settings.DEMO_CRM = tmp_path / "demo_crm.db"
    settings.FOLDERS = [settings.DEMO_CRM]
    company = create_demo(factories.make_user("owner@harwood.test"))
    with scope(company=company):
        yield company


def held(settings: Any, table: str) -> list[dict[str, str]]:
    """The records of a table as text, in the order in which they came."""
    with closing(sqlite3.connect(settings.DEMO_CRM)) as database:
        found = database.execute(f"SELECT * FROM {table} ORDER BY rowid")
        names = [column[0] for column in found.description]
        return [dict(zip(names, map(text_of, row), strict=True)) for row in found]


def text_of(value: Any) -> str:
    """A value as a person compares it: 10000.00 and 10000 are the same number, 00123 and 123 are not the same text."""
    return f"{Decimal(str(value)).normalize():f}" if isinstance(value, int | float | Decimal) else str(value)


@pytest.mark.parametrize(
    ("name", "tables"), [("CUSTOMERS_TO_CRM", ["customers"]), ("ORDERS_TO_CRM", ["orders", "order_items"])]
)
def test_a_preview_of_all_rows_is_what_the_run_then_sends(
    demo: Company, settings: Any, name: str, tables: list[str]
) -> None:
    process = Process.objects.get(name=name)
    seen = preview_of(process, process.newest_version.plan, rows=5_000)
    assert all(held(settings, table) == [] for table in tables), "a preview writes nothing"

    run = request_run(process, by=None)
    perform()
    refused = {
        outcome.key: outcome for outcome in DocumentOutcome.objects.filter(run=run) if outcome.stage == "deliver"
    }
    mapped = {outcome.key: outcome.sentence for outcome in DocumentOutcome.objects.filter(run=run)}

    for line, table in enumerate(tables):
        would = [
            {target: text_of(value) for target, value in record.values.items()}
            for document in seen.documents
            if document.problem is None and document.key not in refused
            for record in document.lines[line]
            if not record.restricted
        ]
        assert held(settings, table) == would
    for document in seen.documents:
        if document.problem is not None:
            assert mapped[document.key] == document.problem.sentence
    run.refresh_from_db()
    assert run.documents_restricted == sum(document.restricted for document in seen.documents)
    assert run.source_documents == len(seen.documents)


def test_a_preview_fails_with_what_the_run_would_fail_with(demo: Company) -> None:
    process = Process.objects.get(name="CUSTOMERS_TO_CRM")
    process.sample = store(demo, io.BytesIO(b"CustomerNumber;CompanyName\n1;Acme\n"), name="customers.csv", by=None)
    with pytest.raises(SourceError) as shown:
        preview_of(process, process.newest_version.plan)

    run = request_run(process, by=None, file=process.sample)
    perform()
    run.refresh_from_db()
    assert run.reason == shown.value.sentence


def test_a_preview_without_a_file_says_what_to_do(demo: Company) -> None:
    process = Process.objects.get(name="CUSTOMERS_TO_CRM")
    process.default_file = None
    with pytest.raises(DefinitionError, match="Upload one on the Source tab"):
        preview_of(process, process.newest_version.plan)


def test_a_calculation_that_is_not_written_yet_leaves_the_rest_of_the_preview(demo: Company) -> None:
    process = Process.objects.get(name="CUSTOMERS_TO_CRM")
    plan = process.newest_version.plan
    (line,) = plan.lines
    empty = FieldMap(target="note", column_type=ColumnType.CALCULATION)
    unfinished = replace(plan, lines=(replace(line, restriction="", fields=(*line.fields, empty)),), tasks=())

    (records, *_) = [document.lines[0] for document in preview_of(process, unfinished).documents]

    assert set(records[0].values) == {item.target for item in line.fields}
