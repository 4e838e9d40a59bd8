"""The translation tables of one run, pinned when it starts: whoever resumes it translates by the same rows."""

from collections.abc import Mapping
from typing import Any

from integrations.engine.errors import DefinitionError
from integrations.engine.inputs import Table
from integrations.engine.plan import ColumnType, Plan
from integrations.models import TranslationRows, TranslationTable

Pins = dict[str, dict[str, Any]]
"""{public id of the table: {"name", "rows": the id of its rows}}, as `Run.tables` holds them."""


def pins_of(plan: Plan) -> Pins:
    """Say which rows a run that starts now translates by. Raises `DefinitionError` for a table that is gone."""
    named = {
        item.translation.table: item.target
        for item in (*plan.fields, *plan.additional)
        if item.column_type is ColumnType.TRANSLATION and item.translation and item.translation.table
    }
    if not named:
        return {}
    found = {str(table.public_id): table for table in TranslationTable.objects.filter(public_id__in=named)}
    for key, target in named.items():
        if key not in found:
            raise DefinitionError(
                f"The translation table of {target} no longer exists. Choose another one in the mapping.",
                code="definition.translation",
            )
    return {key: {"name": table.name, "rows": table.rows_id} for key, table in found.items()}


def tables_of(pins: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """Read the tables that were pinned."""
    if not pins:
        return {}
    rows = TranslationRows.objects.in_bulk([pin["rows"] for pin in pins.values()])
    missing = [pin["name"] for pin in pins.values() if pin["rows"] not in rows]
    if missing:
        raise DefinitionError(f"The rows of the translation table {missing[0]} are gone. Run again.")
    return {key: Table(name=pin["name"], rows=dict(rows[pin["rows"]].pairs)) for key, pin in pins.items()}
