"""What a company defines, each thing as one readable file: what is written, and where it lies in a folder."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.engine.plan import Plan
from integrations.exchange.plans import CONNECTION, PROCESS, SEQUENCE, TABLE, VARIABLE, as_data, references
from integrations.exchange.text import written
from integrations.forms.mentions import mentions_of
from integrations.models import Connection, GlobalVariable, Process, ProcessVersion, RollingNumber, TranslationTable
from integrations.models.process import ProcessQuerySet

FORMAT = 1
FOLDERS: Mapping[str, str] = {
    CONNECTION: "connections",
    VARIABLE: "global-variables",
    TABLE: "translation-tables",
    SEQUENCE: "rolling-numbers",
    PROCESS: "processes",
}
"""The folder of each kind, in the order in which they build on one another."""
LONGEST_NAME = 180
"""Bytes: file systems take 255, and something may come behind it."""


@dataclass(frozen=True)
class Names:
    """What things of the company are called, by kind and public id. Another company's are not among them."""

    known: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def name_of(self, kind: str, public_id: str) -> str:
        """Give the name of a thing; what is gone keeps its id, which nothing has any more."""
        return self.known.get(kind, {}).get(public_id, public_id)


@dataclass(frozen=True)
class File:
    """One thing as it is exported. `path` lies below the folder of the export, with slashes."""

    kind: str
    name: str
    path: str
    text: str


def names() -> Names:
    """Give the names of everything that a process of the active company may refer to."""
    rows = {
        CONNECTION: Connection.objects.values_list("public_id", "name"),
        TABLE: TranslationTable.objects.values_list("public_id", "name"),
        SEQUENCE: RollingNumber.objects.values_list("public_id", "name"),
        PROCESS: Process.objects.kept().values_list("public_id", "name"),
    }
    return Names({kind: {str(key): name for key, name in found} for kind, found in rows.items()})


def everything() -> list[File]:
    """Export all that the active company defines; what is in the trash stays there."""
    called = names()
    return [
        *_files(CONNECTION, map(connection_data, Connection.objects.all())),
        *_files(VARIABLE, map(variable_data, GlobalVariable.objects.all())),
        *_files(TABLE, map(table_data, TranslationTable.objects.select_related("rows"))),
        *_files(SEQUENCE, map(sequence_data, RollingNumber.objects.all())),
        *_files(PROCESS, _processes(list(_with_people(Process.objects.kept())), called)),
    ]


def one(process: Process) -> File:
    """Export one process."""
    (file,) = _files(PROCESS, _processes([process], names()))
    return file


def with_what_it_needs(process: Process) -> list[File]:
    """Export a process with the connections, variables, tables and rolling numbers it uses, and the processes its tasks come to."""
    wanted: dict[str, set[str]] = {kind: set() for kind in FOLDERS}
    ahead, processes = [process], {process.pk: process}
    while ahead:
        plans = _plans_of(ahead.pop())
        for kind, key in (pair for plan in plans for pair in references(plan)):
            wanted[kind].add(key)
        wanted[VARIABLE] |= {mention.name for plan in plans for mention in mentions_of(plan)}
        found = Process.objects.kept().filter(public_id__in=wanted[PROCESS]).exclude(pk__in=processes)
        for other in _with_people(found):
            processes[other.pk] = other
            ahead.append(other)
    tables = TranslationTable.objects.select_related("rows").filter(public_id__in=wanted[TABLE])
    return [
        *_files(CONNECTION, map(connection_data, Connection.objects.filter(public_id__in=wanted[CONNECTION]))),
        *_files(VARIABLE, map(variable_data, GlobalVariable.objects.filter(name__in=wanted[VARIABLE]))),
        *_files(TABLE, map(table_data, tables)),
        *_files(SEQUENCE, map(sequence_data, RollingNumber.objects.filter(public_id__in=wanted[SEQUENCE]))),
        *_files(PROCESS, _processes(sorted(processes.values(), key=lambda item: item.name), names())),
    ]


