"""SQL databases, the same promises on SQLite and on PostgreSQL."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.connectors import sql
from integrations.connectors.registry import source_kind
from integrations.connectors.spec import Opened, SourceContext
from integrations.connectors.sql import marker
from integrations.engine.batch import Bucket, Delivery, LineRecords, Problem
from integrations.engine.errors import AdministratorError, DefinitionError, Fenced, SourceError, TransientError
from integrations.engine.plan import FieldMap, Line, SourceSpec, ValueType, WriteMode
from integrations.engine.secret import Secret
from tests.connectors.contract import LINE, Contract, batch_of, deliver, open_destination, ticket
from tests.servers import Postgres, free_port

TABLES = """
CREATE TABLE customers (
    number TEXT PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT name_is_short CHECK (length(name) < 20),
    amount NUMERIC(12, 2),
    since DATE
);
CREATE TABLE items (
    number TEXT NOT NULL,
    line INTEGER NOT NULL CONSTRAINT line_is_positive CHECK (line > 0),
    PRIMARY KEY (number, line)
);
CREATE TABLE events (
    customer TEXT REFERENCES customers (number) DEFERRABLE INITIALLY {deferred},
    amount BIGINT
);
"""
UPSERT = Line(
    name="Customer",
    target="customers",
    keys=("number",),
    fields=(
        FieldMap(target="number"),
        FieldMap(target="name"),
        FieldMap(target="amount", type=ValueType.DECIMAL),
        FieldMap(target="since", type=ValueType.DATE),
    ),
)
ITEMS = Line(
    name="Item",
    target="items",
    keys=("number", "line"),
    grouped=False,
    fields=(FieldMap(target="number"), FieldMap(target="line", type=ValueType.INTEGER)),
)
EVENTS = Line(
    name="Event",
    target="events",
    mode=WriteMode.INSERT,
    grouped=False,
    fields=(FieldMap(target="customer"), FieldMap(target="amount", type=ValueType.INTEGER)),
)
ACME = ("1", "Acme", Decimal("10.50"), date(2026, 1, 31))


class SqliteWorld:
    kind = "sql"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "crm.db"
        with closing(sqlite3.connect(self.path)) as database:
            database.executescript(TABLES.format(deferred="IMMEDIATE"))

    def opened(self) -> Opened:
        return Opened(
            public_id="c", name="CRM", settings={"system": "sqlite", "path": str(self.path)}, folders=[self.path.parent]
        )

    def ask(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as database:
            found = database.execute(query).fetchall()
            database.commit()
            return found

    def numbers(self) -> list[str]:
        return [row[0] for row in self.ask("SELECT number FROM customers ORDER BY number")]


class PostgresWorld:
    kind = "sql"

    def __init__(self, server: Postgres, schema: str) -> None:
        self.server, self.schema = server, schema
        with psycopg.connect(server.url, autocommit=True) as database:
            database.execute(f"CREATE DATABASE {schema}")
        with psycopg.connect(self.url, autocommit=True) as database:
            database.execute(TABLES.format(deferred="DEFERRED"))

    @property
    def url(self) -> str:
        return self.server.url.rsplit("/", 1)[0] + "/" + self.schema

    def opened(self) -> Opened:
        settings = {
            "system": "postgresql",
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.schema,
            "user": "postgres",
            "password": Secret("unused"),
        }
        return Opened(public_id="c", name="CRM", settings=settings, allow_nets=["127.0.0.0/8"])

    def ask(self, query: str) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as database:
            cursor = database.execute(query)
            return cursor.fetchall() if cursor.description else []

    def numbers(self) -> list[str]:
        return [row[0] for row in self.ask("SELECT number FROM customers ORDER BY number")]


made = iter(range(1_000))


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteWorld | PostgresWorld:
    if request.param == "sqlite":
        return SqliteWorld(tmp_path)
    return PostgresWorld(request.getfixturevalue("postgres"), f"crm_{next(made)}")


@pytest.fixture
def marked(world: Any) -> Any:
    """A database with the delivery marker."""
    sql.create_marker(world.opened())
    return world


class TestSql(Contract):
    """Without the marker."""


class TestSqlWithMarker(Contract):
    """With the marker in the same transaction."""

    @pytest.fixture(autouse=True)
    def with_marker(self, marked: Any) -> Iterator[None]:
        yield


def test_an_upsert_says_created_then_unchanged_then_updated(world: Any) -> None:
    destination = open_destination(world, UPSERT)
    assert deliver(destination, ACME).buckets == [Bucket.CREATED]
    assert deliver(destination, ACME).buckets == [Bucket.UNCHANGED]
    assert deliver(destination, (*ACME[:2], Decimal("10.51"), ACME[3])).buckets == [Bucket.UPDATED]
    assert deliver(destination, (*ACME[:2], None, ACME[3])).buckets == [Bucket.UPDATED]
    assert deliver(destination, (*ACME[:2], None, ACME[3])).buckets == [Bucket.UNCHANGED]
    destination.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("1", "Acme", None, None), ("1", "Acme", None, None)),
        (("1", "Acme", Decimal("10.50"), None), ("1", "Acme", Decimal("10.5"), None)),
        (("1", "Acme", Decimal("1E+2"), None), ("1", "Acme", Decimal("100"), None)),
        (("1", "Acme", Decimal("0"), None), ("1", "Acme", Decimal("0.00"), None)),
        (("1", "007", None, date(2026, 1, 31)), ("1", "007", None, date(2026, 1, 31))),
    ],
)
def test_what_the_database_holds_already_is_unchanged(world: Any, before: Any, after: Any) -> None:
    destination = open_destination(world, UPSERT)
    deliver(destination, before)
    assert deliver(destination, after).buckets == [Bucket.UNCHANGED]
    destination.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("1", "007", None, None), ("1", "7", None, None)),
        (("1", "a", None, None), ("1", "A", None, None)),
        (("1", "a", None, None), ("1", "a ", None, None)),
        (("1", "", None, None), ("1", " ", None, None)),
        (("1", "a", None, None), ("1", "a", Decimal("0"), None)),
        (("1", "a", Decimal("0"), None), ("1", "a", None, None)),
        (("1", "a", Decimal("10.50"), None), ("1", "a", Decimal("10.51"), None)),
        (("1", "a", None, date(2026, 1, 31)), ("1", "a", None, date(2026, 2, 1))),
        (("1", "a", None, date(2026, 1, 31)), ("1", "a", None, None)),
    ],
)
def test_the_smallest_difference_makes_it_updated(world: Any, before: Any, after: Any) -> None:
    destination = open_destination(world, UPSERT)
    deliver(destination, before)
    assert deliver(destination, after).buckets == [Bucket.UPDATED]
    assert deliver(destination, after).buckets == [Bucket.UNCHANGED]
    destination.close()


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [("json", '{"a": 1}', '{"a": 2}'), ("json[]", '{"1"}', '{"2"}'), ("jsonb", "1", "2")],
)
def test_a_column_whose_type_knows_no_equality_is_compared_as_text(
    postgres: Postgres, kind: str, first: str, second: str
) -> None:
    world = PostgresWorld(postgres, f"crm_{next(made)}")
    world.ask(f"CREATE TABLE notes (number TEXT PRIMARY KEY, note {kind})")
    line = Line(
        name="Note", target="notes", keys=("number",), fields=(FieldMap(target="number"), FieldMap(target="note"))
    )
    destination = open_destination(world, line)
    assert deliver(destination, ("1", first)).buckets == [Bucket.CREATED]
    assert deliver(destination, ("1", first)).buckets == [Bucket.UNCHANGED]
    assert deliver(destination, ("1", second)).buckets == [Bucket.UPDATED]
    assert deliver(destination, ("1", None)).buckets == [Bucket.UPDATED]
    assert deliver(destination, ("1", None)).buckets == [Bucket.UNCHANGED]
    destination.close()


def test_leading_zeros_are_kept(world: Any) -> None:
    destination = open_destination(world, UPSERT)
    deliver(destination, ("00123", "Zeros", None, None))
    destination.close()
    assert world.numbers() == ["00123"]


def test_a_key_that_comes_twice_in_a_segment_is_written_in_order(world: Any) -> None:
    destination = open_destination(world, UPSERT)
    delivery = deliver(destination, ("1", "first", None, None), ("2", "other", None, None), ("1", "last", None, None))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.CREATED, Bucket.UPDATED]
    assert world.ask("SELECT name FROM customers WHERE number = '1'") == [("last",)]


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.UPDATE, WriteMode.DELETE])
@pytest.mark.parametrize("blank", [None, ""])
def test_a_record_without_its_key_fails_alone_however_often_it_comes(world: Any, mode: WriteMode, blank: Any) -> None:
    world.ask("CREATE TABLE notes (number TEXT, name TEXT)")
    world.ask("INSERT INTO notes VALUES ('1', 'old'), ('3', 'old')")
    destination = open_destination(world, Line(**{**LINE.__dict__, "target": "notes", "mode": mode}))
    for _ in range(2):
        delivery = deliver(destination, ("1", "a"), (blank, "b"), ("3", "c"))
        assert delivery.buckets[1] is Bucket.FAILED
        assert Bucket.FAILED not in (delivery.buckets[0], delivery.buckets[2])
        assert delivery.problems[1].sentence == "number is blank, and the line Customer finds its records by it."
        assert delivery.line_counts[0][Bucket.FAILED] == 1
    destination.close()
    assert world.ask("SELECT count(*) FROM notes WHERE number IS NULL OR number = ''") == [(0,)]


def test_a_blank_part_of_a_key_is_a_value_like_any_other(world: Any) -> None:
    world.ask("CREATE TABLE sites (number TEXT, site TEXT, name TEXT)")
    fields = tuple(FieldMap(target=name) for name in ("number", "site", "name"))
    line = Line(name="Site", target="sites", keys=("number", "site"), fields=fields)
    destination = open_destination(world, line)
    deliver(destination, ("1", "", "a"))
    assert deliver(destination, ("1", "", "b"), ("1", None, "c")).buckets == [Bucket.UPDATED, Bucket.FAILED]
    destination.close()
    assert world.ask("SELECT name FROM sites") == [("b",)]


def test_all_lines_of_a_document_are_written_or_none(world: Any) -> None:
    destination = open_destination(world, UPSERT, ITEMS)
    batch = batch_of(("1", "a", None, None), ("2", "b", None, None), ("3", "c", None, None))
    batch.lines.append(LineRecords(records=[["1", 1], ["1", 2], ["2", 1], ["2", -1], ["3", 1]], owners=[0, 0, 1, 1, 2]))
    delivery = destination.deliver(batch, ticket())
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    assert world.numbers() == ["1", "3"]
    assert world.ask("SELECT count(*) FROM items") == [(3,)]
    assert delivery.problems[1].where.column == "line"
    assert "line_is_positive" in delivery.problems[1].sentence


BROKEN_TRIGGERS = {
    "sqlite": "CREATE TRIGGER told AFTER INSERT ON customers BEGIN INSERT INTO gone VALUES (NEW.number); END",
    "postgresql": """CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO gone VALUES (NEW.number); RETURN NEW; END';
        CREATE TRIGGER told AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION tell()""",
}
REFUSING_TRIGGERS = {
    "sqlite": """CREATE TRIGGER judged BEFORE INSERT ON customers WHEN NEW.name = 'Bad' BEGIN
        SELECT RAISE(ABORT, 'bad customer'); END""",
    "postgresql": """CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF NEW.name = ''Bad'' THEN RAISE ''bad customer''; END IF; RETURN NEW; END';
        CREATE TRIGGER judged BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION judge()""",
}


def test_what_a_trigger_refuses_fails_alone(world: Any) -> None:
    world.ask(REFUSING_TRIGGERS[world.opened().settings["system"]])
    destination = open_destination(world, LINE)
    delivery = deliver(destination, ("1", "a"), ("2", "Bad"), ("3", "c"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    assert "bad customer" in delivery.problems[1].sentence
    assert world.numbers() == ["1", "3"]


def test_a_fault_of_the_database_itself_is_no_refusal_of_each_record(world: Any) -> None:
    world.ask(BROKEN_TRIGGERS[world.opened().settings["system"]])
    destination = open_destination(world, LINE)
    with pytest.raises(DefinitionError, match="gone"):
        deliver(destination, ("1", "a"), ("2", "b"))
    destination.close()
    assert world.numbers() == []


def test_a_full_disk_takes_nothing_and_may_be_asked_again(tmp_path: Path) -> None:
    world = SqliteWorld(tmp_path)
    destination = open_destination(world, LINE)
    cursor = destination._cursor()  # type: ignore[attr-defined]
    (pages,) = cursor.execute("PRAGMA page_count").fetchone()
    cursor.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(TransientError, match="full"):
        deliver(destination, *[(f"{n:0500}", "a") for n in range(100)])
    assert world.numbers() == []
    assert deliver(destination, ("1", "a")).buckets == [Bucket.CREATED]
    destination.close()


def test_a_rule_that_throws_the_whole_transaction_away_is_named(tmp_path: Path) -> None:
    """SQLite's ON CONFLICT ROLLBACK leaves no savepoint to go back to."""
    world = SqliteWorld(tmp_path)
    world.ask("CREATE TABLE harsh (number TEXT UNIQUE ON CONFLICT ROLLBACK, name TEXT)")
    world.ask("INSERT INTO harsh VALUES ('2', 'there')")
    destination = open_destination(world, Line(**{**LINE.__dict__, "target": "harsh"}))
    with pytest.raises(DefinitionError, match="UNIQUE constraint failed"):
        deliver(destination, ("1", "a"), ("2", "b"))
    destination.close()
    assert world.ask("SELECT number FROM harsh") == [("2",)]


