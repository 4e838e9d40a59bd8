"""The two processes of the Demo company, as a designer would have defined them."""

from integrations.engine.plan import (
    Aggregate,
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    Plan,
    SourceSpec,
    ValueType,
    WriteMode,
)
from integrations.models import Connection

CUSTOMER_COLUMNS = (
    "CustomerNumber",
    "CompanyName",
    "ContactName",
    "Email",
    "Phone",
    "Street",
    "City",
    "State",
    "ZipCode",
    "CreditLimit",
    "CustomerSince",
    "Status",
)
ORDER_COLUMNS = (
    "OrderNumber",
    "OrderDate",
    "CustomerNumber",
    "Currency",
    "LineNumber",
    "Sku",
    "Description",
    "Quantity",
    "UnitPrice",
    "LineTotal",
    "Priority",
)
ONLY_ACTIVE = """// Customers who left stay out of the CRM.
return this._Status !== "Inactive";
"""
CREDIT_CLASS = """var limit = Number(this._CreditLimit);
if (limit >= 50000) { return "A"; }
return limit >= 10000 ? "B" : "C";
"""


def customers_plan(crm: Connection) -> Plan:
    """CUSTOMERS_TO_CRM: key CustomerNumber, inactive ones restricted, upsert into `customers`."""
    return Plan(
        process="CUSTOMERS_TO_CRM",
        source=_file(CUSTOMER_COLUMNS),
        destination=DestinationSpec(kind="sql", connection=str(crm.public_id)),
        key_fields=("CustomerNumber",),
        lines=(
            Line(
                name="Customer",
                target="customers",
                mode=WriteMode.UPSERT,
                keys=("customer_number",),
                restriction=ONLY_ACTIVE,
                fields=(
                    _from("customer_number", "CustomerNumber", required=True),
                    _from("name", "CompanyName", required=True),
                    _from("contact", "ContactName"),
                    _from("email", "Email"),
                    _from("phone", "Phone"),
                    _from("street", "Street"),
                    _from("city", "City"),
                    _from("state", "State"),
                    _from("zip", "ZipCode"),
                    _from("credit_limit", "CreditLimit", ValueType.DECIMAL),
                    FieldMap(target="credit_class", column_type=ColumnType.CALCULATION, value=CREDIT_CLASS),
                    _from("customer_since", "CustomerSince", ValueType.DATE),
                    FieldMap(target="source", column_type=ColumnType.CONSTANT, value="Web shop"),
                ),
            ),
        ),
    )


def orders_plan(crm: Connection) -> Plan:
    """ORDERS_TO_CRM: a header line per order (First, and Sum of the lines' totals) and an item line per row."""
    return Plan(
        process="ORDERS_TO_CRM",
        source=_file(ORDER_COLUMNS),
        destination=DestinationSpec(kind="sql", connection=str(crm.public_id)),
        key_fields=("OrderNumber",),
        lines=(
            Line(
                name="Order header",
                target="orders",
                mode=WriteMode.UPSERT,
                keys=("order_number",),
                aggregates={"LineTotal": Aggregate.SUM, "OrderDate": Aggregate.FIRST},
                fields=(
                    _from("order_number", "OrderNumber", required=True),
                    _from("customer_number", "CustomerNumber", required=True),
                    _from("order_date", "OrderDate", ValueType.DATE, required=True),
                    _from("currency", "Currency"),
                    _from("priority", "Priority"),
                    _from("total", "LineTotal", ValueType.DECIMAL, required=True),
                ),
            ),
            Line(
                name="Item line",
                target="order_items",
                mode=WriteMode.UPSERT,
                keys=("order_number", "line_number"),
                grouped=False,
                fields=(
                    _from("order_number", "OrderNumber", required=True),
                    _from("line_number", "LineNumber", ValueType.INTEGER, required=True),
                    _from("sku", "Sku", required=True),
                    _from("description", "Description"),
                    _from("quantity", "Quantity", ValueType.INTEGER, required=True),
                    _from("unit_price", "UnitPrice", ValueType.DECIMAL, required=True),
                ),
            ),
        ),
    )


def _file(columns: tuple[str, ...]) -> SourceSpec:
    options = {"encoding": "utf-8", "delimiter": ",", "quote": '"', "header": True}
    return SourceSpec(kind="delimited", options=options, columns=tuple(Column(name=name) for name in columns))


def _from(target: str, column: str, value_type: ValueType = ValueType.TEXT, *, required: bool = False) -> FieldMap:
    return FieldMap(target=target, value=column, type=value_type, required=required)
