"""What a definition would do, shown on real rows and writing nothing.

Rows come from the process's sample file (or its default file), or from its query; the engine and the script child are
those of a run. The destination is asked what it has, never given anything.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.utils import timezone

from accounts.models import User
from integrations.connectors.registry import connector, destination_kind, source_kind
from integrations.connectors.spec import SourceContext, SourceKind, Target
from integrations.engine.batch import Row
from integrations.engine.errors import DefinitionError, SourceError, WaybillError
from integrations.engine.inputs import Inputs
from integrations.engine.plan import ColumnType, DestinationSpec, FieldMap, Plan, SourceSpec
from integrations.engine.ports import Source
from integrations.engine.preview import Preview, preview, stands_alone
from integrations.engine.secure import masked
from integrations.engine.variables import Variables
from integrations.models import Process, StoredFile
from integrations.models.vault import vault_of
from integrations.runs.connections import connection_of, opened
from integrations.runs.facts import trial_facts
from integrations.runs.files import path_of, store
from integrations.runs.lookups import RedactedLookups, open_lookups
from integrations.runs.numbers import NextNumbers
from integrations.runs.pin import pattern_of, values_named_by
from integrations.runs.redaction import Redacted, Redactor
from integrations.runs.translations import pins_of, tables_of
from integrations.runs.variables import check_names, local_start, values_of
from integrations.scripting import open_scripts

ROWS = 50
SECONDS = 10.0
"""How long a person waits for the first rows of a query; a run waits longer."""
SAMPLE_LIMIT_BYTES = 64 * 1024 * 1024


def preview_of(process: Process, plan: Plan, *, rows: int = ROWS, only: int | None = None) -> Preview:
    """Compute what the first rows of the sample would become under `plan`: all documents, or the one numbered `only`.

    Raises `WaybillError` with the reason.
    """
    values = values_of(process, plan)
    check_names(plan, values)
    plan = _begun(plan)
    redact = Redactor(plan.to_json(), vault_of(process.company))
    with (
        closing(open_lookups(plan, seconds=SECONDS, attempts=1, draft=True)) as lookups,
        sample_source(process, plan.source) as source,
    ):
        inputs = Inputs(
            # Nothing leaves here, and people look at it: not even handles are needed.
            variables=Variables(masked(values)),
            tables=tables_of(pins_of(plan)),
            started_at=local_start(process.company, timezone.now()),
            lookups=RedactedLookups(lookups, redact),
            numbers=NextNumbers(),
        )
        if not plan.has_scripts:
            return preview(plan, source, None, inputs=inputs, rows=rows, only=only)
        scripts = open_scripts(plan, source.columns, variables=inputs.variables, facts=trial_facts(process))
        try:
            return preview(plan, source, scripts, inputs=inputs, rows=rows, only=only)
        finally:
            scripts.close()


def _begun(plan: Plan) -> Plan:
    """Leave out calculations that nothing is written in yet: a draft has them, and no run comes so far. So is what
    the document of a parent would give, and no task is done.

    An additional column stays, blank: lines may have it as a column of theirs.
    """

    def is_begun(item: FieldMap) -> bool:
        if item.needs_a_parent:
            return False
        return item.column_type is not ColumnType.CALCULATION or bool(item.value.strip())

    lines = (replace(line, fields=tuple(filter(is_begun, line.fields))) for line in plan.lines)
    additional = (i if is_begun(i) else replace(i, column_type=ColumnType.CONSTANT, value="") for i in plan.additional)
    return replace(plan, lines=tuple(lines), additional=tuple(additional), tasks=())


def line_preview(process: Process, plan: Plan, line: int, number: int) -> Preview:
    """Compute what the lines of document `number` of the sample would send, and no more than line `line` (from 1) asks for.

    Raises `WaybillError` with the reason.
    """
    if not stands_alone(plan):
        return preview_of(process, plan)
    return preview_of(process, replace(plan, lines=(plan.lines[line - 1],)), only=number)


def lines_preview(process: Process, plan: Plan, first: int, last: int) -> Preview:
    """Compute what lines `first` to `last` (from 1) would send of every document, and no more than they ask for.

    Raises `WaybillError` with the reason.
    """
    if stands_alone(plan):
        return preview_of(process, replace(plan, lines=plan.lines[first - 1 : last]))
    seen = preview_of(process, plan)
    documents = [replace(document, lines=document.lines[first - 1 : last]) for document in seen.documents]
    return replace(seen, documents=documents)


def columns_of(process: Process, spec: SourceSpec) -> tuple[str, ...]:
    """Give the columns that the sample or the query has now."""
    with sample_source(process, spec) as source:
        return source.columns


def first_rows(process: Process, spec: SourceSpec, *, rows: int = ROWS) -> tuple[tuple[str, ...], list[Row]]:
    """Give the columns and the first rows of the sample or the query."""
    with sample_source(process, spec) as source:
        return source.columns, list(islice((row for batch in source.read() for row in batch.rows), rows))


@contextmanager
def sample_source(process: Process, spec: SourceSpec) -> Iterator[Source]:
    """Open what previews read. Raises `DefinitionError` while there is nothing to read."""
    kind = source_kind(spec.kind)
    values, redact = source_values(process, spec)
    connection = opened(connection_of(spec.connection)) if spec.connection else None
    context = SourceContext(
        spec=spec, opened=connection, values=values, rows=ROWS, seconds=SECONDS, after=_from_the_beginning(spec, kind)
    )
    if kind.takes_file:
        sample = sample_of(process)
        context = replace(context, file=path_of(sample), file_name=sample.name)
    source: Source = kind.open(context)
    try:
        # A service may repeat the token it was asked with. A file holds what somebody put there.
        yield source if kind.takes_file and not values else Redacted(source, redact)
    except WaybillError as error:
        error.sentence = redact(error.sentence)
        raise
    finally:
        source.close()


def _from_the_beginning(spec: SourceSpec, kind: SourceKind) -> str | None:
    """Give the watermark that previews begin with. What need not name one shows all that there is."""
    if not spec.reads_changes:
        return None
    return spec.first_value if kind.watermark_in else ""


def source_values(process: Process, spec: SourceSpec) -> tuple[dict[str, Any], Redactor]:
    """Give the values that `spec` names as a run of the draft begins with them, and what keeps secrets from people.

    Raises `DefinitionError` for a name that there is not.
    """
    plan = replace(process.drafted, source=spec, lines=(), tasks=())
    values, vault = values_of(process, plan), vault_of(process.company)
    check_names(plan, values)
    return values_named_by(spec, Variables(values, vault=vault)), Redactor(plan.to_json(), vault)


def sample_of(process: Process) -> StoredFile:
    """Give the file that previews read."""
    sample = process.sample or process.default_file
    if sample is None:
        raise DefinitionError("There is no sample file yet. Upload one on the Source tab.", code="definition.no_sample")
    return sample


def fetch_sample(process: Process, spec: SourceSpec, *, by: User) -> StoredFile:
    """Copy the first file that matches the pattern from the source's connection and keep it as a sample."""
    connection = connection_of(spec.connection)
    door = connector(connection.connector).file_door
    pattern = pattern_of(spec, source_values(process, spec)[0])
    if door is None or not pattern:
        raise DefinitionError("Choose a connection to fetch from and a file name pattern.")
    opening = opened(connection)
    found = door.find(opening, pattern)
    if not found:
        raise SourceError(f"No file matches {pattern} at {connection.name}. Correct the pattern or put a file there.")
    with door.open(opening, found[0]) as file, SpooledTemporaryFile(max_size=1 << 20) as copy:
        _copy_bounded(file, copy, found[0].name)
        copy.seek(0)
        return store(process.company, copy, name=found[0].name, by=by)


def targets_of(spec: DestinationSpec) -> Sequence[Target]:
    """Ask the destination what lines may write to; empty where it does not list its targets."""
    kind = destination_kind(spec.kind)
    return kind.targets(opened(connection_of(spec.connection))) if kind.targets else ()


def _copy_bounded(file: IO[bytes], copy: IO[bytes], name: str) -> None:
    size = 0
    while chunk := file.read(1 << 20):
        size += len(chunk)
        if size > SAMPLE_LIMIT_BYTES:
            raise SourceError(
                f"{name} is larger than {SAMPLE_LIMIT_BYTES >> 20} MB, too large for a sample. Upload its first rows."
            )
        copy.write(chunk)