def test_many_refused_documents_are_each_found(world: Any) -> None:
    destination = open_destination(world, UPSERT)
    records = [(str(n), "x" * 30 if n % 7 == 0 else "fine", None, None) for n in range(1, 101)]
    delivery = deliver(destination, *records)
    destination.close()
    failed = {index + 1 for index, bucket in enumerate(delivery.buckets) if bucket is Bucket.FAILED}
    assert failed == {n for n in range(1, 101) if n % 7 == 0}
    assert len(world.numbers()) == 100 - len(failed)
    assert "“xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx” in name is refused by the rule name_is_short of customers." in {
        problem.sentence for problem in delivery.problems.values()
    }


def test_an_empty_required_column_is_named(world: Any) -> None:
    destination = open_destination(world, UPSERT)
    delivery = deliver(destination, ("1", None, None, None))
    destination.close()
    assert delivery.problems[0].sentence == "name may not be empty in customers."
    assert delivery.problems[0].where.column == "name"


@pytest.mark.parametrize("unfit", [10**30, "\ud800"], ids=["more than 64 bits", "half of a character"])
def test_a_value_that_the_driver_cannot_hand_over_fails_its_document_alone(world: Any, unfit: Any) -> None:
    number, amount = ("2", unfit) if isinstance(unfit, int) else (unfit, 1)
    destination = open_destination(world, EVENTS)
    world.ask("INSERT INTO customers (number, name) VALUES ('1', 'a'), ('2', 'b'), ('3', 'c')")
    delivery = deliver(destination, ("1", 1), (number, amount), ("3", 1))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    assert "refuses this record" in delivery.problems[1].sentence
    delivery.problems[1].sentence.encode()
    assert world.ask("SELECT customer FROM events ORDER BY customer") == [("1",), ("3",)]


