"""The Demo company, exported and imported into an empty one: the same text, the same ledgers."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import Company, Role
from integrations.management.demo import FILES, create_demo, make_crm
from integrations.models import DocumentOutcome, Process, Run
from integrations.runs.files import store
from integrations.runs.perform import perform
from integrations.runs.request import request_run
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

RUN_ON = {"CUSTOMERS_TO_CRM": "customers.csv", "ORDERS_TO_CRM": "orders.csv", "WEB_SHOP_TO_CRM": ""}
"""The processes that people run, and the file that each is given."""


@pytest.fixture
def demo(settings: Any, tmp_path: Path) -> Company:
    settings.DEMO_CRM = tmp_path / "demo_crm.db"
    settings.FOLDERS = [settings.DEMO_CRM]
    return create_demo(factories.make_user("owner@harwood.test"))


@pytest.fixture
def empty(db: None) -> Company:
    return factories.make_company("Empty Ltd")


def exported(company: Company, folder: Path) -> dict[str, bytes]:
    call_command("export", str(folder), company=company.name, stdout=StringIO())
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def ledgers_of(company: Company, name: str, crm: Path) -> list[Any]:
    """Run a process into an empty CRM, and give all that its ledger and those of its children say of the documents."""
    crm.unlink(missing_ok=True)
    make_crm(crm)
    with scope(company=company):
        file = None
        if RUN_ON[name]:
            with (FILES / RUN_ON[name]).open("rb") as content:
                file = store(company, content, name=RUN_ON[name], by=None)
        run = request_run(Process.objects.get(name=name), by=None, file=file)
        perform()
        return [_ledger(found) for found in [Run.objects.get(pk=run.pk), *Run.objects.filter(parent=run)]]


def _ledger(run: Run) -> Any:
    assert run.is_balanced
    counts = {item.name: getattr(run, item.name) for item in Run._meta.fields if item.name.startswith("documents_")}
    outcomes = DocumentOutcome.objects.filter(run=run).order_by("document")
    told = list(outcomes.values("document", "key", "bucket", "sentence", "column", "rows", "records"))
    return run.status, run.source_rows, counts, told, run.variables


def test_the_demo_goes_through_a_folder_and_runs_to_the_same_ledgers(
    demo: Company, empty: Company, settings: Any, tmp_path: Path
) -> None:
    first = exported(demo, tmp_path / "one")

    call_command("import", str(tmp_path / "one"), company=empty.name, yes=True, stdout=StringIO())

    assert exported(empty, tmp_path / "two") == first and len(first) == 6
    for name in RUN_ON:
        ledgers = ledgers_of(demo, name, settings.DEMO_CRM)
        assert ledgers_of(empty, name, settings.DEMO_CRM) == ledgers
        assert len(ledgers) == (2 if name == "WEB_SHOP_TO_CRM" else 1)


def test_the_demo_goes_through_the_screens_and_comes_out_the_same(
    demo: Company, empty: Company, client: Client, tmp_path: Path
) -> None:
    first = exported(demo, tmp_path / "one")
    client.force_login(demo.memberships.get().user)
    archive = client.get(reverse("definitions-export")).content
    client.force_login(factories.make_user("ada@empty.test", company=empty, role=Role.ADMINISTRATOR))

    looked = client.post(reverse("definitions-look"), {"file": SimpleUploadedFile("demo.zip", archive)}).context
    taken = {"kept": looked["file"].public_id, "seen": looked["seen"], "take": range(len(looked["rows"]))}
    client.post(reverse("definitions-take"), taken)

    assert client.get(reverse("definitions-export")).content == archive
    assert exported(empty, tmp_path / "two") == first
    with scope(company=empty):
        assert all(process.newest_version for process in Process.objects.all())
