"""The processes of the Demo company, as a designer would have defined them."""

from integrations.engine.plan import (
    Aggregate,
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    ParentData,
    Plan,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    ValueType,
    Variable,
    WriteMode,
)
from integrations.models import Connection, Process

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


FAILED_CUSTOMERS = "GBL_FAILED_CUSTOMERS"
WEB_SHOP_QUERY = """SELECT customer_number AS customerNumber, company_name AS companyName, email, state
FROM web_shop_customers
ORDER BY customer_number
"""
RESET_FAILED = f"""this.{FAILED_CUSTOMERS} = "";
return true;
"""
COLLECT_FAILED = f"""this.{FAILED_CUSTOMERS} = this.{FAILED_CUSTOMERS} + this._companyName + "|";
return true;
"""
NOT_FAILED = f"""// The run that started this one collected the names that the CRM refused, each with a | behind it.
return !this.{FAILED_CUSTOMERS}.split("|").includes(this._companyName);
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


def mark_web_shop_plan(crm: Connection) -> Plan:
    """MARK_WEB_SHOP: notes in the web shop which customers the CRM has, but for those it refused."""
    return Plan(
        process="MARK_WEB_SHOP",
        source=_web_shop(crm),
        destination=DestinationSpec(kind="sql", connection=str(crm.public_id)),
        key_fields=("companyName",),
        variables=(Variable(name=FAILED_CUSTOMERS),),
        lines=(
            Line(
                name="Customer",
                target="web_shop_customers",
                mode=WriteMode.UPDATE,
                keys=("company_name",),
                restriction=NOT_FAILED,
                fields=(
                    _from("company_name", "companyName", required=True),
                    FieldMap(target="in_crm", column_type=ColumnType.CONSTANT, value="yes"),
                ),
            ),
        ),
    )


def web_shop_plan(crm: Connection, mark: Process) -> Plan:
    """WEB_SHOP_TO_CRM: creates the web shop's customers in the CRM, remembers which it refused, and runs `mark` behind
    all of them, whether some failed or none."""
    return Plan(
        process="WEB_SHOP_TO_CRM",
        source=_web_shop(crm),
        destination=DestinationSpec(kind="sql", connection=str(crm.public_id)),
        key_fields=("companyName",),
        variables=(Variable(name=FAILED_CUSTOMERS),),
        tasks=(
            _script("RESET_FAILED_RECORDS", Stage.INTEGRATION_PRE, RESET_FAILED),
            _script("UPDATE_FAILED_RECORDS", Stage.DOCUMENT_POST_FAILURE, COLLECT_FAILED),
            _child("MARK_THOSE_THAT_ARRIVED_S", Stage.INTEGRATION_POST_SUCCESS, mark),
            _child("MARK_THOSE_THAT_ARRIVED_F", Stage.INTEGRATION_POST_FAILURE, mark),
        ),
        lines=(
            Line(
                name="Customer",
                target="customers",
                mode=WriteMode.UPSERT,
                keys=("customer_number",),
                fields=(
                    _from("customer_number", "customerNumber", required=True),
                    _from("name", "companyName", required=True),
                    _from("email", "email"),
                    _from("state", "state"),
                    FieldMap(target="source", column_type=ColumnType.CONSTANT, value="Web shop"),
                ),
            ),
        ),
    )


def _web_shop(crm: Connection) -> SourceSpec:
    columns = tuple(Column(name=name) for name in ("customerNumber", "companyName", "email", "state"))
    return SourceSpec(
        kind="sql_query", connection=str(crm.public_id), options={"query": WEB_SHOP_QUERY}, columns=columns
    )


def _script(name: str, stage: Stage, text: str) -> Task:
    return Task(name=name, type=TaskType.RUN_SCRIPT, stage=stage, script=text)


def _child(name: str, stage: Stage, process: Process) -> Task:
    return Task(
        name=name,
        type=TaskType.RUN_INTEGRATION,
        stage=stage,
        integration=str(process.public_id),
        parent_data=ParentData.ALL,
        use_variables=True,
    )


def _file(columns: tuple[str, ...]) -> SourceSpec:
    options = {"encoding": "utf-8", "delimiter": ",", "quote": '"', "header": True}
    return SourceSpec(kind="delimited", options=options, columns=tuple(Column(name=name) for name in columns))


def _from(target: str, column: str, value_type: ValueType = ValueType.TEXT, *, required: bool = False) -> FieldMap:
    return FieldMap(target=target, value=column, type=value_type, required=required)