def test_a_record_that_refers_to_nothing_fails_alone_also_where_the_rule_is_checked_at_the_end(world: Any) -> None:
    destination = open_destination(world, EVENTS, UPSERT)
    batch = batch_of(("1", 10), ("gone", 20), ("3", 30))
    batch.lines.append(LineRecords(records=[["1", "a", None, None], ["3", "c", None, None]], owners=[0, 2]))
    world.ask("INSERT INTO customers (number, name) VALUES ('1', 'a'), ('3', 'c')")
    delivery = destination.deliver(batch, ticket())
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    assert "refers to" in delivery.problems[1].sentence
    assert world.ask("SELECT customer FROM events ORDER BY customer") == [("1",), ("3",)]


def test_a_value_of_the_wrong_kind_fails_alone(postgres: Postgres) -> None:
    """SQLite keeps any text in any column; PostgreSQL does not."""
    world = PostgresWorld(postgres, f"crm_{next(made)}")
    line = Line(**{**UPSERT.__dict__, "fields": tuple(FieldMap(target=item.target) for item in UPSERT.fields)})
    destination = open_destination(world, line)
    delivery = deliver(destination, ("1", "a", "10", None), ("2", "b", "ten", None), ("3", "c", None, "soon"))
    destination.close()
    assert delivery.buckets == [Bucket.CREATED, Bucket.FAILED, Bucket.FAILED]
    assert "ten" in delivery.problems[1].sentence and "soon" in delivery.problems[2].sentence
    assert world.numbers() == ["1"]


