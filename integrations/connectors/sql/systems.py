"""The SQL systems: how to reach one, and where their dialects differ. Everything else is the same for all."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import psycopg
from psycopg import sql as pg
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from integrations.connectors.places import allowed_path
from integrations.connectors.spec import Opened, Target, TargetField
from integrations.egress.rules import check
from integrations.engine.errors import AdministratorError, DefinitionError, TransientError
from integrations.engine.plan import ValueType
from integrations.engine.secret import Secret

CONNECT_SECONDS = 10
BUSY_SECONDS = 20.0


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
    def connect(self, *, read_only: bool = False) -> Any:
        """Open a connection in autocommit mode. Raises `WaybillError` with the next step."""

    @abstractmethod
    def fill(self, cursor: Any, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> None:
        """Bring records into a table in bulk."""

    @abstractmethod
    def is_passing(self, error: Exception) -> bool:
        """Say whether the statement may do better later: a lock, a lost connection, a restart."""

    @abstractmethod
    def stream(self, connection: Any, query: str) -> Any:
        """Run a query and give a cursor that does not hold all of its rows."""

    def plain(self, value: Any) -> Any:
        """Give a typed value as the driver takes it."""
        return value

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

    @abstractmethod
    def _engine(self) -> Engine: ...


class Sqlite(System):
    """A SQLite file on the server's own disk, inside the folders that the installation opens."""

    mark = "?"
    same = "IS"
    begin = "BEGIN IMMEDIATE"
    # A number of more than 64 bits and half of a character do not reach SQLite at all.
    errors = (sqlite3.Error, OverflowError, UnicodeEncodeError)
    refusals = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)
    not_plain = frozenset({ValueType.DECIMAL, ValueType.DATE, ValueType.DATETIME})

    def connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        path = allowed_path(str(self.opened.settings.get("path") or ""), self.opened.folders)
        if not path.is_file():
            raise DefinitionError(
                f"There is no database file at “{path}”. Correct the path of the connection {self.opened.name}.",
                code="sql.no_file",
            )
        mode = "ro" if read_only else "rw"
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode={mode}",
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

    def stream(self, connection: Any, query: str) -> Any:
        return connection.execute(query)

    def plain(self, value: Any) -> Any:
        if isinstance(value, Decimal):
            return f"{value:f}"
        if isinstance(value, datetime):
            return value.isoformat(" ")
        return value.isoformat() if isinstance(value, date) else value

    def _engine(self) -> Engine:
        return create_engine("sqlite://", creator=lambda: self.connect(read_only=True), poolclass=NullPool)


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

    def connect(self, *, read_only: bool = False) -> "psycopg.Connection[Any]":
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
            )
            if read_only:
                connection.execute("SET default_transaction_read_only = on")
        except psycopg.OperationalError as error:
            raise self._unreachable(error, host) from error
        return connection

    def fill(self, cursor: Any, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]) -> None:
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for record in records:
                copy.write_row(record)

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, psycopg.OperationalError)

    def stream(self, connection: Any, query: str) -> Any:
        cursor = connection.cursor()
        cursor.execute("BEGIN READ ONLY")
        cursor.execute(pg.SQL("DECLARE waybill_rows NO SCROLL CURSOR FOR ") + pg.SQL(query))
        cursor.execute("FETCH 2000 FROM waybill_rows")
        return cursor

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
        return create_engine("postgresql+psycopg://", creator=lambda: self.connect(read_only=True), poolclass=NullPool)


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
