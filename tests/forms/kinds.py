"""Kinds of source and destination as small as a test of a form needs them."""

from typing import Any, NoReturn

from integrations.connectors.spec import DestinationKind, FieldKind, Setting, SourceKind, TargetField
from integrations.engine.plan import Column, ColumnType, DestinationSpec, FieldMap, Line, Plan, SourceSpec, ValueType
from integrations.forms.judging import Surroundings

CRM = "b2a7ad1e-6a5c-4a59-8f0a-0a3f7d0f3a11"


def never_opened(context: Any) -> NoReturn:
    raise AssertionError("A form opens nothing.")


FILE = SourceKind(
    key="file",
    title="Text file",
    open=never_opened,
    takes_file=True,
    extensions=(".csv",),
    settings=(
        Setting(name="encoding", label="Encoding", required=True, default="utf-8"),
        Setting(name="header", label="First line names the columns", kind=FieldKind.SWITCH, default=True),
        Setting(name="skip", label="Lines to skip", kind=FieldKind.NUMBER, default=0),
    ),
)
QUERY = SourceKind(
    key="query",
    title="Database query",
    open=never_opened,
    settings=(Setting(name="query", label="Query", kind=FieldKind.LONG_TEXT, required=True),),
)
CHANGING = SourceKind(
    key="changing",
    title="Web service",
    open=never_opened,
    reads_changes=True,
    watermark_in="path",
    settings=(Setting(name="path", label="Path", required=True),),
)
TABLE = DestinationKind(key="table", title="Table", open=never_opened)

FIELDS = (
    TargetField(name="customer_number", required=True, key=True),
    TargetField(name="name", required=True),
    TargetField(name="credit_limit", type=ValueType.DECIMAL),
)


def customers(**changes: Any) -> Plan:
    """A runnable plan: two columns into `customers`."""
    line = Line(
        name="Customer",
        target="customers",
        keys=("customer_number",),
        fields=(
            FieldMap(target="customer_number", value="CustomerNumber", required=True),
            FieldMap(target="name", value="Name", required=True),
            FieldMap(target="credit_limit", column_type=ColumnType.CONSTANT, value="100", type=ValueType.DECIMAL),
        ),
    )
    parts: dict[str, Any] = {
        "process": "CUSTOMERS",
        "source": SourceSpec(
            kind="file", options={"encoding": "utf-8"}, columns=(Column(name="CustomerNumber"), Column(name="Name"))
        ),
        "destination": DestinationSpec(kind="table", connection=CRM),
        "key_fields": ("CustomerNumber",),
        "lines": (line,),
    }
    return Plan(**{**parts, **changes})


def around(**changes: Any) -> Surroundings:
    parts: dict[str, Any] = {
        "sources": {"file": FILE, "query": QUERY, "changing": CHANGING},
        "destinations": {"table": TABLE},
        "connections": {CRM: "Demo CRM"},
        "targets": {"customers": FIELDS},
    }
    return Surroundings(**{**parts, **changes})