def test_an_insert_of_what_is_there_names_the_key(world: Any) -> None:
    destination = open_destination(world, LINE)
    deliver(destination, ("1", "a"))
    delivery = deliver(destination, ("1", "b"))
    destination.close()
    assert delivery.problems[0].sentence == "customers already holds a record with number “1”."


@pytest.mark.parametrize("mode", [WriteMode.UPSERT, WriteMode.UPDATE])
@pytest.mark.parametrize(
    ("update_blanks", "sent", "there", "bucket"),
    [
        (True, ("1", "", None, None), ("1", "", None), Bucket.UPDATED),
        (False, ("1", "", None, None), ("1", "Acme", "10.5"), Bucket.UNCHANGED),
        (False, ("1", "Bolt", None, None), ("1", "Bolt", "10.5"), Bucket.UPDATED),
        (False, ("1", "", Decimal("7.50"), None), ("1", "Acme", "7.5"), Bucket.UPDATED),
        (False, ("1", "Acme", Decimal("10.50"), None), ("1", "Acme", "10.5"), Bucket.UNCHANGED),
    ],
)
def test_a_blank_value_overwrites_what_is_there_only_where_the_line_says_so(
    world: Any, mode: WriteMode, update_blanks: bool, sent: Any, there: Any, bucket: Bucket
) -> None:
    deliver_once(world, UPSERT, ACME)

    delivery = deliver_once(world, Line(**{**UPSERT.__dict__, "mode": mode, "update_blanks": update_blanks}), sent)

    assert delivery.buckets == [bucket]
    ((number, name, amount, since),) = world.ask("SELECT number, name, amount, since FROM customers")
    held = None if amount is None else f"{Decimal(str(amount)):.1f}"
    assert (number, name, held) == there
    assert (since is None) is update_blanks