def connection_data(connection: Connection) -> dict[str, Any]:
    """A connection without its secrets: of those only what they are called."""
    data: dict[str, Any] = {"connector": connection.connector, "settings": filled(connection.settings)}
    if secrets := sorted({*connection.secrets, *connection.missing_secrets}):
        data["secrets"] = secrets
    return _headed(CONNECTION, connection.name, data)


def filled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings that someone filled in. The others are what a form makes of no answer."""
    return {
        name: value for name, value in sorted(settings.items()) if not (value is None or value is False or value == "")
    }


def variable_data(variable: GlobalVariable) -> dict[str, Any]:
    """A variable; one that is secure without its value."""
    told: dict[str, Any] = {"secure": True} if variable.is_secure else {"value": variable.value}
    return _headed(VARIABLE, variable.name, {**_described(variable.description), **told})


def table_data(table: TranslationTable) -> dict[str, Any]:
    return _headed(TABLE, table.name, {**_described(table.description), "rows": dict(table.pairs)})


def sequence_data(sequence: RollingNumber) -> dict[str, Any]:
    told = {name: getattr(sequence, name) for name in ("prefix", "width", "step", "next_number")}
    return _headed(SEQUENCE, sequence.name, {**_described(sequence.description), **told})


def process_data(process: Process, newest: Plan | None, called: Names) -> dict[str, Any]:
    """A process: the version that runs, and its draft where that is another."""
    data = _described(process.description)
    if process.group:
        data["group"] = process.group
    if not process.is_active:
        data["active"] = False
    data |= people_data(process)
    version = as_data(newest, called.name_of) if newest else None
    draft = as_data(process.drafted, called.name_of)
    if version is not None:
        data["version"] = version
    if draft != version:
        data["draft"] = draft
    return _headed(PROCESS, process.name, data)


def people_data(process: Process) -> dict[str, Any]:
    """Who answers for a process and who may run it, by their e-mail addresses."""
    data: dict[str, Any] = {"owner": process.owner.email} if process.owner else {}
    # Sorted here and not by the query, so that what was fetched with the process is used.
    if runners := sorted(person.email for person in process.runners.all()):
        data["runners"] = runners
    if process.only_administrators_run:
        data["only_administrators_run"] = True
    return data


def path_of(kind: str, name: str) -> str:
    """Give the path of a thing's file: its name, with what some file system does not take written as %XX."""
    safe = re.sub(r"[^\w .-]|^[. ]|[. ]$", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)
    if len(safe.encode()) > LONGEST_NAME:
        start = safe.encode()[: LONGEST_NAME - 9].decode(errors="ignore")
        safe = f"{start}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{FOLDERS[kind]}/{safe}.yaml"


def _files(kind: str, found: Iterable[dict[str, Any]]) -> list[File]:
    # Two names that differ in their case only would be one file to some file systems.
    files: dict[str, File] = {}
    for data in sorted(found, key=lambda item: str(item["name"])):
        path = path_of(kind, data["name"])
        if path.casefold() in files:
            path = f"{path.removesuffix('.yaml')}~{hashlib.sha256(data['name'].encode()).hexdigest()[:8]}.yaml"
        files[path.casefold()] = File(kind, data["name"], path, written(data))
    return list(files.values())


def _processes(processes: list[Process], called: Names) -> list[dict[str, Any]]:
    newest = {v.process_id: v.plan for v in ProcessVersion.objects.that_are_newest().filter(process__in=processes)}
    return [process_data(process, newest.get(process.pk), called) for process in processes]


def _with_people(processes: ProcessQuerySet) -> ProcessQuerySet:
    return processes.select_related("owner").prefetch_related("runners")


def _plans_of(process: Process) -> list[Plan]:
    newest = process.newest_version
    return [process.drafted, *([newest.plan] if newest else [])]


def _headed(kind: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"waybill": FORMAT, "kind": kind, "name": name, **data}


def _described(description: str) -> dict[str, Any]:
    return {"description": description} if description else {}
