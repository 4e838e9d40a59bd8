"""The SQL systems: how to reach one, and where their dialects differ. Everything else is the same for all."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import psycopg
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.pool import NullPool

from integrations.connectors.places import allowed_path
from integrations.connectors.spec import Opened, Target, TargetField
from integrations.egress.rules import check
from integrations.engine.errors import AdministratorError, DefinitionError, TransientError
from integrations.engine.plan import ValueType
from integrations.engine.secret import Secret

CONNECT_SECONDS = 10
BUSY_SECONDS = 20.0
"""How long a statement waits for a lock that others hold."""
STATEMENT_SECONDS = 600.0
"""How long one statement of a delivery may take on a server."""
CATALOG_SECONDS = 20.0
SILENT_SECONDS = 30
"""After this long without a sign, a server is asked whether it is still there."""
STEPS_A_LOOK = 10_000


class Connection(Protocol):
    """What both drivers give. Transactions are begun and ended by statements."""

    def cursor(self) -> Any: ...
    def close(self) -> None: ...


class System(ABC):
    """One SQL database behind a connection."""

    mark: ClassVar[str]
    """The placeholder of a parameter."""
    same: ClassVar[str]
    """The comparison that holds for two nulls as well."""
    begin: ClassVar[str]
    errors: ClassVar[tuple[type[Exception], ...]]
    """What the driver raises, also for a value that it cannot hand over."""
    refusals: ClassVar[tuple[type[Exception], ...]]
    """What says that a record is at fault: a rule of the database is broken, or a value cannot be taken."""
    check_now: ClassVar[str] = ""
    """The statement that has rules checked at once which are otherwise checked at the end, if there is one."""
    not_plain: ClassVar[frozenset[ValueType]] = frozenset()
    """The types whose values `plain` has to be asked for."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened

    @abstractmethod
    def connect(self, *, read_only: bool = False, seconds: float = STATEMENT_SECONDS) -> Any:
        """Open a connection in autocommit mode. Raises `WaybillError` with the next step.

        A server ends a statement that takes longer than `seconds`.
        """

    @abstractmethod
    def fill(self, cursor: Any, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> None:
        """Bring records into a table in bulk."""

    @abstractmethod
    def is_passing(self, error: Exception) -> bool:
        """Say whether the statement may do better later: a lock, a lost connection, a restart."""

    @abstractmethod
    def execute(self, connection: Any, statement: str, values: Sequence[Any]) -> Any:
        """Execute one statement within the transaction that was begun, which it cannot end; give its cursor."""

    @abstractmethod
    def stream(self, connection: Any, query: str, values: Sequence[Any], *, is_over: Callable[[], bool]) -> Any:
        """Run a query, one that only reads, and give a cursor that does not hold all of its rows.

        A database in this process asks `is_over` now and then, and ends the query when it is.
        """

    @abstractmethod
    def interrupt(self, connection: Any) -> None:
        """End the statement that another thread waits for on this connection."""

    @abstractmethod
    def was_ended(self, error: Exception) -> bool:
        """Say whether a statement was ended because it took too long."""

    def plain(self, value: Any) -> Any:
        """Give a typed value as the driver takes it."""
        return value

    def number(self, value: Decimal) -> Any:
        """Give a number as the database compares it with those it has."""
        return int(value) if value == value.to_integral_value() else value

    def without_equality(self, cursor: Any, table: str) -> frozenset[str]:
        """Name the columns of a table whose types cannot be compared, only their texts can."""
        return frozenset()

    def quoted(self, name: str) -> str:
        """Quote a name, with its schema if it has one ("sales.orders")."""
        return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))

    @contextmanager
    def inspector(self) -> Iterator[Inspector]:
        engine = self._engine()
        try:
            with engine.connect() as connection:
                yield inspect(connection)
        except DBAPIError as error:
            said = str(error.orig).strip().split("\n", 1)[0]
            if isinstance(error.orig, Exception) and self.is_passing(error.orig):
                raise TransientError(f"{self.opened.name} does not answer now: {said}.", code="sql.busy") from error
            raise DefinitionError(
                f"{self.opened.name} does not tell its tables: {said}. Check the connection.", code="sql.statement"
            ) from error
        finally:
            engine.dispose()

    def _catalog(self) -> Any:
        return self.connect(read_only=True, seconds=CATALOG_SECONDS)

    @abstractmethod
    def _engine(self) -> Engine: ...


