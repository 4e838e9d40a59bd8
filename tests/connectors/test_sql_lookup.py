"""Values looked up in tables, the same promises on SQLite and on PostgreSQL."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.connectors.spec import Opened
from integrations.connectors.sql.lookup import SqlFinder
from integrations.engine.errors import DefinitionError
from integrations.engine.plan import Lookup, Match
from integrations.engine.ports import Found
from tests.servers import Postgres

TABLES = """
CREATE TABLE customers (number INTEGER, code TEXT, "100% name" TEXT, since DATE, rate NUMERIC(10, 2), active BOOLEAN);
INSERT INTO customers VALUES
    (7, '007', 'Acme', '2026-01-31', 1.50, {yes}),
    (8, '8', NULL, '2026-02-01', 2, {no}),
    (9, 'twice', 'Bolt', '2026-02-01', 3, {yes}),
    (9, 'twice', 'Acme', '2026-02-01', 3, {yes}),
    (10, '', 'Blank', NULL, NULL, NULL);
CREATE VIEW active AS SELECT number, code FROM customers WHERE active;
"""
BY_CODE = Lookup(connection="1", table="customers", matches=(Match(field="code"),), result="100% name")
made = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def finder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlFinder]:
    if request.param == "sqlite":
        path = tmp_path / "crm.db"
        with closing(sqlite3.connect(path)) as database:
            database.executescript(TABLES.format(yes=1, no=0))
        settings: dict[str, Any] = {"system": "sqlite", "path": str(path)}
        opened = Opened(public_id="1", name="CRM", settings=settings, folders=(tmp_path,))
    else:
        server: Postgres = request.getfixturevalue("postgres")
        name = f"lookups_{next(made)}"
        with psycopg.connect(server.url, autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(server.url.rpartition("/")[0] + f"/{name}", autocommit=True) as database:
            database.execute(TABLES.format(yes=True, no=False))
            database.execute(
                "CREATE TABLE keys (id UUID); INSERT INTO keys VALUES ('12345678-1234-1234-1234-123456789012')"
            )
        settings = {
            "system": "postgresql",
            "host": "127.0.0.1",
            "port": server.port,
            "database": name,
            "user": "postgres",
        }
        opened = Opened(public_id="1", name="CRM", settings=settings, allow_nets=("127.0.0.0/8",))
    finder = SqlFinder(opened, 10.0)
    yield finder
    finder.close()


@pytest.mark.parametrize(
    ("field", "result", "key", "found"),
    [
        ("code", "100% name", "007", Found(1, "Acme")),
        ("code", "100% name", "7", Found(0)),
        ("code", "100% name", "8", Found(1, None)),
        ("code", "100% name", "twice", Found(2, "Acme")),
        ("code", "100% name", "", Found(1, "Blank")),
        ("number", "code", "7", Found(1, "007")),
        ("number", "code", "07", Found(1, "007")),
        ("number", "code", "seven", Found(0)),
        ("number", "code", "", Found(0)),
        ("number", "code", "99999999999999999999", Found(0)),
        ("code", "number", "half \ud800 and \0", Found(0)),
        ("since", "code", "2026-01-31", Found(1, "007")),
        ("since", "code", "31.01.2026", Found(0)),
        ("rate", "code", "1.5", Found(1, "007")),
        ("code", "number", "007", Found(1, "7")),
        ("code", "since", "007", Found(1, "2026-01-31")),
        ("code", "100% name", "x' OR '1' = '1", Found(0)),
    ],
)
def test_a_key_is_compared_as_what_the_field_is(
    finder: SqlFinder, field: str, result: str, key: str, found: Found
) -> None:
    how = replace(BY_CODE, matches=(Match(field=field),), result=result)

    assert finder.find(how, [(key,)]) == [found]


def test_all_fields_have_to_match(finder: SqlFinder) -> None:
    how = replace(BY_CODE, matches=(Match(field="number"), Match(field="code")))

    assert finder.find(how, [("7", "007"), ("7", "8"), ("9", "twice")]) == [
        Found(1, "Acme"),
        Found(0),
        Found(2, "Acme"),
    ]


def test_many_keys_are_answered_in_their_order(finder: SqlFinder) -> None:
    keys = [("007",) if number % 3 == 0 else (f"no {number}",) for number in range(12_000)]

    found = finder.find(BY_CODE, keys)

    assert [number for number, item in enumerate(found) if item.rows] == list(range(0, 12_000, 3))


def test_a_view_can_be_looked_up_in(finder: SqlFinder) -> None:
    how = replace(BY_CODE, table="active", result="number")

    assert finder.find(how, [("007",), ("8",)]) == [Found(1, "7"), Found(0)]
    assert {"customers", "active"} <= set(finder.tables())


def test_a_table_or_field_that_is_not_there_is_named(finder: SqlFinder) -> None:
    for how, said in (
        (replace(BY_CODE, table="clients"), "There is no table clients in CRM to look up in."),
        (replace(BY_CODE, result="title"), "The table customers of CRM has no field title."),
        (replace(BY_CODE, matches=(Match(field="key"),)), "The table customers of CRM has no field key."),
    ):
        with pytest.raises(DefinitionError, match=said):
            finder.check(how)


@pytest.mark.parametrize("finder", ["postgresql"], indirect=True)
def test_a_key_of_another_kind_is_compared_as_text(finder: SqlFinder) -> None:
    """SQLite has no such types."""
    how = replace(BY_CODE, table="keys", matches=(Match(field="id"),), result="id")
    key = "12345678-1234-1234-1234-123456789012"

    assert finder.find(how, [(key,), ("none",)]) == [Found(1, key), Found(0)]
