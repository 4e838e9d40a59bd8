"""Plain functions that make what a test needs, with defaults that make sense."""

from functools import cache
from typing import Any

from django.contrib.auth.hashers import make_password
from django_scopes import scope

from accounts.keys import new_data_key
from accounts.models import Company, Membership, Role, User
from integrations.engine.plan import Column, ColumnType, DestinationSpec, FieldMap, Line, Plan, SourceSpec
from integrations.models import Connection, Process, ProcessVersion

PASSWORD = "Correct-Horse-9!battery"


def make_company(name: str = "Harwood Outdoor", **fields: Any) -> Company:
    return Company.objects.create(name=name, data_key=new_data_key(), **fields)


def make_user(email: str, *, company: Company | None = None, role: Role | None = None, **fields: Any) -> User:
    fields = {"name": email.split("@")[0].title(), "password": hashed_password(), **fields}
    user = User.objects.create(email=email, **fields)
    if company and role:
        Membership.objects.create(user=user, company=company, role=role)
    return user


@cache
def hashed_password() -> str:
    """Hashed once: Argon2 is slow on purpose."""
    return make_password(PASSWORD)


def make_connection(company: Company, name: str = "Demo CRM", connector: str = "sql", **settings: Any) -> Connection:
    with scope(company=company):
        return Connection.objects.create(company=company, name=name, connector=connector, settings=settings)


def make_plan(connection: Connection, **changes: Any) -> Plan:
    """A small customers plan: key CustomerNumber, two fields, one upsert line into `customers`."""
    parts: dict[str, Any] = {
        "process": "CUSTOMERS_TO_CRM",
        "source": SourceSpec(kind="delimited", columns=(Column(name="CustomerNumber"), Column(name="Name"))),
        "destination": DestinationSpec(kind="sql", connection=str(connection.public_id)),
        "key_fields": ("CustomerNumber",),
        "lines": (
            Line(
                name="Customer",
                target="customers",
                keys=("customer_number",),
                fields=(
                    FieldMap(target="customer_number", value="CustomerNumber", required=True),
                    FieldMap(target="name", column_type=ColumnType.SOURCE_COLUMN, value="Name"),
                ),
            ),
        ),
    }
    return Plan(**{**parts, **changes})


def make_process(company: Company, plan: Plan, *, name: str = "", by: User | None = None) -> Process:
    """A process with one runnable version of `plan`."""
    with scope(company=company):
        process = Process.objects.create(
            company=company, name=name or plan.process, draft=plan.to_json(), created_by=by
        )
        ProcessVersion.objects.create(
            company=company, process=process, number=1, plan_json=plan.to_json(), created_by=by
        )
    return process
