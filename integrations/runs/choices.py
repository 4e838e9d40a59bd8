"""What a list prompt offers where that is not written in the definition: the rows of a translation table, or of a query.

It is asked for when people are, again when a run is asked for, and again when that starts: what was offered may be gone.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from integrations.connectors.registry import connector, source_kind
from integrations.connectors.spec import SourceContext
from integrations.engine.errors import DefinitionError, SourceError, WaybillError
from integrations.engine.plan import ChoicesFrom, Plan, Prompt, SourceSpec, Variable
from integrations.engine.variables import Variables
from integrations.models import Process, TranslationTable
from integrations.models.vault import vault_of
from integrations.runs.connections import connection_of, opened
from integrations.runs.pin import values_named_by
from integrations.runs.redaction import Redactor
from integrations.runs.variables import secure_names, values_of

QUERY = "sql_query"
MOST = 500
"""A list that people choose from: more are no help to anybody."""
MOST_ROWS = 20 * MOST
SECONDS = 5.0


@dataclass(frozen=True)
class Offer:
    """What can be chosen, each value with its label; or the sentence that says why nothing can be now."""

    choices: tuple[tuple[str, str], ...] = ()
    trouble: str = ""


def offers_of(process: Process, plan: Plan) -> dict[str, Offer]:
    """Give what each list prompt of `plan` offers that is not written there, by variable."""
    return {item.name: _offer(process, plan, prompt) for item, prompt in _elsewhere(plan)}


def with_choices(process: Process, plan: Plan, answered: Container[str]) -> Plan:
    """Give `plan` with the lists written in that come from elsewhere, for the variables that were `answered` or have a
    default. Raises `WaybillError` with the sentence of a list that cannot be had."""
    found = {}
    for item, prompt in _elsewhere(plan):
        if item.name in answered or prompt.default:
            try:
                values = tuple(_choices(process, plan, prompt))
            except WaybillError as error:
                error.sentence = f"The list of {item.asked_as} cannot be read. {error.sentence}"
                raise
            found[item.name] = replace(prompt, choices_from=ChoicesFrom.LIST, choices=values)
    variables = tuple(replace(item, prompt=found.get(item.name, item.prompt)) for item in plan.variables)
    return replace(plan, variables=variables) if found else plan


def _elsewhere(plan: Plan) -> Iterator[tuple[Variable, Prompt]]:
    for item in plan.variables:
        if item.prompt is not None and item.prompt.lists_from_elsewhere:
            yield item, item.prompt


@contextmanager
def _told_to_people(redact: Callable[[str], str]) -> Iterator[None]:
    """What the other system says comes without secrets. Queries are known as sources, and tell their designer to go
    there."""
    try:
        yield
    except WaybillError as error:
        error.sentence = redact(error.sentence).replace("on the Source tab", "on the Variables tab")
        raise


def _offer(process: Process, plan: Plan, prompt: Prompt) -> Offer:
    try:
        return Offer(tuple(_choices(process, plan, prompt).items()))
    except WaybillError as error:
        return Offer(trouble=error.sentence)


def _choices(process: Process, plan: Plan, prompt: Prompt) -> Mapping[str, str]:
    """Give {value: label}, in the order of the table or the query. Blank values are none."""
    from_table = prompt.choices_from is ChoicesFrom.TABLE
    pairs = _of_table(prompt) if from_table else _of_query(process, plan, prompt)
    choices: dict[str, str] = {}
    for value, label in pairs:
        if value.strip():
            choices.setdefault(value, label)
        if len(choices) > MOST:
            where = "The translation table" if from_table else "The query"
            raise SourceError(
                f"{where} has more than {MOST} values, which is too long a list to choose from. A designer can make it "
                "shorter on the Variables tab.",
                code="prompt.long",
            )
    return choices


def _of_table(prompt: Prompt) -> Iterator[tuple[str, str]]:
    table = TranslationTable.objects.select_related("rows").filter(public_id=prompt.table).first()
    if table is None:
        raise DefinitionError(
            "Its translation table no longer exists. A designer can choose another one on the Variables tab.",
            code="definition.translation",
        )
    for value, to in table.pairs:
        yield value, f"{value} — {to}" if to and to != value else value


def _of_query(process: Process, plan: Plan, prompt: Prompt) -> Iterator[tuple[str, str]]:
    """Ask for the values, and in a second column their labels. What the query names in brackets has the values that the
    process has."""
    connection = connection_of(prompt.connection)
    kind = source_kind(QUERY)
    if kind not in connector(connection.connector).sources:
        raise DefinitionError(
            f"{connection.name} takes no query. A designer can choose another connection on the Variables tab.",
            code="definition.connection",
        )
    spec = SourceSpec(kind=QUERY, connection=prompt.connection, options={"query": prompt.query})
    vault = vault_of(process.company)
    variables = Variables(values_of(process, plan), vault=vault)
    for name in sorted({name for names in spec.named.values() for name in names}.difference(variables.names)):
        raise DefinitionError(
            f"Its query uses {name}, and there is no such global variable. A designer can correct it on the Variables tab.",
            code="definition.variable",
        )
    if secure := sorted(secure_names(plan).intersection(name for names in spec.named.values() for name in names)):
        raise DefinitionError(
            f"Its query uses {secure[0]}, whose value is secure, and people would see what the query makes of it. A designer "
            "can correct it on the Variables tab.",
            code="definition.secure",
        )
    values, redact = values_named_by(spec, variables), Redactor(plan.to_json(), vault)
    context = SourceContext(spec=spec, opened=opened(connection), values=values, seconds=SECONDS)
    with _told_to_people(redact), closing(kind.open(context)) as source:
        has_labels = len(source.columns) > 1
        rows = (row for batch in source.read() for row in batch.rows)
        for number, row in enumerate(rows, start=1):
            # Values that are there again and again are one each, but no query is read for ever.
            if number > MOST_ROWS:
                raise SourceError(
                    f"The query gives more than {MOST_ROWS:,} rows. A designer can have it give each value once, with "
                    "SELECT DISTINCT, on the Variables tab.",
                    code="prompt.long",
                )
            yield redact(row[0]), redact(row[1]) or redact(row[0]) if has_labels else redact(row[0])
