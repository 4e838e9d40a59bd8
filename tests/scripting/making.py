"""Plans with scripts, and what they answer for rows."""

from collections.abc import Sequence

from integrations.engine.plan import ColumnType, DestinationSpec, FieldMap, Line, Plan, SourceSpec
from integrations.engine.ports import Computed, Fault
from integrations.scripting import Limits, open_scripts

COLUMNS = ("Number", "Name", "Zip Code")


def plan_of(*calculations: str, restriction: str = "") -> Plan:
    fields = tuple(
        FieldMap(target=f"field{number}", column_type=ColumnType.CALCULATION, value=script)
        for number, script in enumerate(calculations)
    )
    line = Line(name="Customer", target="customers", restriction=restriction, fields=fields)
    return Plan(
        process="P",
        source=SourceSpec(kind="listed"),
        destination=DestinationSpec(kind="world", connection=""),
        lines=(line,),
    )


def answers(plan: Plan, *rows: Sequence[str], limits: Limits | None = None) -> list[Computed | Fault]:
    """Evaluate each row as a document of one record on one line."""
    scripts = open_scripts(plan, COLUMNS, limits=limits)
    try:
        found = scripts.evaluate([[[list(row)]] for row in rows])
        return [answer if isinstance(answer, Fault) else answer[0][0] for answer in found]
    finally:
        scripts.close()


def calculated(script: str, *row: str) -> object:
    """The value that one calculation gives for one row, or the sentence of its fault."""
    (answer,) = answers(plan_of(script), row or ("C1", "Acme", "00123"))
    return answer.sentence if isinstance(answer, Fault) else answer.values[0]
