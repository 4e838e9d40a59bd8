"""Take an export into a company: first looked at, then taken, by the same steps in one transaction.

The look does everything that taking does and lets go of it, so it cannot promise what taking would not keep.
"""

import hashlib
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts.audit import record
from accounts.models import Company, User
from integrations.connectors.registry import CONNECTORS
from integrations.connectors.spec import Connector
from integrations.engine.plan import Plan, Variable
from integrations.exchange.bundle import Thing
from integrations.exchange.plans import CONNECTION, PROCESS, SEQUENCE, TABLE, VARIABLE, from_data, renamed, text_of
from integrations.exchange.text import NotTaken
from integrations.exchange.things import filled, names, process_data, sequence_data, table_data, variable_data
from integrations.forms.connection import ConnectionForm
from integrations.forms.differences import differences
from integrations.forms.plain import PlainForm
from integrations.forms.problems import problems_of
from integrations.forms.process import ImportedProcessForm
from integrations.forms.rolling_number import RollingNumberForm
from integrations.forms.surroundings import called_by, first_complaint, surroundings_of
from integrations.forms.translation import TableForm, changes_between, complaint_about
from integrations.forms.variable import GlobalVariableForm
from integrations.models import Connection, GlobalVariable, Process, RollingNumber, TranslationTable
from integrations.models.translation import Pairs
from integrations.models.vault import vault_of

PARTS = (VERSION, DRAFT) = ("version", "draft")
"""What the file of a process holds of its definition."""
NEW, SAME, CHANGED, CONFLICT = "new", "same", "changed", "conflict"
NOWHERE = uuid.UUID("5b0f4f0e-2f0c-4a57-9f0a-0d3b6f6f7a11")
"""Names that are not here become ids that nothing has."""
MOST_TOLD = 12


@dataclass
class Item:
    """What became of a thing, or would: `changes` in words, `notes` on what else to know, and the secrets it `needs`,
    by the name of their setting. What is left out stays as it is here."""

    thing: Thing
    state: str = NEW
    changes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    needs: dict[str, str] = field(default_factory=dict)
    version: int | None = None
    left: bool = False

    def refuse(self, sentence: str) -> None:
        self.state = CONFLICT
        self.notes.insert(0, sentence)


@dataclass(frozen=True)
class Choice:
    """What a person wants of an import: the (kind, name) of what is taken, None for everything, and the secrets that
    were typed in: by kind, name and, of a connection, the setting, of a secure variable “value”."""

    taken: Collection[tuple[str, str]] | None = None
    secrets: Mapping[tuple[str, str, str], str] = field(default_factory=dict)

    def typed(self, thing: Thing) -> dict[str, str]:
        """Give the secrets that were typed in for a thing."""
        return {
            name: text for (*whose, name), text in self.secrets.items() if text and whose == [thing.kind, thing.name]
        }


@dataclass(frozen=True)
class Importer:
    """Who imports, and from what: for the audit log."""

    company: Company
    source: str
    user: User | None = None
    request: HttpRequest | None = None

    def tell(self, action: str, item: Item, **more: Any) -> None:
        """Write what was done into the audit log."""
        after = {"file": self.source, "changes": item.changes, **more}
        record(action, item.thing.name, after=after, request=self.request, user=self.user, company=self.company)


class _Enough(Exception):
    """Takes back what a look did."""


@dataclass(frozen=True)
class Parsed:
    """What a large export takes long to make of its files, by nobody's writing: its plans, in which things are called by
    their names, by the name of the process and the part of its file, and the first complaint about each script."""

    plans: Mapping[tuple[str, str], Plan]
    judged: Mapping[str, str]


def parsed(things: Sequence[Thing]) -> Parsed:
    """Read the plans of these, before any transaction. Raises `NotTaken` for a file that holds something else."""
    plans = {
        (thing.name, part): from_data(thing.data[part], thing.name, f"{thing.where}, {part}")
        for thing in things
        if thing.kind == PROCESS
        for part in PARTS
        if part in thing.data
    }
    versions = [plan for (_, part), plan in plans.items() if part == VERSION]
    scripts = {script for plan in versions for script in plan.line_scripts}
    scripts |= {script for plan in versions for task in plan.active_tasks for script in task.scripts}
    return Parsed(plans, {script: first_complaint(script) for script in scripts})