def test_a_new_record_takes_its_blanks_in_any_case(world: Any) -> None:
    line = Line(**{**UPSERT.__dict__, "update_blanks": False})

    assert deliver_once(world, line, ("1", "", None, None)).buckets == [Bucket.CREATED]


def test_a_refusal_names_the_column_of_the_source_too(world: Any) -> None:
    fields = tuple(
        FieldMap(target=item.target, value=f"Source {item.target}", type=item.type) for item in UPSERT.fields
    )

    delivery = deliver_once(world, Line(**{**UPSERT.__dict__, "fields": fields}), ("1", "x" * 30, None, None))

    assert delivery.problems[0].sentence == (
        f"“{'x' * 30}” in name is refused by the rule name_is_short of customers. It comes from Source name."
    )


def deliver_once(world: Any, line: Line, *records: Any) -> Delivery:
    destination = open_destination(world, line)
    try:
        return deliver(destination, *records)
    finally:
        destination.close()


def test_an_update_of_what_is_not_there_fails_and_the_others_are_written(world: Any) -> None:
    destination = open_destination(world, LINE)
    deliver(destination, ("1", "a"), ("3", "c"))
    destination.close()
    destination = open_destination(world, Line(**{**LINE.__dict__, "mode": WriteMode.UPDATE}))
    delivery = deliver(destination, ("1", "A"), ("2", "B"), ("3", "c"))
    destination.close()
    assert delivery.buckets == [Bucket.UPDATED, Bucket.FAILED, Bucket.UNCHANGED]
    assert delivery.problems[1].sentence == "customers holds no record 2, and the line Customer only updates."


def test_a_delete_says_what_was_there(world: Any) -> None:
    destination = open_destination(world, LINE)
    deliver(destination, ("1", "a"))
    destination.close()
    destination = open_destination(world, Line(**{**LINE.__dict__, "mode": WriteMode.DELETE}))
    assert deliver(destination, ("1", "a"), ("2", "b")).buckets == [Bucket.UPDATED, Bucket.UNCHANGED]
    destination.close()
    assert world.numbers() == []


def test_a_segment_is_committed_once_and_its_answer_is_remembered(marked: Any) -> None:
    first = open_destination(marked, LINE)
    assert first.settles
    entered = first.enter(ticket(1))
    assert entered is not None and entered.segment == 0
    answer = deliver(first, ("1", "a"), ("2", None))
    again = first.deliver(batch_of(("1", "a"), ("2", None)), ticket(1))
    first.close()
    assert again.buckets == answer.buckets == [Bucket.CREATED, Bucket.FAILED]
    assert again.problems == answer.problems
    second = open_destination(marked, LINE)
    settled = second.enter(ticket(2, epoch=2))
    second.close()
    assert settled is not None and settled.segment == 1
    assert settled.delivery is not None and settled.delivery.buckets == answer.buckets


