"""JSON, XML and fixed width files: records become rows or documents, and what is hostile or broken is named."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from integrations.connectors import fixed_width, json_file, nested, xml_file
from integrations.connectors.registry import source_kind
from integrations.connectors.spec import SourceContext
from integrations.engine.errors import DefinitionError, SourceError
from integrations.engine.plan import Column, SourceSpec
from tests.connectors.test_files import csv

ORDERS = """{"meta": {"at": "2026-11-24"}, "orders": [
 {"id": "00123", "customer": {"name": "Köhler", "vip": true}, "total": 1.10, "tags": ["a", "b"],
  "lines": [{"sku": "A", "qty": 2}, {"sku": "B", "qty": 1.50}], "payments": [{"sum": 12345678901234567890}]},
 {"id": "2", "customer": {"name": null}, "lines": []}
]}"""
ORDERS_XML = """<?xml version="1.0"?>
<o:orders xmlns:o="urn:orders">
  <o:order id="00123"><name>K&#246;hler &amp; S</name><price currency="EUR">1.10</price>
    <line><sku>A</sku></line><line><sku>B</sku></line></o:order>
  <o:order id="2"><name/><line><sku>C</sku></line></o:order>
</o:orders>"""


def opened(file: Path, kind: str, options: dict[str, Any]) -> Any:
    return source_kind(kind).open(
        SourceContext(spec=SourceSpec(kind=kind, options=options), file=file, file_name=file.name)
    )


def rows_of(file: Path, kind: str, **options: Any) -> tuple[tuple[str, ...], list[list[str]], dict[int, str]]:
    """Columns, rows and defects by the number of their row."""
    source = opened(file, kind, options)
    batches = list(source.read())
    defects = {batch.numbers[i]: said for batch in batches for i, said in batch.defects.items()}
    return source.columns, [row for batch in batches for row in batch.rows], defects


def refused(file: Path, kind: str, **options: Any) -> str:
    with pytest.raises(SourceError) as error:
        rows_of(file, kind, **options)
    return error.value.sentence


def as_dicts(file: Path, kind: str, **options: Any) -> list[dict[str, str]]:
    """The rows, without their blank values."""
    columns, rows, defects = rows_of(file, kind, **options)
    assert defects == {}
    return [{name: value for name, value in zip(columns, row, strict=True) if value} for row in rows]


def json_text(tmp_path: Path, text: str | bytes, name: str = "orders.json") -> Path:
    return csv(tmp_path, text, name)


# ---- JSON -----------------------------------------------------------------------------------------------------------


def test_json_gives_a_row_for_each_innermost_record_with_the_outer_values_repeated(tmp_path: Path) -> None:
    outer = {"id": "00123", "customer.name": "Köhler", "customer.vip": "true", "total": "1.10", "tags": "a|b"}

    assert as_dicts(json_text(tmp_path, ORDERS), "json", path="orders") == [
        {**outer, "lines.sku": "A", "lines.qty": "2"},
        {**outer, "lines.sku": "B", "lines.qty": "1.50"},
        {**outer, "payments.sum": "12345678901234567890"},
        {"id": "2"},
    ]


def test_json_read_as_documents_numbers_its_records_and_tells_the_list_of_each_row(tmp_path: Path) -> None:
    columns, rows, _ = rows_of(json_text(tmp_path, ORDERS), "json", path="orders", shape="documents")

    assert columns[:3] == ("Document", "Rows of", "id")
    assert [row[:3] for row in rows] == [
        ["1", "lines", "00123"],
        ["1", "lines", "00123"],
        ["1", "payments", "00123"],
        ["2", "", "2"],
    ]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('[{"a": 1}, {"a": 2, "b": {"c": "x"}}]', {}),
        ('{"a": 1}\n{"a": 2, "b": {"c": "x"}}\n', {"form": "lines"}),
        ("\ufeff" + '[{"a": 1}, {"a": 2, "b": {"c": "x"}}]', {}),
        ('[{"a": 1}, {"a": 2, "b": {"c": "x"}}]'.encode("utf-16"), {"encoding": "utf-16"}),
    ],
    ids=["list", "lines", "mark", "utf-16"],
)
def test_json_is_written_in_several_ways(tmp_path: Path, text: str | bytes, options: dict[str, str]) -> None:
    path = json_text(tmp_path, text)

    assert as_dicts(path, "json", **options) == [{"a": "1"}, {"a": "2", "b.c": "x"}]
    guessed = json_file.guess(path)
    assert {"form": "list", "encoding": "utf-8", **options}.items() <= guessed.items() and guessed["path"] == ""


def test_a_guess_finds_the_first_list(tmp_path: Path) -> None:
    assert json_file.guess(json_text(tmp_path, ORDERS)) == {"encoding": "utf-8", "form": "list", "path": "orders"}


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ('[{"a": 1}, {"a": ', {}, "“orders.json” is no sound JSON behind record 1: "),
        ("<html>", {}, "is no sound JSON at its beginning"),
        (ORDERS, {}, "has no list of records at its top. Lists stand at “orders”: correct the path"),
        (ORDERS, {"path": "meta"}, "has no list of records at “meta”."),
        ('{"a": 1}', {}, "It has no list at all."),
        ('[{"a.b": 1, "a": {"b": 2}}]', {}, "Record 1 has two values named “a.b”."),
        ("[" * 100_000, {}, "A record is nested more than 60 levels deep."),
        ('{"a":' * 100_000, {}, "A record is nested more than 60 levels deep."),
        ('[{"a": ' + '{"x": ' * 70 + "1" + "}" * 70 + "}]", {}, "A record is nested more than 60 levels deep."),
        ('[{"a": "ä"}]'.encode("cp1252"), {}, "is no sound JSON"),
        (b'\xff\xfe[\x00"\x00', {"encoding": "utf-16"}, "is no sound JSON"),
    ],
)
def test_json_that_cannot_be_read_says_why(tmp_path: Path, text: Any, options: dict[str, str], said: str) -> None:
    path = json_text(tmp_path, text)

    assert said in refused(path, "json", **options)


def test_an_empty_list_has_the_columns_that_are_known(tmp_path: Path) -> None:
    spec = SourceSpec(kind="json", columns=(Column(name="id"),))
    source = source_kind("json").open(SourceContext(spec=spec, file=json_text(tmp_path, "[]"), file_name="o.json"))

    assert (source.columns, list(source.read())) == (("id",), [])


def test_a_large_json_file_is_read_in_little_memory(tmp_path: Path) -> None:
    record = json.dumps({"id": "0001", "lines": [{"sku": "A" * 50}, {"sku": "B" * 50}]})
    path = json_text(tmp_path, "[" + ",".join([record] * 4_000) + "]")
    source = source_kind("json").open(SourceContext(spec=SourceSpec(kind="json"), file=path, file_name=path.name))

    tracemalloc.start()
    count = sum(len(batch.rows) for batch in source.read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 8_000 and peak < 6_000_000


def test_a_record_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested, "RECORD_BYTES", 1 << 17)
    path = json_text(tmp_path, '[{"a": "' + "x" * (1 << 19) + '"}]')

    assert "without a whole record" in refused(path, "json")


# ---- XML ------------------------------------------------------------------------------------------------------------


def test_xml_gives_a_row_for_each_innermost_element(tmp_path: Path) -> None:
    outer = {"@id": "00123", "name": "Köhler & S", "price": "1.10", "price.@currency": "EUR"}
    path = csv(tmp_path, ORDERS_XML, "orders.xml")

    for at in ("orders/order", "order", "/orders/order"):
        assert as_dicts(path, "xml", path=at, lists="line") == [
            {**outer, "line.sku": "A"},
            {**outer, "line.sku": "B"},
            {"@id": "2", "line.sku": "C"},
        ]


def test_a_list_of_one_element_is_a_list_where_the_source_says_so(tmp_path: Path) -> None:
    path = csv(tmp_path, ORDERS_XML, "orders.xml")
    _, rows, _ = rows_of(path, "xml", path="order", lists="line", shape="documents")
    _, without, _ = rows_of(path, "xml", path="order", shape="documents")

    assert [row[:2] for row in rows] == [["1", "line"], ["1", "line"], ["2", "line"]]
    assert without[2][:2] == ["2", ""]


def test_a_guess_finds_the_element_that_comes_again_and_the_lists_in_it(tmp_path: Path) -> None:
    assert xml_file.guess(csv(tmp_path, ORDERS_XML, "orders.xml")) == {"path": "orders/order", "lists": "line"}


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
    "<r><order><x>&c;</x></order></r>"
)
OTHER_FILE = '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><r><order><x>&f;</x></order></r>'


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        (LAUGHS, "order", "declares a document type (DOCTYPE), which is not read"),
        (OTHER_FILE, "order", "declares a document type"),
        (
            '<r xmlns:a="a" xmlns:b="b"><order a:id="1" b:id="2"/></r>',
            "order",
            "The element order at line 1 of “orders.xml” has two values named “@id”.",
        ),
        ('<!DOCTYPE r SYSTEM "http://127.0.0.1/r.dtd"><r><order/></r>', "order", "declares a document type"),
        ("<r><order><x>&nope;</x></order></r>", "order", "is no sound XML at line 1: undefined entity"),
        ("<r><order><x>1</order></r>", "order", "is no sound XML at line 1: mismatched tag"),
        (ORDERS_XML, "invoice", "has no element at invoice. It has: orders, orders/order"),
        ("<a>" * 300, "order", "is nested more than 200 levels deep"),
        ("id,name\n1,Anna\n", "order", "is no sound XML at line 1"),
    ],
)
def test_xml_that_is_hostile_or_broken_says_so(tmp_path: Path, text: str, at: str, said: str) -> None:
    assert said in refused(csv(tmp_path, text, "orders.xml"), "xml", path=at)


def test_xml_is_read_in_the_encoding_it_declares_or_is_said_to_have(tmp_path: Path) -> None:
    text = "<r><o><n>Köhler</n></o></r>"
    declared = csv(tmp_path, f'<?xml version="1.0" encoding="windows-1252"?>{text}'.encode("cp1252"), "a.xml")
    undeclared = csv(tmp_path, text.encode("cp1252"), "b.xml")

    assert as_dicts(declared, "xml", path="o") == [{"n": "Köhler"}]
    assert as_dicts(undeclared, "xml", path="o", encoding="cp1252") == [{"n": "Köhler"}]


def test_a_large_xml_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path = csv(tmp_path, "<r>" + "<o><id>0001</id><l><s>A</s></l><l><s>B</s></l></o>" * 4_000 + "</r>", "o.xml")
    spec = SourceSpec(kind="xml", options={"path": "o"})
    source = source_kind("xml").open(SourceContext(spec=spec, file=path, file_name=path.name))

    tracemalloc.start()
    count = sum(len(batch.rows) for batch in source.read())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 8_000 and peak < 6_000_000


# ---- fixed width ----------------------------------------------------------------------------------------------------

FIXED = "Number    Name      Since     \n00123     Köhler    2026-01-31\n7         Ann B     2025-12-01\n"
PLACES = "Number 1 10\nName 11 10\nSince 21 10"


def test_fixed_width_columns_stand_at_their_places(tmp_path: Path) -> None:
    path = csv(tmp_path, FIXED + "\n", "customers.txt")

    assert rows_of(path, "fixed_width", columns=PLACES, skip=1)[:2] == (
        ("Number", "Name", "Since"),
        [["00123", "Köhler", "2026-01-31"], ["7", "Ann B", "2025-12-01"]],
    )
    assert rows_of(path, "fixed_width", columns="Full name 11 10", skip=1, trim=False)[1][0] == ["Köhler    "]


def test_a_line_that_ends_early_is_told(tmp_path: Path) -> None:
    path = csv(tmp_path, FIXED + "9         Cut\n", "customers.txt")

    assert rows_of(path, "fixed_width", columns=PLACES, skip=1)[2] == {
        3: "Line 4 has 13 characters and its columns reach to 30: Name is cut off."
    }
    _, rows, defects = rows_of(path, "fixed_width", columns=PLACES, skip=1, may_end_early=True)
    assert (rows[2], defects) == (["9", "Cut", ""], {})


def test_a_guess_cuts_where_all_lines_are_blank(tmp_path: Path) -> None:
    path = csv(tmp_path, FIXED.replace("Ann B", "Ann-B"), "customers.txt")

    assert fixed_width.guess(path) == {"encoding": "utf-8", "columns": PLACES, "skip": 1}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("", "No column says where it stands"),
        ("Number 1", "Line 1 of the columns, “Number 1”, is no column"),
        ("Number 1 10\nName 0 5", "Line 2 of the columns, “Name 0 5”, is no column"),
        ("Number 1 10\nNumber 11 5", "Two columns are named Number"),
        ("Number x 10", "is no column"),
    ],
)
def test_columns_without_a_place_are_told(tmp_path: Path, columns: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said.replace("(", "\\(")):
        rows_of(csv(tmp_path, FIXED, "c.txt"), "fixed_width", columns=columns)


# ---- rows of a parent -----------------------------------------------------------------------------------------------


def test_a_child_knows_its_columns_and_has_no_rows_of_its_own() -> None:
    spec = SourceSpec(kind="parent_rows", options={"columns": "CustomerNumber\n Name \n\n"})
    source = source_kind("parent_rows").open(SourceContext(spec=spec))

    assert source.columns == ("CustomerNumber", "Name")
    with pytest.raises(DefinitionError, match="the run that starts this one"):
        list(source.read())