def look(things: Sequence[Thing], by: Importer, choice: Choice = Choice()) -> list[Item]:
    """Say what taking these would do. Nothing is changed. Raises `NotTaken` for a file that is no export."""
    items: list[Item] = []
    read = parsed(things)
    try:
        with transaction.atomic():
            items = _taken(things, by, choice, read)
            raise _Enough
    except _Enough:
        return items


def take(things: Sequence[Thing], by: Importer, choice: Choice = Choice(), *, read: Parsed | None = None) -> list[Item]:
    """Take things into the active company, all or none of them, and say what became of each.

    A conflict is left out. A process becomes a draft, and a version where nothing keeps it from running. `read` is what
    `parsed` gave: whoever holds a transaction has asked for it before. Raises `NotTaken` when a file holds something
    else than an export; nothing is changed then.
    """
    read = read or parsed(things)
    with transaction.atomic():
        return _taken(things, by, choice, read)


def _taken(things: Sequence[Thing], by: Importer, choice: Choice, read: Parsed) -> list[Item]:
    items = [Item(thing, left=_is_left(thing, choice)) for thing in things]
    for item in items:
        if item.thing.kind == CONNECTION:
            _take_connection(item, by, choice)
        elif item.thing.kind == VARIABLE:
            _take_variable(item, by, choice)
        elif item.thing.kind == TABLE:
            _take_table(item, by)
        elif item.thing.kind == SEQUENCE:
            _take_sequence(item, by)
    _take_processes([item for item in items if item.thing.kind == PROCESS], by, read)
    return items


def seen(things: Sequence[Thing]) -> str:
    """Give a mark of what these things meet here: another one means that someone saved meanwhile."""
    models: dict[str, Any] = {
        CONNECTION: Connection.objects.all(),
        VARIABLE: GlobalVariable.objects.all(),
        TABLE: TranslationTable.objects.all(),
        SEQUENCE: RollingNumber.objects.all(),
        PROCESS: Process.objects.kept(),
    }
    met = []
    for kind, rows in models.items():
        wanted = [thing.name for thing in things if thing.kind == kind]
        met += [
            f"{kind}/{pk}/{revision}"
            for pk, revision in sorted(rows.filter(name__in=wanted).values_list("pk", "revision"))
        ]
    return hashlib.sha256("\n".join(met).encode()).hexdigest()


def _is_left(thing: Thing, choice: Choice) -> bool:
    return choice.taken is not None and (thing.kind, thing.name) not in choice.taken


# Connections ------------------------------------------------------------------------------------------------------


def _take_connection(item: Item, by: Importer, choice: Choice) -> None:
    thing = item.thing
    key = text_of(_known(thing, "connector", "settings", "secrets").get("connector", ""), f"{thing.where}, connector")
    connector = CONNECTORS.get(key)
    if connector is None or not connector.settings:
        item.refuse(f"This Waybill has no connector “{key[:40]}”.")
        return
    there = Connection.objects.select_related("company").filter(name=thing.name).first()
    if there is not None and there.connector != key:
        item.refuse(f"The connection of this name is one of {there.connector}. Rename one of the two.")
        return
    secret = {setting.name for setting in connector.settings if setting.secret}
    declared = _secret_names(thing, secret)
    form = _connection_form(thing, connector, there, by.company, choice)
    if refused := [sentence for name, all_of in form.errors.items() if name not in secret for sentence in all_of]:
        item.refuse(" ".join(map(str, refused)))
        return
    # A stored secret goes only where it went before: the form complains of those that would be sent elsewhere.
    kept = {name: sealed for name, sealed in (there.secrets if there else {}).items() if name not in form.errors}
    has = {*kept, *form.new_secrets}
    wanted = {*declared, *(there.missing_secrets if there else ()), *(secret & form.errors.keys())}
    item.needs = {s.name: s.label for s in connector.settings if s.name in wanted - has}
    for label in item.needs.values():
        item.notes.append(f"It needs its {label.lower()}: exports hold no secrets.")
    before = there.settings if there else {}
    item.changes = _settings_told(connector, before, form.settings)
    item.changes += [f"{name.replace('_', ' ')} typed in" for name in sorted(form.new_secrets)]
    unchanged = there is not None and not item.changes and sorted(item.needs) == sorted(there.missing_secrets)
    item.state = NEW if there is None else SAME if unchanged else CHANGED
    if item.left or unchanged:
        return
    made = there or Connection(company=by.company, name=thing.name, connector=key)
    made.secrets = kept
    for name, text in form.new_secrets.items():
        made.seal_secret(name, text)
    fields = {"settings": form.settings, "secrets": made.secrets, "missing_secrets": sorted(item.needs)}
    _write(item, by, there, made, fields, "connection.imported")