def test_a_worker_of_an_older_epoch_can_commit_nothing(marked: Any) -> None:
    old, new = open_destination(marked, LINE), open_destination(marked, LINE)
    old.enter(ticket(1, epoch=1))
    new.enter(ticket(1, epoch=2))
    with pytest.raises(Fenced):
        old.deliver(batch_of(("1", "a")), ticket(1, epoch=1))
    with pytest.raises(Fenced):
        old.enter(ticket(1, epoch=1))
    assert marked.numbers() == []
    new.deliver(batch_of(("1", "a")), ticket(1, epoch=2))
    old.close()
    new.close()
    assert marked.numbers() == ["1"]


@pytest.mark.parametrize("segment", [1, 5])
def test_a_marker_made_after_a_segment_left_does_not_pretend_to_know_of_it(marked: Any, segment: int) -> None:
    for epoch in (2, 3):  # also a second worker that ends before it has told the ledger
        destination = open_destination(marked, LINE)
        assert destination.enter(ticket(segment, epoch=epoch, in_doubt=True)) is None
        destination.close()
    destination = open_destination(marked, LINE)
    destination.enter(ticket(segment, epoch=4, in_doubt=True))
    # The engine calls that segment unknown and goes on with the next one, of which the marker knows.
    destination.deliver(batch_of(("1", "a")), ticket(segment + 1, epoch=4))
    settled = destination.enter(ticket(segment + 1, epoch=5, in_doubt=True))
    assert settled is not None and settled.segment == segment + 1 and settled.delivery is not None
    destination.close()
    assert marked.numbers() == ["1"]


@pytest.mark.parametrize("segment", [1, 5])
def test_a_marker_made_between_two_segments_knows_of_every_later_one(marked: Any, segment: int) -> None:
    destination = open_destination(marked, LINE)
    settled = destination.enter(ticket(segment, epoch=2))
    assert settled is not None and settled.segment == segment - 1
    settled = destination.enter(ticket(segment, epoch=3, in_doubt=True))
    assert settled is not None and settled.delivery is None, "it is known that nothing was committed"
    destination.deliver(batch_of(("1", "a")), ticket(segment, epoch=3))
    destination.close()


def test_an_answer_survives_its_packing() -> None:
    delivery = Delivery(
        buckets=list(Bucket),
        problems={4: Problem(sentence="“ü” is refused.", cause="refused", answer="no")},
        line_counts=[{Bucket.CREATED: 3, Bucket.UNKNOWN: 1}],
    )
    assert marker.unpacked(marker.packed(delivery)) == delivery


def test_a_table_or_column_that_is_not_there_is_named_before_anything_is_sent(world: Any) -> None:
    with pytest.raises(DefinitionError, match="no table nowhere"):
        open_destination(world, Line(**{**LINE.__dict__, "target": "nowhere"}))
    with pytest.raises(DefinitionError, match="has no column nmae"):
        open_destination(world, Line(**{**LINE.__dict__, "fields": (FieldMap(target="nmae"),)}))
    with pytest.raises(DefinitionError, match="needs key fields"):
        open_destination(world, Line(**{**LINE.__dict__, "mode": WriteMode.UPSERT, "keys": ()}))


def test_a_database_that_goes_away_takes_nothing_and_may_be_asked_again(postgres: Postgres) -> None:
    world = PostgresWorld(postgres, f"crm_{next(made)}")
    destination = open_destination(world, UPSERT)
    deliver(destination, ACME)
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (world.schema,))
    with pytest.raises(TransientError):
        deliver(destination, ("2", "b", None, None))
    assert world.numbers() == ["1"]
    assert deliver(destination, ("2", "b", None, None)).buckets == [Bucket.CREATED]
    destination.close()


def test_a_server_that_does_not_answer_may_be_asked_again(tmp_path: Path) -> None:
    settings = {"system": "postgresql", "host": "127.0.0.1", "port": free_port(), "database": "x", "user": "x"}
    opened = Opened(public_id="c", name="CRM", settings=settings, allow_nets=["127.0.0.0/8"])

    class Away:
        kind = "sql"

        def opened(self) -> Opened:
            return opened

        def numbers(self) -> list[str]:
            return []

    with pytest.raises(TransientError, match="does not answer"):
        open_destination(Away(), UPSERT)


