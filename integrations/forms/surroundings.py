"""What a definition may choose from, and what is known of it: the registry's kinds, the company's connections."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from integrations.connectors.registry import CONNECTORS
from integrations.connectors.spec import DestinationKind, SourceKind, Target, TargetField
from integrations.engine.plan import Plan, TaskType, ValueType
from integrations.forms.judging import Neighbour, Surroundings
from integrations.models import Connection, GlobalVariable, Process, ProcessVersion, RollingNumber, TranslationTable
from integrations.models.process import ProcessQuerySet
from integrations.runs.choices import QUERY
from integrations.scripting.check import Complaint, Severity, check_script


def source_kinds() -> Mapping[str, SourceKind]:
    return {kind.key: kind for connector in CONNECTORS.values() for kind in connector.sources}


def destination_kinds() -> Mapping[str, DestinationKind]:
    return {kind.key: kind for connector in CONNECTORS.values() for kind in connector.destinations}


def connections_for(kind: SourceKind) -> list[Connection]:
    """The company's connections that this kind of source can read from: its own connector's, or any file door."""
    fitting = [
        connector.key
        for connector in CONNECTORS.values()
        if (connector.file_door if kind.takes_file else kind in connector.sources)
    ]
    return list(Connection.objects.filter(connector__in=fitting))


def destination_choices() -> list[tuple[str, str]]:
    """Every connection that can be written to, with each of its kinds, and the kinds that need none:
    (“kind@connection”, words)."""
    choices = []
    for connection in Connection.objects.all():
        connector = CONNECTORS.get(connection.connector)
        kinds = [kind for kind in connector.destinations if kind.needs_connection] if connector else []
        for kind in kinds:
            words = connection.name if len(kinds) == 1 else f"{connection.name}: {kind.title}"
            choices.append((f"{kind.key}@{connection.public_id}", words))
    return [
        *choices,
        *((f"{kind.key}@", kind.title) for kind in destination_kinds().values() if not kind.needs_connection),
    ]


def searchable_connections() -> list[tuple[str, str]]:
    """The company's connections that values can be looked up at: (public id, name)."""
    fitting = [connector.key for connector in CONNECTORS.values() if connector.finder]
    found = Connection.objects.filter(connector__in=fitting).order_by("name").values_list("public_id", "name")
    return [(str(key), name) for key, name in found]


def query_connections() -> list[tuple[str, str]]:
    """The company's connections that a query can be asked at: (public id, name)."""
    fitting = [item.key for item in CONNECTORS.values() if any(kind.key == QUERY for kind in item.sources)]
    found = Connection.objects.filter(connector__in=fitting).order_by("name").values_list("public_id", "name")
    return [(str(key), name) for key, name in found]


def table_choices() -> list[tuple[str, str]]:
    """The company's translation tables: (public id, name)."""
    return [
        (str(key), name) for key, name in TranslationTable.objects.order_by("name").values_list("public_id", "name")
    ]


def surroundings_of(process: Process) -> Surroundings:
    """All that `problems_of` needs to know around the draft of `process`."""
    return Surroundings(
        sources=source_kinds(),
        destinations=destination_kinds(),
        connections={str(key): name for key, name in Connection.objects.values_list("public_id", "name")},
        targets=targets_of(process),
        check=first_complaint,
        variables=frozenset(GlobalVariable.objects.values_list("name", flat=True)),
        secure=frozenset(GlobalVariable.objects.filter(is_secure=True).values_list("name", flat=True)),
        searchable=frozenset(key for key, _ in searchable_connections()),
        tables=frozenset(map(str, TranslationTable.objects.values_list("public_id", flat=True))),
        sequences={str(key): prefix for key, prefix in RollingNumber.objects.values_list("public_id", "prefix")},
        own=str(process.public_id),
        neighbours=_reachable(called_by(process.drafted)),
    )


def called_by(plan: Plan) -> frozenset[str]:
    """The public ids of the processes that the tasks of `plan` run, switched off or not."""
    named = (task.integration for task in plan.tasks if task.type is TaskType.RUN_INTEGRATION)
    return frozenset(key for key in named if key)


def neighbours(processes: ProcessQuerySet) -> dict[str, Neighbour]:
    """Give these processes as others must know them to run them, by public id, in the order they have.

    A process that has a version reads that one's columns; what it calls is told by its draft and its newest version.
    """
    listed = list(processes.only("public_id", "name", "draft", "is_active"))
    newest = {v.process_id: v.plan for v in ProcessVersion.objects.that_are_newest().filter(process__in=listed)}
    return {str(process.public_id): _neighbour(process, newest.get(process.pk)) for process in listed}


def _neighbour(process: Process, newest: Plan | None) -> Neighbour:
    draft = process.drafted
    obstacle = "has no version yet that runs" if newest is None else "" if process.is_active else "is inactive"
    return Neighbour(
        name=process.name,
        columns=(newest or draft).source.columns,
        calls=called_by(draft) | (called_by(newest) if newest else frozenset()),
        obstacle=obstacle,
        from_parent=reads_its_parent(newest or draft),
        of_the_parent=(newest or draft).of_the_parent,
    )


def reads_its_parent(plan: Plan) -> bool:
    """Say whether a run of `plan` reads the rows of the run that starts it."""
    kind = source_kinds().get(plan.source.kind)
    return kind is not None and kind.from_parent


def _reachable(keys: frozenset[str]) -> dict[str, Neighbour]:
    """The processes that can be come to from `keys`, task by task."""
    known: dict[str, Neighbour] = {}
    while wanted := keys - known.keys():
        found = neighbours(Process.objects.kept().filter(public_id__in=wanted))
        known |= found
        keys = frozenset().union(*(neighbour.calls for neighbour in found.values()))
    return known


def targets_of(process: Process) -> dict[str, tuple[TargetField, ...]]:
    """The target profile of a process, read back."""
    return {
        name: tuple(TargetField(**{**item, "type": ValueType(item["type"])}) for item in fields)
        for name, fields in process.target_profile.items()
    }


def profile(targets: Sequence[Target]) -> dict[str, list[dict[str, object]]]:
    """What the destination said of its targets, as `Process.target_profile` keeps it."""
    return {target.name: [asdict(item) for item in target.fields] for target in targets}


def first_complaint(script: str) -> str:
    """Say what keeps a script from running, with its line; "" when nothing does."""
    return next((_words(c) for c in check_script(script, needs_return=True) if c.severity is Severity.ERROR), "")


def warnings(script: str) -> list[str]:
    """Say what will fail a script when it runs, though it can be saved (no explicit return …)."""
    if not script.strip():
        return []
    return [_words(c) for c in check_script(script, needs_return=True) if c.severity is not Severity.ERROR]


def _words(complaint: Complaint) -> str:
    return f"line {complaint.line}: {complaint.sentence}" if complaint.line else complaint.sentence


def every_connection(kinds: Mapping[str, SourceKind]) -> dict[str, list[Connection]]:
    """For each kind of source the connections that fit it."""
    return {key: connections_for(kind) for key, kind in kinds.items()}