class Sqlite(System):
    """A SQLite file on the server's own disk, inside the folders that the installation opens."""

    mark = "?"
    same = "IS"
    begin = "BEGIN IMMEDIATE"
    # A number of more than 64 bits and half of a character do not reach SQLite at all; a second statement is a warning.
    errors = (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError)
    refusals = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)
    not_plain = frozenset({ValueType.DECIMAL, ValueType.DATE, ValueType.DATETIME})

    def connect(self, *, read_only: bool = False, seconds: float = STATEMENT_SECONDS) -> sqlite3.Connection:
        path = allowed_path(str(self.opened.settings.get("path") or ""), self.opened.folders)
        if not path.is_file():
            raise DefinitionError(
                f"There is no database file at “{path}”. Correct the path of the connection {self.opened.name}.",
                code="sql.no_file",
            )
        try:
            # A reader too opens the file to write, where it may: what a writer that was killed left half done is rolled
            # back by whoever comes next.
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
                check_same_thread=False,
            )
            # Off unless asked for: what another table must hold is a rule of the destination like any other.
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA cache_size = -32000")
            connection.execute("SELECT count(*) FROM sqlite_master")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        except sqlite3.DatabaseError as error:
            if self.is_passing(error):
                raise TransientError(f"The database of {self.opened.name} is locked by another program.") from error
            raise DefinitionError(
                f"“{path}” is no SQLite database, or may not be opened: {error}.", code="sql.not_a_database"
            ) from error
        return connection

    def fill(self, cursor: Any, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", records)

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) and any(
            word in str(error) for word in ("locked", "busy", "disk I/O error", "unable to open", "full")
        )

    def execute(self, connection: Any, statement: str, values: Sequence[Any]) -> Any:
        connection.set_authorizer(_stays_here)
        try:
            return connection.execute(statement, values)
        finally:
            connection.set_authorizer(None)

    def stream(self, connection: Any, query: str, values: Sequence[Any], *, is_over: Callable[[], bool]) -> Any:
        connection.set_authorizer(_only_reads)
        connection.set_progress_handler(is_over, STEPS_A_LOOK)
        return connection.execute(query, values)

    def interrupt(self, connection: Any) -> None:
        connection.interrupt()

    def was_ended(self, error: Exception) -> bool:
        return str(error) == "interrupted"

    def plain(self, value: Any) -> Any:
        if isinstance(value, Decimal):
            return f"{value:f}"
        if isinstance(value, datetime):
            return value.isoformat(" ")
        return value.isoformat() if isinstance(value, date) else value

    def number(self, value: Decimal) -> Any:
        whole = value == value.to_integral_value() and -(2**63) <= value < 2**63
        return int(value) if whole else float(value)

    def _engine(self) -> Engine:
        return create_engine("sqlite://", creator=self._catalog, poolclass=NullPool)


def _only_reads(action: int, what: str | None, *_: str | None) -> int:
    """Let a query read the tables of its database, and do nothing else: not attach another file, nor write one."""
    if action in READS or (action, what) == DECLARES_TABLE_FUNCTION:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _stays_here(action: int, *_: str | None) -> int:
    """Let a statement do what it will in its own database: not attach another file, nor end the transaction."""
    return sqlite3.SQLITE_DENY if action in LEAVES else sqlite3.SQLITE_OK


LEAVES = {
    *(sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA),
    *(sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT),
}
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
DECLARES_TABLE_FUNCTION = (sqlite3.SQLITE_UPDATE, "sqlite_master")
"""What SQLite asks for when a function such as json_each stands for a table. The connection itself only reads."""


