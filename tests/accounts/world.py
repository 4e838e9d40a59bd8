"""A furnished company: every kind of thing that an address can name, with a word in it that nobody else may see."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.files.base import ContentFile
from django.db import models, transaction
from django.test import Client
from django.utils import timezone
from django_scopes import scope, scopes_disabled

from accounts import first_visit, invitations
from accounts.audit import record
from accounts.models import Company, Invitation, Membership, Role, User
from integrations.connectors.excel import write_rows
from integrations.engine.batch import Bucket
from integrations.engine.plan import (
    Column,
    ColumnType,
    DestinationSpec,
    FieldMap,
    Line,
    Plan,
    SourceMode,
    SourceSpec,
    Stage,
    Task,
    TaskType,
    Variable,
)
from integrations.forms.surroundings import profile
from integrations.models import (
    Connection,
    DocumentOutcome,
    GivenNumbers,
    GlobalVariable,
    LedgerSegment,
    LogEntry,
    OutputFile,
    Process,
    ProcessVersion,
    RollingNumber,
    Run,
    RunsColumns,
    RunStatus,
    RunsView,
    StageEntry,
    StoredFile,
    TaskDeed,
    TranslationTable,
    Watermark,
)
from integrations.runs.files import store
from integrations.runs.journal import make_filter, pack_keys
from integrations.runs.preview import targets_of
from tests import factories
from tests.web.defining import CSV, make_database

WORD = "kestrel-7c1e"
"""Stands in every text of the furnished company, and nowhere else."""
SECRET = "only-the-kestrel-crm-knows-9b2d"


@dataclass
class Furniture:
    """What a company holds."""

    company: Company
    connection: Connection
    spare_connection: Connection
    process: Process
    trashed: Process
    busy: Process
    run: Run
    queued: Run
    member: Membership
    invitation: Invitation
    invitation_link: str
    variable: GlobalVariable
    spare_variable: GlobalVariable
    table: TranslationTable
    spare_table: TranslationTable
    sequence: RollingNumber
    spare_sequence: RollingNumber
    workbook: StoredFile
    export: StoredFile
    view: RunsView


@dataclass
class World:
    """The company under test, its people, and who is not one of them."""

    ours: Furniture
    theirs: Furniture
    people: dict[str, User]
    owner_token: str

    def client(self, person: str, **options: Any) -> Client:
        """A browser in which `person` is signed in; "nobody" is not."""
        client = Client(**options)
        if person != "nobody":
            client.force_login(self.people[person])
        return client


def make_world(folder: Path) -> World:
    company = factories.make_company(f"Harwood {WORD}")
    elsewhere = factories.make_company("Elsewhere Ltd")
    people = {
        str(role): factories.make_user(f"{name}@{WORD}.test", company=company, role=role, name=f"{name} {WORD}")
        for role, name in zip(Role, ("vera", "omar", "dora", "ada"), strict=True)
    }
    mallory = factories.make_user("mallory@elsewhere.test", company=elsewhere, role=Role.ADMINISTRATOR)
    ours = furnish(company, people["administrator"], folder, word=f" {WORD}", number=41)
    theirs = furnish(elsewhere, mallory, folder, word="", number=7)
    link = first_visit.owner_link()
    assert link is not None
    # An Owner of the installation who is a member of no company.
    people |= {"mallory": mallory, "owner": factories.make_user("olga@install.test", is_owner=True)}
    return World(ours=ours, theirs=theirs, people=people, owner_token=link.rstrip("/").rsplit("/", 1)[-1])


def furnish(company: Company, by: User, folder: Path, *, word: str, number: int) -> Furniture:
    """Fill a company with one of everything, `word` in each text. Its runs begin with `number`."""
    database = folder / f"{company.pk}"
    database.mkdir()
    path = make_database(database)
    with scope(company=company):
        connection = _connection(company, f"CRM{word}", path)
        plan = _plan(connection, word)
        process = _process(company, by, f"CUSTOMERS{word}", plan, word)
        trashed = _process(company, by, f"OLD{word}", plan, word)
        Process.objects.filter(pk=trashed.pk).update(trashed_at=timezone.now())
        busy = _process(company, by, f"BUSY{word}", plan, word)
        invitation, link = invitations.invite(company, email=f"new@{company.pk}.test", role=Role.OPERATOR, by=by)
        record("process.created", f"CUSTOMERS{word}", user=by, company=company, after={"by": f"import{word}"})
        member = factories.make_user(f"kim@{company.pk}.test", company=company, role=Role.VIEWER, name=f"Kim{word}")
        return Furniture(
            company=company,
            connection=connection,
            spare_connection=_connection(company, f"Spare{word}", path),
            process=process,
            trashed=trashed,
            busy=_changes_only(busy, by, word),
            run=_ended_run(process, by, word, number),
            queued=_run(busy, by, word, number + 1),
            member=member.memberships.get(),
            invitation=invitation,
            invitation_link=link,
            variable=_variable(company, "GBL_REGION", word, by),
            spare_variable=_variable(company, "GBL_SPARE", word, by),
            table=_table(company, f"Countries{word}", word, by),
            spare_table=_table(company, f"Spare{word}", word, by),
            sequence=_sequence(company, f"Orders{word}", word, by),
            spare_sequence=_sequence(company, f"Spare{word}", word, by),
            workbook=_workbook(company, folder, word, by),
            export=_export(company, word, by),
            view=_view(company, word, by),
        )


def _changes_only(process: Process, by: User, word: str) -> Process:
    """Let the draft of `process` read changes only, and have come so far."""
    draft = process.drafted
    source = replace(draft.source, mode=SourceMode.CHANGES, watermark=draft.source.columns[0].name)
    Process.objects.filter(pk=process.pk).update(draft=replace(draft, source=source).to_json())
    Watermark.objects.create(
        company=process.company,
        process=process,
        column=source.watermark,
        value=f"2026{word}",
        set_by=by,
        carried=store(process.company, ContentFile(CSV), name=f"carried{word}.csv", by=by),
        carried_documents=1,
        moved_at=timezone.now(),
    )
    process.refresh_from_db()
    return process


def _variable(company: Company, name: str, word: str, by: User) -> GlobalVariable:
    value = f"North{word}"
    return GlobalVariable.objects.create(company=company, name=name, value=value, description=word, updated_by=by)


def _table(company: Company, name: str, word: str, by: User) -> TranslationTable:
    pairs = [("DE", f"Germany{word}"), (f"FR{word}", "France")]
    return TranslationTable.make(company, by=by, pairs=pairs, name=name, description=f"Described{word}")


def _sequence(company: Company, name: str, word: str, by: User) -> RollingNumber:
    return RollingNumber.objects.create(
        company=company, name=name, prefix=f"N{word}-", description=f"Described{word}", updated_by=by
    )


def _view(company: Company, word: str, by: User) -> RunsView:
    RunsColumns.objects.create(company=company, user=by, columns=["status", "name", "failed"])
    return RunsView.objects.create(company=company, user=by, name=f"Failed{word}", query=f"q=Nightly{word}")


def _workbook(company: Company, folder: Path, word: str, by: User) -> StoredFile:
    path = folder / f"{company.pk}.xlsx"
    write_rows(path, ("From", "To"), [("DE", f"Allemagne{word}")])
    return store(company, ContentFile(path.read_bytes()), name=f"countries{word}.xlsx", by=by)


def _export(company: Company, word: str, by: User) -> StoredFile:
    text = f"waybill: 1\nkind: global variable\nname: GBL_REGION\nvalue: Exported{word}\n"
    return store(company, ContentFile(text.encode()), name=f"export{word}.yaml", by=by)


def _connection(company: Company, name: str, path: Path) -> Connection:
    settings = {"system": "sqlite", "path": str(path), "user": "", "host": ""}
    connection = Connection(company=company, name=name, connector="sql", settings=settings)
    connection.seal_secret("password", SECRET)
    connection.save()
    return connection


def _plan(connection: Connection, word: str, **changes: Any) -> Plan:
    columns = tuple(Column(name=name) for name in ("Customer Number", "Name"))
    fields = (
        FieldMap(target="customer_number", value="Customer Number", required=True),
        FieldMap(target="name", value="Name", required=True),
    )
    line = Line(name=f"Customer{word}", target="customers", keys=("customer_number",), fields=fields)
    parts: dict[str, Any] = {
        "process": f"CUSTOMERS{word}",
        "source": SourceSpec(kind="delimited", columns=columns),
        "destination": DestinationSpec(kind="sql", connection=str(connection.public_id)),
        "key_fields": ("Customer Number",),
        "lines": (line,),
        "tasks": (
            Task(
                name=f"SET{word}",
                type=TaskType.SET_VARIABLE,
                stage=Stage.INTEGRATION_PRE,
                variable="GBL_REGION",
                value=f"South{word}",
            ),
        ),
        "variables": (Variable(name="GBL_REGION", value=f"West{word}"),),
    }
    return Plan(**(parts | changes))


def _process(company: Company, by: User, name: str, plan: Plan, word: str) -> Process:
    """One with a version, and a draft that differs from it by a constant."""
    note = FieldMap(target="note", column_type=ColumnType.CONSTANT, value=f"noted{word}")
    line = plan.lines[0]
    draft = Plan(
        process=name,
        source=plan.source,
        destination=plan.destination,
        key_fields=plan.key_fields,
        additional=(FieldMap(target="Country", column_type=ColumnType.CONSTANT, value=f"here{word}"),),
        lines=(Line(name=line.name, target=line.target, keys=line.keys, fields=(*line.fields, note)),),
        tasks=plan.tasks,
        variables=plan.variables,
    )
    file = store(company, ContentFile(CSV + f"00125,Row{word},1\n".encode()), name=f"customers{word}.csv", by=by)
    process = Process.objects.create(
        company=company,
        name=name,
        description=f"Described{word}",
        group=f"Group{word}",
        owner=by,
        draft=draft.to_json(),
        sample=file,
        default_file=file,
        target_profile=profile(targets_of(plan.destination)),
        created_by=by,
        updated_by=by,
    )
    ProcessVersion.objects.create(company=company, process=process, number=1, plan_json=plan.to_json(), created_by=by)
    return process


def _run(process: Process, by: User, word: str, number: int, **fields: Any) -> Run:
    return Run.objects.create(
        company=process.company,
        process=process,
        version=process.newest_version,
        number=number,
        name=f"Nightly{word}",
        requested_by=by,
        source_file=process.default_file,
        **fields,
    )


def _ended_run(process: Process, by: User, word: str, number: int) -> Run:
    now = timezone.now()
    run = _run(
        process,
        by,
        word,
        number,
        status=RunStatus.COMPLETED_WITH_ERRORS,
        reason=f"Ended{word}",
        started_at=now - timedelta(seconds=9),
        ended_at=now,
        source_rows=4,
        source_documents=3,
        segments=1,
        documents_created=2,
        rows_created=3,
        documents_failed=1,
        rows_failed=1,
    )
    owned = {"company": run.company, "run": run}
    keys, buckets = [f"00123{word}", f"00124{word}", f"00125{word}"], [Bucket.CREATED, Bucket.FAILED, Bucket.CREATED]
    LedgerSegment.objects.create(
        **owned,
        number=1,
        epoch=1,
        first_document=1,
        last_document=3,
        documents={"created": 2, "failed": 1},
        rows={"created": 3, "failed": 1},
        lines=[{"created": 2, "failed": 1}],
        keys=pack_keys(keys, buckets),
        key_filter=make_filter(keys),
    )
    DocumentOutcome.objects.create(
        **owned,
        document=2,
        key=keys[1],
        bucket="failed",
        rows=[{"number": 3, "values": {"Customer Number": "00124", "Name": f"{word}"}}],
        records=[{"line": f"Customer{word}", "values": {"name": f"{word}"}}],
        sentence=f"Refused{word}",
        cause=f"Refused{word}",
        code="document.required",
        stage="map",
        column="name",
        answer=f"NOT NULL{word}",
    )
    StageEntry.objects.create(**owned, epoch=1, stage="read", message=f"read{word}", ended_at=now)
    LogEntry.objects.create(**owned, level="info", stage="read", message=f"logged{word}")
    OutputFile.objects.create(**owned, number=1, name=f"made{word}.csv", is_placed=True, file=process.default_file)
    GivenNumbers.objects.create(**owned, place=f"Customer{word}/name", last_document=3, numbers={"1": f"N{word}-1"})
    TaskDeed.objects.create(**owned, place=f"integration_pre/TELL{word}", value=f"told{word}")
    return run


def text_of(response: Any) -> str:
    """All that an answer shows, a workbook's cells included."""
    body: bytes = response.getvalue()
    if body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as book:
            body = b" ".join(book.read(name) for name in book.namelist())
    return body.decode("utf-8", "replace")


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is written inside is taken back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def state_of(company: Company) -> dict[str, list[dict[str, Any]]]:
    """Every row that belongs to a company, to be compared with itself later."""
    with scopes_disabled():
        found = {
            model._meta.label: list(model._default_manager.filter(company=company).order_by("pk").values())
            for model in owned_models()
        }
        members = User.objects.filter(memberships__company=company).order_by("pk")
        found["people"] = list(members.values("pk", "email", "name", "password", "is_active", "is_owner"))
        found["company"] = list(Company.objects.filter(pk=company.pk).values())
    return found


def owned_models() -> list[type[models.Model]]:
    """Every model with a company."""
    return [
        model
        for model in apps.get_models()
        if any(field.name == "company" and field.related_model is Company for field in model._meta.get_fields())
    ]
