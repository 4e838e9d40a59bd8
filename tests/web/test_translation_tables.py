"""Translation Tables: rows typed, pasted and brought in as a workbook; what keeps a table from being deleted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_scopes import scope

from accounts.models import AuditEntry, Company, User
from integrations.connectors.excel import ExcelSource, write_rows
from integrations.engine.plan import ColumnType, FieldMap, Translation
from integrations.forms.translation import Edit, merged
from integrations.models import Process, StoredFile, TranslationRows, TranslationTable
from integrations.models.translation import Pairs
from tests import factories
from tests.web.defining import answers_of, said

PAIRS = [("DE", "Germany"), ("FR", "France"), ("", "nowhere")]


@pytest.fixture(autouse=True)
def in_company(company: Company) -> Iterator[None]:
    with scope(company=company):
        yield


@pytest.fixture
def table(company: Company) -> TranslationTable:
    return TranslationTable.make(company, by=None, pairs=PAIRS, name="Countries", description="ISO codes")


@pytest.fixture
def doras(client: Client, dora: User) -> Client:
    client.force_login(dora)
    return client


def page(client: Client, table: TranslationTable, **query: Any) -> Any:
    return client.get(reverse("translation-table", args=[table.public_id]), query)


def answers(client: Client, table: TranslationTable | None = None, **query: Any) -> dict[str, Any]:
    """What a browser would send of the page if nothing were changed."""
    shown = page(client, table, **query) if table else client.get(reverse("translation-table-new"))
    return answers_of([shown.context["form"], shown.context["grid"]])


def save(client: Client, table: TranslationTable, said: dict[str, Any], query: str = "") -> Any:
    response = client.post(reverse("translation-table-save", args=[table.public_id]) + query, said, follow=True)
    table.refresh_from_db()
    return response


def used_by(company: Company, table: TranslationTable) -> Process:
    field = FieldMap(
        target="name",
        column_type=ColumnType.TRANSLATION,
        value="Name",
        translation=Translation(table=str(table.public_id)),
    )
    plan = factories.make_plan(factories.make_connection(company, "CRM of CUSTOMERS"), process="CUSTOMERS")
    line = plan.lines[0]
    fields = tuple(field if item.target == "name" else item for item in line.fields)
    return factories.make_process(company, replace(plan, lines=(replace(line, fields=fields),)))


def workbook(folder: Path, pairs: Pairs, columns: tuple[str, ...] = ("From", "To")) -> SimpleUploadedFile:
    path = folder / "rows.xlsx"
    write_rows(path, columns, [pair[: len(columns)] for pair in pairs])
    return SimpleUploadedFile("rows.xlsx", path.read_bytes())


def look(client: Client, table: TranslationTable, file: Any) -> Any:
    return client.post(reverse("translation-table-read", args=[table.public_id]), {"file": file})


def take(client: Client, table: TranslationTable, revision: int | None = None) -> Any:
    said = {
        "kept": str(StoredFile.objects.get().public_id),
        "revision": table.revision if revision is None else revision,
    }
    response = client.post(reverse("translation-table-take", args=[table.public_id]), said, follow=True)
    table.refresh_from_db()
    return response


def test_an_empty_list_says_what_tables_are_for_and_offers_the_first(doras: Client) -> None:
    shown = doras.get(reverse("translation-tables")).content.decode()
    assert "DE becomes Germany" in shown and "Create the first one" in shown


def test_a_table_is_made_of_typed_and_pasted_rows(doras: Client, dora: User) -> None:
    typed = answers(doras) | {"name": "Units", "rows-0-given": "pc", "rows-0-becomes": "Piece"}
    doras.post(reverse("translation-table-new"), typed | {"pasted": "kg\tKilogram\r\n\t none \r\n"})
    made = TranslationTable.objects.get()
    assert (made.name, made.updated_by) == ("Units", dora)
    assert made.pairs == [("pc", "Piece"), ("kg", "Kilogram"), ("", " none ")]
    assert AuditEntry.objects.get(action="translation_table.created").after["rows"] == 3


def test_rows_are_changed_removed_and_added_where_they_stand(doras: Client, table: TranslationTable) -> None:
    said = answers(doras, table) | {"rows-0-becomes": "Deutschland", "rows-1-remove": "on"}
    save(doras, table, said | {"rows-3-given": "IT", "rows-3-becomes": "Italy", "pasted": "ES\tSpain\nDE\tGermania"})
    assert table.pairs == [("DE", "Germania"), ("", "nowhere"), ("IT", "Italy"), ("ES", "Spain")]
    entry = AuditEntry.objects.get(action="translation_table.saved")
    assert "DE → Germania instead of Germany" in entry.after["changes"]
    assert "FR → France removed" in entry.after["changes"]


def test_what_is_saved_as_it_stands_changes_nothing(doras: Client, table: TranslationTable) -> None:
    rows = table.rows_id
    save(doras, table, answers(doras, table))
    assert (table.pairs, table.rows_id) == (PAIRS, rows)
    assert not AuditEntry.objects.filter(action="translation_table.saved").exists()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"rows-1-given": "DE"}, "“DE” is there twice. Keep one of the two."),
        ({"rows-3-given": "", "rows-3-becomes": "x"}, "The blank value is there twice. Keep one of the two."),
        ({"pasted": "IT Italy"}, "Line 1 has no tab: write from, a tab, to."),
        ({"pasted": "IT\tItaly\t"}, "Line 1 has more than one tab: write from, a tab, to."),
        ({"pasted": "IT\tItaly\nIT\tItalia"}, "“IT” is there twice. Keep one of the two."),
        ({"name": ""}, "Name is empty. Fill it in."),
    ],
)
def test_what_cannot_be_a_table_is_not_saved_and_stays_on_the_screen(
    doras: Client, table: TranslationTable, typed: dict[str, str], sentence: str
) -> None:
    response = save(doras, table, answers(doras, table) | typed)
    assert response.status_code == 422 and sentence in response.content.decode()
    assert table.pairs == PAIRS


def test_a_name_is_given_once(doras: Client, table: TranslationTable) -> None:
    response = doras.post(reverse("translation-table-new"), answers(doras) | {"name": "countries"})
    assert "There is already a translation table countries" in response.content.decode()


def test_someone_elses_rows_are_kept_beside_those_that_i_change(
    doras: Client, table: TranslationTable, ada: User
) -> None:
    mine = answers(doras, table) | {"rows-0-becomes": "Deutschland"}
    table.change(revision=0, by=ada, pairs=[("DE", "Germany"), ("FR", "Frankreich"), ("", "nowhere")])
    response = save(doras, table, mine)
    assert response.status_code == 409 and table.pairs[0] == ("DE", "Germany")
    assert "saved this table meanwhile" in response.content.decode() and "Deutschland" in response.content.decode()
    save(doras, table, mine | {"revision": response.context["form"]["revision"].value()})
    assert table.pairs == [("DE", "Deutschland"), ("FR", "Frankreich"), ("", "nowhere")]
    assert TranslationRows.objects.count() == 3, "what was not written leaves no rows"


@pytest.mark.parametrize(
    ("edits", "pasted", "rows"),
    [
        ([], [], [("a", "1"), ("b", "2")]),
        ([Edit(was="a", row=("b2", "1"))], [], [("b2", "1"), ("b", "2")]),
        ([Edit(was="a", row=("b", "1")), Edit(was="b", row=("a", "2"))], [], [("b", "1"), ("a", "2")]),
        ([Edit(was="a", row=None)], [("a", "3")], [("b", "2"), ("a", "3")]),
        ([Edit(was="gone", row=("gone", "9"))], [], [("a", "1"), ("b", "2"), ("gone", "9")]),
        ([Edit(was="gone", row=None)], [], [("a", "1"), ("b", "2")]),
    ],
)
def test_edits_and_pasted_rows_become_the_rows_of_the_table(edits: list[Edit], pasted: Pairs, rows: Pairs) -> None:
    assert merged([("a", "1"), ("b", "2")], edits, pasted) == rows


def test_a_large_table_is_edited_a_page_at_a_time(doras: Client, company: Company) -> None:
    pairs = [(f"{number:05}", str(number)) for number in range(450)]
    table = TranslationTable.make(company, by=None, pairs=pairs, name="Accounts")
    response = save(doras, table, answers(doras, table, page=3) | {"rows-49-becomes": "last"}, "?page=3")
    assert response.context["part"].number == 3
    assert table.pairs == [*pairs[:-1], ("00449", "last")]
    found = page(doras, table, q="0044").context["part"]
    assert [given for given, _ in found.pairs] == ["00044", *(f"{number:05}" for number in range(440, 450))]


def test_the_list_searches_counts_rows_and_says_what_uses_a_table(
    doras: Client, company: Company, table: TranslationTable
) -> None:
    used_by(company, table)
    for query, number in (("count", 1), ("iso", 1), ("zzz", 0)):
        response = doras.get(reverse("translation-tables"), {"q": query})
        assert len(response.context["rows"]) == number
    shown = doras.get(reverse("translation-tables")).content.decode()
    assert "1 process" in shown and '<td class="num">3</td>' in shown


def test_one_that_is_used_cannot_be_deleted_and_says_where(
    doras: Client, company: Company, table: TranslationTable
) -> None:
    process = used_by(company, table)
    response = doras.post(reverse("translation-table-delete", args=[table.public_id]), follow=True)
    assert "Countries is used by CUSTOMERS" in said(response) and TranslationTable.objects.exists()
    (item,) = response.context["used_in"]
    mapping = reverse("process-mapping", args=[process.public_id, 1])
    assert [(place.sentence, place.url) for place in item.places] == [("the mapping of name", mapping)]


def test_one_that_nothing_uses_is_deleted_and_its_rows_stay_for_the_runs(
    doras: Client, table: TranslationTable
) -> None:
    doras.post(reverse("translation-table-delete", args=[table.public_id]))
    assert not TranslationTable.objects.exists() and TranslationRows.objects.exists()
    assert AuditEntry.objects.get(action="translation_table.deleted").before["rows"] == 3


def test_what_is_exported_is_imported_as_it_was(
    doras: Client, dora: User, table: TranslationTable, tmp_path: Path
) -> None:
    pairs = [("00123", "=1+1"), ("€ ", "Köhler & Söhne"), ("", "nowhere"), ("x", "")]
    table.change(revision=0, by=dora, pairs=pairs)
    response = doras.get(reverse("translation-table-export", args=[table.public_id]))
    content = b"".join(response)
    path = tmp_path / "out.xlsx"
    path.write_bytes(content)
    source = ExcelSource(path, path.name)
    assert [tuple(row) for batch in source.read() for row in batch.rows] == pairs
    source.close()
    shown = look(doras, table, SimpleUploadedFile("out.xlsx", content)).content.decode()
    assert "Nothing: the workbook holds the rows that the table has." in shown


def test_a_workbook_shows_what_it_would_change_and_changes_nothing_yet(
    doras: Client, table: TranslationTable, tmp_path: Path
) -> None:
    response = look(doras, table, workbook(tmp_path, [("DE", "Deutschland"), ("IT", "Italy"), ("", "nowhere")]))
    changes = response.context["changes"]
    assert changes.added == [("IT", "Italy")]
    assert changes.changed == [("DE", "Germany", "Deutschland")]
    assert changes.removed == [("FR", "France")]
    table.refresh_from_db()
    assert table.pairs == PAIRS

    assert "has the 3 rows of rows.xlsx" in said(take(doras, table))
    assert table.pairs == [("DE", "Deutschland"), ("IT", "Italy"), ("", "nowhere")]


def test_a_workbook_is_not_taken_over_what_someone_saved_meanwhile(
    doras: Client, table: TranslationTable, ada: User, tmp_path: Path
) -> None:
    look(doras, table, workbook(tmp_path, [("DE", "Deutschland")]))
    table.change(revision=0, by=ada, pairs=[("DE", "Allemagne")])
    response = take(doras, table, revision=0)
    assert response.status_code == 409 and table.pairs == [("DE", "Allemagne")]
    assert response.context["changes"].changed == [("DE", "Allemagne", "Deutschland")]
    take(doras, table)
    assert table.pairs == [("DE", "Deutschland")]


@pytest.mark.parametrize(
    ("pairs", "columns", "sentence"),
    [
        ([("DE", "a"), ("DE", "b")], ("From", "To"), "“DE” is there twice."),
        ([("DE", "a\nb")], ("From", "To"), "holds a line break"),
        ([("DE", "")], ("From",), "has one column; a table needs two"),
    ],
)
def test_a_workbook_that_is_no_table_says_why(
    doras: Client, table: TranslationTable, tmp_path: Path, pairs: Pairs, columns: tuple[str, ...], sentence: str
) -> None:
    response = look(doras, table, workbook(tmp_path, pairs, columns))
    assert response.status_code == 422 and sentence in response.content.decode()


def test_what_is_no_workbook_says_so(doras: Client, table: TranslationTable) -> None:
    response = look(doras, table, SimpleUploadedFile("rows.xlsx", b"DE;Germany"))
    assert response.status_code == 422 and "is no Excel workbook" in response.content.decode()
    assert "No workbook was chosen" in look(doras, table, "").content.decode()


def test_a_viewer_sees_the_rows_and_cannot_change_them(client: Client, vera: User, table: TranslationTable) -> None:
    client.force_login(vera)
    shown = page(client, table).content.decode()
    assert "Germany" in shown and "Look at the changes" not in shown and "Yes, delete" not in shown
    assert client.post(reverse("translation-table-save", args=[table.public_id])).status_code == 403