class Postgres(System):
    """A PostgreSQL server, reached at the address that the network rule has judged."""

    mark = "%s"
    same = "IS NOT DISTINCT FROM"
    begin = "BEGIN"
    errors = (psycopg.Error, UnicodeEncodeError)
    refusals = (
        psycopg.IntegrityError,
        psycopg.DataError,
        psycopg.errors.RaiseException,
        psycopg.errors.WithCheckOptionViolation,
        # A text too long for the index it is in.
        psycopg.errors.ProgramLimitExceeded,
        UnicodeEncodeError,
    )
    # Deferred again behind it, so that the next part may come in any order of its lines, too.
    check_now = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"

    def connect(self, *, read_only: bool = False, seconds: float = STATEMENT_SECONDS) -> "psycopg.Connection[Any]":
        settings = self.opened.settings
        host = str(settings.get("host") or "")
        try:
            port = int(settings.get("port") or 5432)
        except ValueError:
            raise DefinitionError(f"“{settings.get('port')}” is no port. Enter a number such as 5432.") from None
        password = settings.get("password")
        try:
            connection = psycopg.connect(
                host=host,
                hostaddr=check(host, port, self.opened.allow_nets),
                port=port,
                dbname=str(settings.get("database") or ""),
                user=str(settings.get("user") or ""),
                password=password.reveal() if isinstance(password, Secret) else str(password or "") or None,
                sslmode=str(settings.get("sslmode") or "prefer"),
                connect_timeout=CONNECT_SECONDS,
                application_name="waybill",
                autocommit=True,
                prepare_threshold=None,
                keepalives_idle=SILENT_SECONDS,
                keepalives_interval=SILENT_SECONDS // 3,
                keepalives_count=3,
                tcp_user_timeout=2 * SILENT_SECONDS * 1000,
            )
            connection.execute(f"SET statement_timeout = {int(seconds * 1000)}")
            connection.execute(f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}")
            if read_only:
                connection.execute("SET default_transaction_read_only = on")
        except psycopg.OperationalError as error:
            raise self._unreachable(error, host) from error
        return connection

    def fill(self, cursor: Any, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> None:
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for record in records:
                copy.write_row(record)

    def without_equality(self, cursor: Any, table: str) -> frozenset[str]:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "AND atttypid = ANY ('{json,json[],xml,xml[],point,point[],polygon,polygon[]}'::regtype[])",
            (table,),
        )
        return frozenset(row[0] for row in cursor.fetchall())

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, psycopg.OperationalError)

    def execute(self, connection: Any, statement: str, values: Sequence[Any]) -> Any:
        # Binary asks for the extended protocol, which takes one statement.
        cursor = connection.cursor().execute(statement, values or None, binary=True)
        if connection.info.transaction_status is not psycopg.pq.TransactionStatus.INTRANS:
            raise psycopg.ProgrammingError("it ends the transaction that it is part of")
        return cursor

    def stream(self, connection: Any, query: str, values: Sequence[Any], *, is_over: Callable[[], bool]) -> Any:
        connection.execute("BEGIN READ ONLY")
        # A named cursor is declared in the extended protocol, which takes one statement: nothing can end the
        # transaction that only reads.
        cursor = connection.cursor("waybill_rows", scrollable=False)
        try:
            return cursor.execute(query, values or None)
        except psycopg.Error:
            cursor.close()
            raise

    def interrupt(self, connection: Any) -> None:
        connection.cancel()

    def was_ended(self, error: Exception) -> bool:
        return isinstance(error, psycopg.errors.QueryCanceled)

    def _unreachable(self, error: psycopg.OperationalError, host: str) -> Exception:
        said = str(error).strip().splitlines()[-1] if str(error).strip() else "no answer"
        if any(word in said for word in ("authentication", "password", "does not exist", "no pg_hba", "permission")):
            return AdministratorError(
                f"The PostgreSQL server of {self.opened.name} refuses the sign-in: {said}. "
                "Correct the user, password or database of the connection.",
                code="sql.refused",
            )
        return TransientError(f"The PostgreSQL server of {self.opened.name} at {host} does not answer: {said}.")

    def _engine(self) -> Engine:
        return create_engine("postgresql+psycopg://", creator=self._catalog, poolclass=NullPool)