def test_a_database_that_another_program_holds_may_be_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql.systems, "BUSY_SECONDS", 0.2)
    world = SqliteWorld(tmp_path)
    destination = open_destination(world, UPSERT)
    with closing(sqlite3.connect(world.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TransientError, match="locked"):
            deliver(destination, ACME)
        with pytest.raises(TransientError, match="locked"):
            open_destination(world, UPSERT)
        other.execute("ROLLBACK")
    assert deliver(destination, ACME).buckets == [Bucket.CREATED]
    destination.close()


def test_targets_tell_types_keys_and_what_is_required(world: Any) -> None:
    found = {target.name: {field.name: field for field in target.fields} for target in sql.targets(world.opened())}
    customers = found["customers"]
    assert customers["number"].key and customers["number"].required
    assert customers["name"].required and not customers["amount"].required
    assert (customers["amount"].type, customers["since"].type) == (ValueType.DECIMAL, ValueType.DATE)


def test_a_test_offers_the_marker_until_it_is_there(world: Any) -> None:
    before = sql.test(world.opened())
    assert before.ok and before.offers == ("delivery_marker",)
    sql.create_marker(world.opened())
    after = sql.test(world.opened())
    assert after.ok and not after.offers


def queried(world: Any, query: str, **context: Any) -> Any:
    spec = SourceSpec(kind="sql_query", options={"query": query})
    return source_kind("sql_query").open(SourceContext(spec=spec, opened=world.opened(), **context))


def test_a_query_gives_text_and_cannot_write(world: Any) -> None:
    world.ask("INSERT INTO customers VALUES ('00123', 'Köhler', 10.5, '2026-01-31')")
    rows = queried(world, "SELECT number, name, since, NULL AS no_value FROM customers;")
    assert rows.columns == ("number", "name", "since", "no_value")
    assert [row for batch in rows.read() for row in batch.rows] == [["00123", "Köhler", "2026-01-31", ""]]
    for query in ("DELETE FROM customers", "SELECT nonsense FROM customers"):
        with pytest.raises(SourceError):
            list(queried(world, query).read())
    assert world.numbers() == ["00123"]


def test_a_query_has_its_variables_bound_and_never_pasted(world: Any) -> None:
    for number, name in (("1", "100 % Anna"), ("2", "x' OR 'a' = 'a")):
        world.ask(f"INSERT INTO customers VALUES ('{number}', '{name.replace(chr(39), chr(39) * 2)}', 1, '2026-01-31')")
    query = "SELECT number FROM customers WHERE name = [GBL_NAME] AND name LIKE '%%' AND [GBL_NAME] <> '';"

    found = [
        [row for batch in queried(world, query, values={"GBL_NAME": name}).read() for row in batch.rows]
        for name in ("100 % Anna", "x' OR 'a' = 'a", "' OR 1 = 1 --")
    ]

    assert found == [[["1"]], [["2"]], []]


def test_a_query_of_many_rows_gives_each_once(world: Any) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5001) SELECT i FROM n"
    batches = list(queried(world, numbers).read())
    assert [row for batch in batches for row in batch.rows] == [[str(i)] for i in range(1, 5002)]
    assert [batch.first_row for batch in batches] == [1, 2001, 4001]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; COMMIT; BEGIN READ WRITE; DELETE FROM customers; COMMIT",
        "SELECT 1; DELETE FROM customers",
        "SELECT set_config('transaction_read_only', 'off', false); DELETE FROM customers",
        "COMMIT",
        "WITH gone AS (DELETE FROM customers RETURNING number) SELECT * FROM gone",
    ],
)
def test_a_query_cannot_leave_the_transaction_that_only_reads(world: Any, query: str) -> None:
    world.ask("INSERT INTO customers (number, name) VALUES ('1', 'a')")
    source = queried(world, query)
    with pytest.raises(SourceError):
        list(source.read())
    source.close()
    assert world.numbers() == ["1"]


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM INTO '{place}'",
        "ATTACH '{place}' AS other",
        "PRAGMA temp_store_directory = '{place}'",
        "CREATE TEMP TABLE t (a)",
        "PRAGMA journal_mode = DELETE",
    ],
)
def test_a_query_of_a_sqlite_file_reaches_no_other_file(tmp_path: Path, statement: str) -> None:
    world = SqliteWorld(tmp_path)
    with pytest.raises(SourceError, match="refused"):
        list(queried(world, statement.format(place=tmp_path / "taken")).read())
    assert [file.name for file in tmp_path.iterdir()] == ["crm.db"]