def _connection_form(
    thing: Thing, connector: Connector, there: Connection | None, company: Company, choice: Choice
) -> ConnectionForm:
    given = thing.data.get("settings", {})
    if not isinstance(given, dict):
        raise NotTaken(f"{thing.where}, settings: names with values belong there, one a line.")
    open_ones = {setting.name for setting in connector.settings if not setting.secret}
    for name, value in given.items():
        if name not in open_ones:
            raise NotTaken(f"{thing.where}: “{name[:80]}” is no setting of {connector.title}, or one that is secret.")
        if isinstance(value, dict | list):
            raise NotTaken(f"{thing.where}, {name}: one value belongs there.")
        if isinstance(value, str):
            text_of(value, f"{thing.where}, {name}")
    answers = {**given, **choice.typed(thing), "name": thing.name, "revision": there.revision if there else 0}
    form = ConnectionForm(answers, connector=connector, company=company, connection=there)
    form.is_valid()
    return form


def _secret_names(thing: Thing, known: Collection[str]) -> list[str]:
    found = thing.data.get("secrets", [])
    if not isinstance(found, list) or any(name not in known for name in found):
        raise NotTaken(f"{thing.where}, secrets: a list of {', '.join(sorted(known)) or 'nothing'} belongs there.")
    return found


def _settings_told(connector: Connector, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    labels = {setting.name: setting.label for setting in connector.settings}
    was, now = filled(before), filled(after)
    told = []
    for name in labels:
        if was.get(name) != now.get(name):
            instead = f" instead of {_short(was[name])}" if name in was else ""
            told.append(f"{labels[name]}: {_short(now.get(name, 'nothing'))}{instead}")
    return told


# Variables and tables -----------------------------------------------------------------------------------------------


def _take_variable(item: Item, by: Importer, choice: Choice) -> None:
    thing = item.thing
    data = _known(thing, "description", "secure", "value")
    is_secure = _switch(thing, "secure", default=False)
    there = GlobalVariable.objects.filter(name=thing.name).first()
    answers = {name: text_of(data.get(name, ""), f"{thing.where}, {name}") for name in ("value", "description")}
    if is_secure:
        # What is set here already stays, sealed; it may have been in the clear.
        clear = there.value if there and not there.is_secure else ""
        answers["value"] = choice.typed(thing).get("value", clear)
    form = GlobalVariableForm({**answers, "name": thing.name, "is_secure": is_secure}, variable=there)
    if not _is_right(item, form):
        return
    given = form.fields_to_store(vault_of(by.company))
    if is_secure and not given["value"]:
        item.needs = {"value": "Value"}
        item.notes.append("It needs its value: exports hold no secure values.")
    if there is not None:
        item.changes = _variable_told(there, given)
    item.state = NEW if there is None else CHANGED if item.changes else SAME
    if item.left or item.state == SAME:
        return
    made = there or GlobalVariable(company=by.company, name=thing.name)
    _write(item, by, there, made, given, "variable.imported")


def _variable_told(there: GlobalVariable, given: Mapping[str, Any]) -> list[str]:
    told = _told(variable_data(there), given, ("description",))
    if there.is_secure != given["is_secure"]:
        told.append("secure" if given["is_secure"] else "no longer secure")
    if given["is_secure"]:
        return told + (["value set"] if given["value"] not in ("", there.value) else [])
    return told + _told({"value": "" if there.is_secure else there.value}, given, ("value",))


def _take_table(item: Item, by: Importer) -> None:
    thing = item.thing
    data = _known(thing, "description", "rows")
    rows = data.get("rows", {})
    if not isinstance(rows, dict):
        raise NotTaken(f"{thing.where}, rows: one row a line belongs there, such as “from: to”.")
    pairs: Pairs = [
        (text_of(given, f"{thing.where}, rows"), text_of(to, f"{thing.where}, row {given[:40]}"))
        for given, to in rows.items()
    ]
    if complaint := complaint_about(pairs):
        raise NotTaken(f"{thing.where}, rows: {complaint}")
    there = TranslationTable.objects.select_related("rows").filter(name=thing.name).first()
    description = text_of(data.get("description", ""), f"{thing.where}, description")
    form = TableForm({"name": thing.name, "description": description}, table=there)
    if not _is_right(item, form):
        return
    given = {"description": form.cleaned_data["description"]}
    if there is not None:
        item.changes = _told(table_data(there), given, ("description",)) + changes_between(there.pairs, pairs).told(5)
        if not item.changes and pairs != there.pairs:
            item.changes = ["rows in another order"]
    item.state = NEW if there is None else CHANGED if item.changes else SAME
    if item.left or item.state == SAME:
        return
    if there is None:
        TranslationTable.make(by.company, by=by.user, pairs=pairs, name=thing.name, **given)
    elif not there.change(revision=there.revision, by=by.user, pairs=pairs, **given):
        raise _meanwhile(thing)
    by.tell("translation_table.imported", item)


def _take_sequence(item: Item, by: Importer) -> None:
    """Take how the numbers go on. Those that were given here stay given: the next number never moves back."""
    thing = item.thing
    data = _known(thing, "description", "prefix", "width", "step", "next_number")
    there = RollingNumber.objects.filter(name=thing.name).first()
    numbers = {name: data.get(name, 1) for name in ("width", "step", "next_number")}
    for name, value in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise NotTaken(f"{thing.where}, {name}: a whole number belongs there.")
    texts = {name: text_of(data.get(name, ""), f"{thing.where}, {name}") for name in ("description", "prefix")}
    if there is not None:
        numbers["next_number"] = max(numbers["next_number"], there.next_number)
    form = RollingNumberForm({**texts, **numbers, "name": thing.name}, sequence=there)
    if not _is_right(item, form):
        return
    given = {name: form.cleaned_data[name] for name in (*texts, *numbers)}
    if there is not None:
        item.changes = _told(sequence_data(there), given, tuple(given))
    item.state = NEW if there is None else CHANGED if item.changes else SAME
    if item.left or item.state == SAME:
        return
    made = there or RollingNumber(company=by.company, name=thing.name)
    _write(item, by, there, made, given, "rolling_number.imported")


# Processes ----------------------------------------------------------------------------------------------------------


@dataclass
class _Arrival:
    """A process on its way in. `version` and `draft` are what its file holds of the two."""

    item: Item
    process: Process
    is_new: bool
    fields: dict[str, Any]
    runners: list[User]
    version: Plan | None = None
    draft: Plan | None = None

    @property
    def plan(self) -> Plan:
        """What becomes the draft first: the version where there is one, for it is judged as a draft."""
        plan = self.version or self.draft
        assert plan is not None
        return plan


def _take_processes(items: list[Item], by: Importer, read: Parsed) -> None:
    members = {user.email.casefold(): user for user in User.objects.filter(memberships__company=by.company)}
    arrivals = [arrival for item in items if (arrival := _arrival(item, by, members)) is not None]
    for arrival in arrivals:
        # All of them have ids before the first is read: their tasks may run one another.
        if arrival.is_new and not arrival.item.left:
            arrival.process.save()
    ids, secure = _Ids(), _SecureValues(by.company)
    for arrival in arrivals:
        _read_plans(arrival, ids, secure, read)
    arrivals = [arrival for arrival in arrivals if not arrival.item.left and arrival.item.state != SAME]
    for arrival in arrivals:
        _write_process(arrival, arrival.plan, by, **arrival.fields)
        arrival.process.runners.set(arrival.runners)
    for arrival in _called_first(arrivals):
        _make_version(arrival, by, read.judged)
        if arrival.version and arrival.draft:
            _write_process(arrival, arrival.draft, by)
        by.tell("process.imported", arrival.item)


def _arrival(item: Item, by: Importer, members: Mapping[str, User]) -> _Arrival | None:
    thing = item.thing
    data = _known(thing, "description", "group", "active", "owner", "runners", "only_administrators_run", *PARTS)
    active = _switch(thing, "active", default=True)
    if not any(part in data for part in PARTS):
        raise NotTaken(f"{thing.where} holds neither a version nor a draft. Export it again.")
    there = Process.objects.kept().select_related("company").filter(name=thing.name).first()
    words = {name: text_of(data.get(name, ""), f"{thing.where}, {name}") for name in ("description", "group")}
    form = ImportedProcessForm({**words, "name": thing.name}, process=there)
    if not _is_right(item, form):
        return None
    people, runners = _people(item, members)
    fields = {name: form.cleaned_data[name] for name in words} | {"is_active": active} | people
    if there is not None:
        return _Arrival(item, there, False, fields, runners)
    if Process.objects.exclude(trashed_at=None).filter(name=thing.name).exists():
        item.notes.append("A process of this name is in the trash. It stays there, and this is another one.")
    process = Process(company=by.company, name=thing.name, created_by=by.user, updated_by=by.user, **fields)
    return _Arrival(item, process, True, fields, runners)


def _people(item: Item, members: Mapping[str, User]) -> tuple[dict[str, Any], list[User]]:
    """Give who answers for a process and whether administrators alone run it, as fields, and who may run it. People are
    found among the members; when nobody is left of those who may run it, it is not for everybody then."""
    thing = item.thing
    alone = _switch(thing, "only_administrators_run", default=False)
    listed = thing.data.get("runners", [])
    if not isinstance(listed, list):
        raise NotTaken(
            f"{thing.where}, runners: a list of e-mail addresses belongs there, one a line, each after “- ”."
        )
    named = {
        address: members.get(address.casefold()) for address in (text_of(a, f"{thing.where}, runners") for a in listed)
    }
    owner = text_of(thing.data.get("owner", ""), f"{thing.where}, owner")
    answers = members.get(owner.casefold())
    if owner and answers is None:
        item.notes.append(f"Its owner {_short(owner)}: no member with this address, left out.")
    item.notes += [
        f"Who may run it, {_short(a)}: no member with this address, left out." for a in named if not named[a]
    ]
    runners = [person for person in named.values() if person is not None]
    if named and not runners:
        item.notes.append(
            "Nobody is left of those who may run it: administrators only, until others are named in its options."
        )
        alone = True
    return {"owner": answers, "only_administrators_run": alone}, runners


class _Ids:
    """Finds what a plan names. A name that is not here is remembered, and becomes an id that nothing has."""

    def __init__(self) -> None:
        self.called = names()
        self._ids = {kind: {name: key for key, name in found.items()} for kind, found in self.called.known.items()}
        self.missing: list[str] = []

    def id_of(self, kind: str, name: str) -> str:
        if found := self._ids.get(kind, {}).get(name):
            return found
        self.missing.append(f"The {kind} {_short(name)} is not here.")
        try:
            return str(uuid.UUID(name))
        except ValueError:
            return str(uuid.uuid5(NOWHERE, f"{kind}/{name}"))


class _SecureValues:
    """Gives the secure variables of a plan the values that its process has here: exports hold none."""

    def __init__(self, company: Company) -> None:
        self._vault = vault_of(company)
        self._names = set(GlobalVariable.objects.filter(is_secure=True).values_list("name", flat=True))

    def set_in(self, process: Process, plan: Plan, item: Item) -> Iterator[Variable]:
        for variable in plan.variables:
            if variable.value is None or not (variable.secure or variable.name in self._names):
                yield variable
                continue
            sealed = self._vault.sealed(variable.name, variable.value) or self._kept(process, variable.name)
            note = f"It needs its own value of {variable.name}: exports hold no secure values."
            if not sealed and note not in item.notes:
                item.notes.append(note)
            yield replace(variable, value=sealed, secure=True)

    def _kept(self, process: Process, name: str) -> str:
        newest = process.newest_version if process.pk else None
        plans = [process.drafted, *([newest.plan] if newest else [])]
        own = [item for plan in plans for item in plan.variables if item.name == name and item.secure and item.value]
        return (own[0].value or "") if own else ""


def _read_plans(arrival: _Arrival, ids: _Ids, secure: _SecureValues, read: Parsed) -> None:
    item, thing, process = arrival.item, arrival.item.thing, arrival.process
    ids.missing = []
    for part in PARTS:
        if (named := read.plans.get((thing.name, part))) is not None:
            plan = renamed(named, ids.id_of)
            setattr(arrival, part, replace(plan, variables=tuple(secure.set_in(process, plan, item))))
    item.notes += dict.fromkeys(ids.missing)
    if arrival.is_new:
        return
    newest = process.newest_version
    # A version keeps the name that its process had.
    plan_now, draft_now = (replace(newest.plan, process=process.name) if newest else None), process.drafted
    told = _told(process_data(process, None, ids.called), arrival.fields, ("description", "group"))
    if process.is_active != arrival.fields["is_active"]:
        told.append("active" if arrival.fields["is_active"] else "inactive")
    told += _people_told(arrival)
    told += differences(plan_now or draft_now, arrival.plan)
    if arrival.version and arrival.draft:
        told += [f"in the draft: {change}" for change in differences(draft_now, arrival.draft)]
    last = arrival.draft or arrival.plan
    if not told and draft_now == last and arrival.version == plan_now:
        item.state = SAME
        return
    item.state, item.changes = CHANGED, told or ["details of its definition"]
    if plan_now is not None and (lost := differences(plan_now, draft_now)) and draft_now != last:
        count = "1 change" if len(lost) == 1 else f"{len(lost)} changes"
        item.notes.append(f"Its draft here has {count} that no version has. Taking it overwrites them.")


def _people_told(arrival: _Arrival) -> list[str]:
    process, fields = arrival.process, arrival.fields
    before = {
        "owner": process.owner or "",
        "who may run it": _who(process.only_administrators_run, process.runners.all()),
    }
    after = {"owner": fields["owner"] or "", "who may run it": _who(fields["only_administrators_run"], arrival.runners)}
    return _told(before, after, tuple(after))


def _who(alone: bool, runners: Iterable[User]) -> str:
    return ", ".join(sorted(map(str, runners))) or ("administrators only" if alone else "everyone whose role allows it")


def _write_process(arrival: _Arrival, plan: Plan, by: Importer, **fields: Any) -> None:
    process = arrival.process
    before = process.drafted.destination
    # What the destination said of its targets holds as long as it is the same destination.
    if (before.kind, before.connection) != (plan.destination.kind, plan.destination.connection):
        fields["target_profile"] = {}
    if not process.change(revision=process.revision, by=by.user, draft=plan.to_json(), **fields):
        raise _meanwhile(arrival.item.thing)


def _called_first(arrivals: list[_Arrival]) -> Iterator[_Arrival]:
    """Give those that others run before the others: whoever runs a process needs its version."""
    waiting = {str(arrival.process.public_id): arrival for arrival in arrivals}
    while waiting:
        free = [key for key, arrival in waiting.items() if not called_by(arrival.plan) & (waiting.keys() - {key})]
        # In a circle nobody is first; each is then told what keeps it from running.
        for key in free or list(waiting):
            yield waiting.pop(key)


def _make_version(arrival: _Arrival, by: Importer, judged: Mapping[str, str]) -> None:
    item, process = arrival.item, arrival.process
    if arrival.version is None:
        item.notes.append("It is a draft: it has no version that runs.")
        return
    around = replace(surroundings_of(process), check=judged.__getitem__)
    if problems := problems_of(arrival.version, around):
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        why = " ".join(problem.sentence for problem in problems[:3])
        item.notes.append(f"It stays a draft until this is put right: {why}{more}")
        return
    newest = process.newest_version
    if newest is not None and replace(newest.plan, process=process.name) == arrival.version:
        return
    version = process.save_version(revision=process.revision, by=by.user)
    if version is None:
        raise _meanwhile(item.thing)
    item.version = version.number
    by.tell("process.version_saved", replace(item, changes=[]), version=version.number)


# What all of them share ---------------------------------------------------------------------------------------------


def _known(thing: Thing, *known: str) -> dict[str, Any]:
    for name in thing.data:
        if name not in known:
            raise NotTaken(f"{thing.where}: a {thing.kind} has no “{name[:80]}”. It has {', '.join(known)}.")
    return thing.data


def _switch(thing: Thing, name: str, *, default: bool) -> bool:
    value = thing.data.get(name, default)
    if not isinstance(value, bool):
        raise NotTaken(f"{thing.where}, {name}: true or false belongs there.")
    return value


def _is_right(item: Item, form: PlainForm) -> bool:
    if form.is_valid():
        return True
    item.refuse(" ".join(str(sentence) for all_of in form.errors.values() for sentence in all_of))
    return False


def _write(item: Item, by: Importer, there: Any, made: Any, fields: Mapping[str, Any], action: str) -> None:
    """Save a new row, or change the one that is there; it was read in this transaction."""
    if there is None:
        for name, value in fields.items():
            setattr(made, name, value)
        made.updated_by = by.user
        try:
            with transaction.atomic():
                made.save()
        except IntegrityError as error:
            raise _meanwhile(item.thing) from error
    elif not there.change(revision=there.revision, by=by.user, **fields):
        raise _meanwhile(item.thing)
    by.tell(action, item)


def _told(before: Mapping[str, Any], after: Mapping[str, Any], parts: Sequence[str]) -> list[str]:
    return [
        f"{part}: {_short(after[part]) or 'empty'} instead of {_short(before.get(part, '')) or 'empty'}"
        for part in parts
        if before.get(part, "") != after[part]
    ]


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def _meanwhile(thing: Thing) -> NotTaken:
    return NotTaken(f"Someone else saved the {thing.kind} {thing.name} in this moment. Look at the import again.")