SYSTEMS: Mapping[str, type[System]] = {"sqlite": Sqlite, "postgresql": Postgres}


def system_of(opened: Opened) -> System:
    """Give the system a connection speaks to."""
    key = str(opened.settings.get("system") or "sqlite")
    if key not in SYSTEMS:
        raise DefinitionError(f"“{key}” is no known SQL system. Choose one on the connection {opened.name}.")
    return SYSTEMS[key](opened)


def targets(opened: Opened) -> list[Target]:
    """List the tables that can be written to, with their columns."""
    with system_of(opened).inspector() as inspector:
        return [
            Target(name=name, fields=_fields(inspector, name))
            for name in sorted(inspector.get_table_names())
            if name != "waybill_delivery"
        ]


def _fields(inspector: Inspector, table: str) -> tuple[TargetField, ...]:
    keys = inspector.get_pk_constraint(table)["constrained_columns"]
    return tuple(
        TargetField(
            name=column["name"],
            type=_value_type(column["type"]),
            type_label=str(column["type"]),
            required=_is_required(column, keys),
            key=column["name"] in keys,
        )
        for column in inspector.get_columns(table)
    )


def _is_required(column: Any, keys: Sequence[str]) -> bool:
    """Say whether a record needs a value here: not where the database makes one itself."""
    if column["default"] is not None or column.get("identity") or column.get("autoincrement") is True:
        return False
    if list(keys) == [column["name"]] and str(column["type"]).upper() == "INTEGER":
        return False  # SQLite numbers such a key by itself
    return not column["nullable"] or column["name"] in keys


def _value_type(column_type: Any) -> ValueType:
    """Give the type a mapped value should have before it is sent; what is not known here stays text."""
    try:
        python = column_type.python_type
    except NotImplementedError:
        return ValueType.TEXT
    known = {
        int: ValueType.INTEGER,
        float: ValueType.DECIMAL,
        Decimal: ValueType.DECIMAL,
        bool: ValueType.BOOLEAN,
        date: ValueType.DATE,
        datetime: ValueType.DATETIME,
    }
    return known.get(python, ValueType.TEXT)


def table_fields(system: System, table: str) -> dict[str, TargetField]:
    """Give the columns of a table or view, in their order; none when there is no such table."""
    schema, _, name = table.rpartition(".")
    with system.inspector() as inspector:
        try:
            found = inspector.get_columns(name, schema=schema or None)
        except NoSuchTableError:
            return {}
        return {
            column["name"]: TargetField(
                name=column["name"], type=_value_type(column["type"]), type_label=str(column["type"])
            )
            for column in found
        }


def table_columns(system: System, table: str) -> list[str]:
    """Give the columns of a table; none when there is no such table."""
    schema, _, name = table.rpartition(".")
    with system.inspector() as inspector:
        if not inspector.has_table(name, schema=schema or None):
            return []
        return [column["name"] for column in inspector.get_columns(name, schema=schema or None)]


def rules_of(system: System, table: str) -> dict[str, str]:
    """Give the CHECK rules of a table: name (or the rule itself where it has none) → its text."""
    schema, _, name = table.rpartition(".")
    with system.inspector() as inspector:
        found = inspector.get_check_constraints(name, schema=schema or None)
    return {str(rule["name"] or rule["sqltext"]): str(rule["sqltext"]) for rule in found}


def reachable(system: System) -> int:
    """Connect and count the tables. Raises as `connect` does."""
    with closing(system.connect(read_only=True)):
        pass
    with system.inspector() as inspector:
        return len(inspector.get_table_names())
