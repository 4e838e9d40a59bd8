"""A statement of a task, the same promises on SQLite and on PostgreSQL."""

import itertools
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.connectors.spec import Opened
from integrations.connectors.sql import statement
from integrations.connectors.sql.statement import Affected, execute, first_rows
from integrations.engine.errors import DefinitionError
from tests.servers import Postgres

TABLE = "CREATE TABLE notes (number INTEGER PRIMARY KEY, text TEXT)"
ENDLESS = "INSERT INTO notes WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'x' FROM n"
made = itertools.count()


class Notes:
    """A database with a table `notes`, opened as a connection and looked into from outside."""

    def __init__(self, opened: Opened, look: Callable[[], list[Any]]) -> None:
        self.opened, self.all = opened, look

    def do(self, text: str, **values: Any) -> Affected | None:
        return execute(self.opened, text, values, is_over=lambda: False)


@pytest.fixture(params=["sqlite", "postgresql"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Notes:
    if request.param == "sqlite":
        path = tmp_path / "notes.db"
        with closing(sqlite3.connect(path)) as database:
            database.execute(TABLE)
        settings = {"system": "sqlite", "path": str(path)}

        def look() -> list[Any]:
            with closing(sqlite3.connect(path)) as database:
                return database.execute("SELECT number, text FROM notes ORDER BY number").fetchall()

        return Notes(Opened(public_id="1", name="Notes", settings=settings, folders=(tmp_path,)), look)
    server: Postgres = request.getfixturevalue("postgres")
    name = f"notes_{next(made)}"
    with psycopg.connect(server.url, autocommit=True) as database:
        database.execute(f"CREATE DATABASE {name}")
    url = server.url.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(url) as database:
        database.execute(TABLE)
    settings = {"system": "postgresql", "host": "127.0.0.1", "port": server.port, "database": name, "user": "postgres"}

    def look_there() -> list[Any]:
        with psycopg.connect(url) as database:
            return database.execute("SELECT number, text FROM notes ORDER BY number").fetchall()

    opened = Opened(public_id="1", name="Notes", settings=settings, allow_nets=("127.0.0.0/8",))
    return Notes(opened, look_there)


def test_values_are_bound_whatever_they_hold(notes: Notes) -> None:
    hostile = "100%'); DROP TABLE notes; -- [GBL_N] %s ?"
    affected = notes.do("INSERT INTO notes VALUES ([GBL_N], [GBL_T]);", GBL_N=7, GBL_T=hostile)
    assert affected == Affected(rows=1) and notes.all() == [(7, hostile)]
    assert notes.do("UPDATE notes SET text = [GBL_T] WHERE text LIKE '100%'", GBL_T=["a", 1]) == Affected(rows=1)
    assert notes.all() == [(7, '["a", 1]')]
    assert notes.do("DELETE FROM notes WHERE text LIKE '%1%'") == Affected(rows=1)


def test_the_first_value_is_given(notes: Notes) -> None:
    notes.do("INSERT INTO notes VALUES (1, 'One'), (2, NULL)")
    assert notes.do("SELECT text, number FROM notes ORDER BY number") == Affected(gives_rows=True, value="One")
    assert notes.do("SELECT number FROM notes WHERE number > [GBL_N]", GBL_N=2) == Affected(gives_rows=True)
    assert notes.do("SELECT text FROM notes WHERE number = 2") == Affected(gives_rows=True, value="")
    assert notes.do("INSERT INTO notes VALUES (3, 'x'), (4, 'y') RETURNING number") == Affected(
        gives_rows=True, value="3"
    )
    assert len(notes.all()) == 4


@pytest.mark.parametrize("text", ["COMMIT", "ROLLBACK", "INSERT INTO notes VALUES (1, 'x'); COMMIT", "SELEC 1"])
def test_what_is_not_one_statement_is_refused(notes: Notes, text: str) -> None:
    with pytest.raises(DefinitionError, match="Notes refuses the statement"):
        notes.do(text)
    assert notes.all() == []


def test_a_statement_that_fails_leaves_nothing(notes: Notes) -> None:
    with pytest.raises(DefinitionError):
        notes.do("INSERT INTO notes VALUES (1, 'x'), (2, 'y'), (1, 'z')")
    assert notes.all() == []


def test_a_statement_that_takes_too_long_is_ended_and_leaves_nothing(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "LOOK_UP_SECONDS", 0.05)
    with pytest.raises(DefinitionError, match=r"took longer than 0\.3 s and was ended"):
        execute(notes.opened, ENDLESS, {}, is_over=lambda: False, seconds=0.3)
    over = time.monotonic() + 0.3
    assert execute(notes.opened, ENDLESS, {}, is_over=lambda: time.monotonic() > over) is None
    assert notes.all() == []


def test_a_question_reads_and_cannot_write(notes: Notes) -> None:
    notes.do("INSERT INTO notes VALUES (1, 'One')")

    def asked(query: str, **values: Any) -> list[list[str]] | None:
        return first_rows(notes.opened, query, values, is_over=lambda: False)

    assert asked("SELECT 1 FROM notes WHERE text = [GBL_T]", GBL_T="One") == [["1"]]
    assert asked("SELECT 1 FROM notes WHERE text = [GBL_T];", GBL_T="' OR '1' = '1") == []
    for writing in ("DELETE FROM notes", "DELETE FROM notes RETURNING 1", "INSERT INTO notes VALUES (2, 'x')"):
        with pytest.raises(DefinitionError):
            asked(writing)
    assert notes.all() == [(1, "One")]
