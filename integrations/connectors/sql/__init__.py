"""SQL databases: SQLite files and PostgreSQL servers, as sources and destinations."""

from contextlib import closing

from integrations.connectors.spec import (
    Connector,
    DestinationContext,
    DestinationKind,
    FieldKind,
    Opened,
    Setting,
    SourceContext,
    SourceKind,
    Tested,
)
from integrations.connectors.sql import marker
from integrations.connectors.sql.destination import SqlDestination
from integrations.connectors.sql.lookup import SqlFinder
from integrations.connectors.sql.query import QuerySource
from integrations.connectors.sql.systems import reachable, system_of, table_columns, targets
from integrations.engine.errors import WaybillError


def test(opened: Opened) -> Tested:
    """Connect, look at the tables, and say whether deliveries can be settled exactly."""
    try:
        system = system_of(opened)
        tables = reachable(system)
        marked = bool(table_columns(system, marker.TABLE))
    except WaybillError as error:
        return Tested(ok=False, sentence=error.sentence, checks=(("Connect", False, error.sentence),))
    words = f"{tables} table" if tables == 1 else f"{tables} tables"
    settled = (
        "The table waybill_delivery is there: after any interruption it tells exactly what arrived."
        if marked
        else "There is no table waybill_delivery: after an interruption, inserts may be unknown. Create it here."
    )
    return Tested(
        ok=True,
        sentence=f"The database answers and has {words}.",
        checks=(("Connect", True, f"The database answers and has {words}."), ("Delivery marker", marked, settled)),
        offers=() if marked else ("delivery_marker",),
    )


def create_marker(opened: Opened) -> str:
    """Create the delivery marker's table; say so."""
    system = system_of(opened)
    try:
        with closing(system.connect()) as connection:
            connection.cursor().execute(marker.CREATE)
    except system.errors as error:
        raise WaybillError(f"The table waybill_delivery could not be created: {error}.", code="sql.marker") from error
    return f"The table waybill_delivery now exists in {opened.name}."


def _open_destination(context: DestinationContext) -> SqlDestination:
    return SqlDestination(context)


def _open_query(context: SourceContext) -> QuerySource:
    return QuerySource(context)


SQLITE, POSTGRESQL = ("system", "sqlite"), ("system", "postgresql")

CONNECTOR = Connector(
    key="sql",
    title="SQL database",
    summary="SQLite files and PostgreSQL servers: query rows, insert, upsert, update and delete records.",
    settings=(
        Setting(
            name="system",
            label="System",
            kind=FieldKind.CHOICE,
            required=True,
            default="sqlite",
            leads=True,
            choices=(("sqlite", "SQLite file"), ("postgresql", "PostgreSQL")),
        ),
        Setting(
            name="path",
            label="File",
            is_path=True,
            only_with=SQLITE,
            help="The full path of the database file on the server.",
        ),
        Setting(name="host", leads=True, label="Host", only_with=POSTGRESQL, help="Name or address of the server."),
        Setting(name="port", leads=True, label="Port", only_with=POSTGRESQL, kind=FieldKind.NUMBER, default=5432),
        Setting(name="database", label="Database", only_with=POSTGRESQL),
        Setting(name="user", label="User", only_with=POSTGRESQL),
        Setting(name="password", label="Password", only_with=POSTGRESQL, kind=FieldKind.SECRET),
        Setting(
            name="sslmode",
            label="Encryption",
            only_with=POSTGRESQL,
            kind=FieldKind.CHOICE,
            default="prefer",
            choices=(
                ("prefer", "Where the server offers it"),
                ("require", "Required"),
                ("verify-full", "Required, with a certificate that fits"),
                ("disable", "None"),
            ),
        ),
    ),
    test=test,
    sources=(
        SourceKind(
            key="sql_query",
            title="SQL query",
            open=_open_query,
            repeatable=False,
            reads_changes=True,
            settings=(
                Setting(
                    name="query",
                    label="Query",
                    kind=FieldKind.LONG_TEXT,
                    required=True,
                    help="Global variables as [GBL_NAME], without quotes: their values are bound. A secure value that comes "
                    "back whole is dots; of one that the query takes apart or computes with, the result is shown and kept.",
                ),
            ),
        ),
    ),
    destinations=(DestinationKind(key="sql", title="SQL tables", open=_open_destination, targets=targets),),
    finder=SqlFinder,
    offers={"delivery_marker": create_marker},
)
