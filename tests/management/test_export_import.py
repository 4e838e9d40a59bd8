"""`manage.py export` and `manage.py import`: a company's definitions in a folder, and back."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django_scopes import scope

from accounts.models import AuditEntry, Company
from integrations.models import GlobalVariable
from tests import factories

pytestmark = pytest.mark.django_db


def told(command: str, *args: str, **options: object) -> str:
    out = StringIO()
    call_command(command, *args, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def folder(company: Company, tmp_path: Path) -> Path:
    """What Harwood Outdoor defines, exported."""
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_A", value="new")
    told("export", str(tmp_path), company="Harwood Outdoor")
    return tmp_path


def test_an_export_says_what_it_wrote(company: Company, folder: Path) -> None:
    assert [path.name for path in folder.rglob("*.yaml")] == ["GBL_A.yaml"]
    assert told("export", str(folder), company=str(company.public_id)) == (
        f"{folder} holds the 1 things that Harwood Outdoor defines.\n"
    )


def test_an_import_is_first_a_look_and_with_yes_it_is_done(folder: Path) -> None:
    elsewhere = factories.make_company("Elsewhere Ltd")

    looked = told("import", str(folder), company="Elsewhere Ltd")
    with scope(company=elsewhere):
        assert not GlobalVariable.objects.exists()
    done = told("import", str(folder), company="Elsewhere Ltd", yes=True)

    assert "new       global variable GBL_A" in looked and "Nothing was changed. With --yes" in looked
    assert done == "new       global variable GBL_A\n"
    with scope(company=elsewhere):
        assert GlobalVariable.objects.get().value == "new"
    assert AuditEntry.objects.get(action="variable.imported").company == elsewhere


def test_a_conflict_is_told_and_ends_with_a_fault(folder: Path) -> None:
    (folder / "global-variables" / "GBL_A.yaml").write_text("waybill: 1\nkind: global variable\nname: gbl\nvalue: ''\n")

    with pytest.raises(CommandError, match="1 of 1 things could not be taken; the others were"):
        told("import", str(folder), company="Harwood Outdoor", yes=True)


@pytest.mark.parametrize(
    ("company", "place", "sentence"),
    [
        ("Nowhere", ".", "There is no company “Nowhere”. Companies: Harwood Outdoor."),
        (
            "Harwood Outdoor",
            "missing",
            "cannot be read: No such file or directory. Name a folder or file of an export.",
        ),
        ("Harwood Outdoor", ".", "There is no file of an export in it."),
    ],
)
def test_what_cannot_be_imported_is_said(company: str, place: str, sentence: str, tmp_path: Path, db: None) -> None:
    factories.make_company()

    with pytest.raises(CommandError, match=sentence):
        told("import", str(tmp_path / place), company=company)