def test_a_query_of_a_sqlite_file_may_use_what_only_reads(tmp_path: Path) -> None:
    world = SqliteWorld(tmp_path)
    world.ask("INSERT INTO customers (number, name) VALUES ('1', 'a')")
    query = "SELECT upper(c.name), j.value FROM customers c, json_each('[1, 2]') j ORDER BY 2"
    assert [row for batch in queried(world, query).read() for row in batch.rows] == [["A", "1"], ["A", "2"]]


KILLED_WRITER = """
import os, signal, sqlite3, sys
crm = sqlite3.connect(sys.argv[1], isolation_level=None)
crm.execute("PRAGMA cache_size = 5")
crm.execute("BEGIN IMMEDIATE")
crm.executemany("INSERT INTO customers (number, name) VALUES (?, 'half done')", ((n,) for n in range(2, 5000)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_sqlite_file_whose_writer_was_killed_is_read_as_it_was_before(tmp_path: Path) -> None:
    world = SqliteWorld(tmp_path)
    world.ask("INSERT INTO customers (number, name) VALUES ('1', 'a')")
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(tmp_path / "crm.db")], check=False)
    assert (tmp_path / "crm.db-journal").exists(), "or there is nothing to roll back"
    query = "SELECT number FROM customers"
    assert [row for batch in queried(world, query).read() for row in batch.rows] == [["1"]]


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT count(*) FROM generate_series(1, 100000000000)",
}


def test_a_query_without_end_is_ended_in_plain_words(world: Any) -> None:
    source = queried(world, ENDLESS[world.opened().settings["system"]], seconds=0.5)
    with pytest.raises(SourceError, match=r"took longer than 0\.5 s"):
        list(source.read())
    source.close()


def test_a_query_can_be_interrupted_from_another_thread(world: Any) -> None:
    source = queried(world, ENDLESS[world.opened().settings["system"]])
    raised: list[Exception] = []

    def read() -> None:
        try:
            list(source.read())
        except SourceError as error:
            raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    source.interrupt()
    thread.join(30)
    assert not thread.is_alive() and len(raised) == 1


def test_a_record_that_others_hold_is_waited_for_a_bounded_time(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql.systems, "BUSY_SECONDS", 0.5)
    world = PostgresWorld(postgres, f"crm_{next(made)}")
    destination = open_destination(world, UPSERT)
    deliver(destination, ACME)
    with psycopg.connect(world.url) as other:
        other.execute("UPDATE customers SET name = 'held'")
        with pytest.raises(TransientError, match="lock timeout"):
            deliver(destination, ("1", "b", None, None))
    destination.close()


def test_a_statement_without_end_takes_nothing(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    world = PostgresWorld(postgres, f"crm_{next(made)}")
    world.ask(
        """CREATE FUNCTION dream() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(600); RETURN NEW; END';
        CREATE TRIGGER dreams BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION dream()"""
    )
    monkeypatch.setattr(sql.systems.Postgres.connect, "__kwdefaults__", {"read_only": False, "seconds": 0.5})
    destination = open_destination(world, UPSERT)
    with pytest.raises(TransientError, match="statement timeout"):
        deliver(destination, ACME)
    destination.close()
    assert world.numbers() == []


def test_a_database_outside_of_the_opened_folders_is_refused(tmp_path: Path) -> None:
    opened = Opened(public_id="c", name="CRM", settings={"system": "sqlite", "path": "/etc/passwd"}, folders=[tmp_path])
    assert "outside of the folders" in sql.test(opened).sentence


def test_a_server_in_a_private_network_is_refused_unless_it_is_opened() -> None:
    settings = {"system": "postgresql", "host": "127.0.0.1", "port": 5432, "database": "x", "user": "x"}
    with pytest.raises(AdministratorError, match="private network"):
        sql.systems.Postgres(Opened(public_id="c", name="CRM", settings=settings)).connect()
