"""The translation tables of one run, pinned when it starts: whoever resumes it translates by the same rows."""

from collections.abc import Mapping
from typing import Any

from integrations.engine.errors import DefinitionError
from integrations.engine.inputs import Table
from integrations.engine.plan import Plan
from integrations.models import TranslationRows, TranslationTable

Pins = dict[str, dict[str, Any]]
"""{public id of the table: {"name", "rows": the id of its rows}}, as `Run.tables` holds them."""


def pins_of(plan: Plan) -> Pins:
    """Say which rows a run that starts now translates by. Tables that are gone are left out; the mapping names them."""
    named = {item.table for item in plan.translations if item.table}
    if not named:
        return {}
    found = TranslationTable.objects.filter(public_id__in=named)
    return {str(table.public_id): {"name": table.name, "rows": table.rows_id} for table in found}


def tables_of(pins: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """Read the tables that were pinned."""
    if not pins:
        return {}
    rows = TranslationRows.objects.in_bulk([pin["rows"] for pin in pins.values()])
    missing = [pin["name"] for pin in pins.values() if pin["rows"] not in rows]
    if missing:
        raise DefinitionError(f"The rows of the translation table {missing[0]} are gone. Run again.")
    return {key: Table(name=pin["name"], rows=dict(rows[pin["rows"]].pairs)) for key, pin in pins.items()}
