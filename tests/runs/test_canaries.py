"""Forty secrets go through everything that touches them; afterwards they are searched for in all that Waybill keeps."""

import base64
import gzip
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from django.core.management import call_command
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django_scopes import scope
from openpyxl import load_workbook
from structlog.stdlib import ProcessorFormatter

from accounts.models import Company, User
from integrations.connectors.sql.destination import SqlDestination
from integrations.engine.plan import (
    ColumnType,
    FieldMap,
    Keep,
    Line,
    ParentData,
    Prompt,
    Stage,
    Task,
    TaskType,
    Then,
    Variable,
)
from integrations.engine.secret import DOTS
from integrations.models import Connection, GlobalVariable, Process, Run, RunStatus
from integrations.models.vault import vault_of
from integrations.runs.perform import perform_next
from integrations.runs.redaction import LEAST_LETTERS
from tests.mail_server import MailServer
from tests.runs.performing import HEADER, Crm, file_of, process_into
from tests.runs.test_outside_tasks import Service, email, mail, service, sql
from tests.runs.test_secure_values import kept_in_the_database
from tests.runs.test_tasks import script

__all__ = ["mail", "service"]

pytestmark = pytest.mark.django_db(transaction=True)

EACH = 10
COMPANYS, OWN, GIVEN, OF_CONNECTIONS = (
    [f'{kind}-cänary/{number:02}+&<x> "q"' for number in range(EACH)] for kind in ("company", "own", "given", "conn")
)
CANARIES = [*COMPANYS, *OWN, *GIVEN, *OF_CONNECTIONS]


def names(kind: str) -> list[str]:
    return [f"GBL_{kind}_{number}" for number in range(EACH)]


def forms_of(text: str) -> set[str]:
    """What a canary may look like: plain, quoted, in hex, and in base64 wherever it begins."""
    raw = text.encode()
    shifted = {base64.b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)}
    stem = text.split('"')[0]
    return {stem, quote(stem), quote_plus(stem), raw.hex(), *shifted, *(each.translate(ADDRESS) for each in shifted)}


ADDRESS = str.maketrans("+/", "-_")
FORMS = {form: text for text in CANARIES for form in forms_of(text)}


def found_in(where: str, text: str) -> list[str]:
    return [f"{canary} in {where}" for form, canary in FORMS.items() if form in text]


@pytest.fixture
def crm(company: Company, settings: Any, tmp_path: Path) -> Iterator[Crm]:
    settings.FOLDERS = [tmp_path]
    settings.FILES_DIR = tmp_path / "files"
    with scope(company=company):
        yield Crm(company, tmp_path)


@pytest.fixture
def connections(company: Company, service: Service, crm: Crm) -> list[Connection]:
    made = []
    for number, text in enumerate(OF_CONNECTIONS):
        url = f"http://127.0.0.1:{service.server.server_port}/v1"
        kept = Connection(company=company, name=f"Service {number}", connector="http")
        kept.settings = {"url": url, "auth": ("basic", "header")[number % 2], "user": "waybill", "header": "X-Key"}
        kept.seal_secret("secret", text)
        kept.save()
        made.append(kept)
    return made


@pytest.fixture
def process(company: Company, crm: Crm, connections: list[Connection]) -> Process:
    """Every kind of task, field and failure, with every secret in it."""
    vault = vault_of(company)
    for name, text in zip(names("COMPANY"), COMPANYS, strict=True):
        GlobalVariable.objects.create(company=company, name=name, value=vault.sealed(name, text), is_secure=True)
    for name in (*names("OWN"), "GBL_COPY", "GBL_ANSWER", "GBL_BACK"):
        GlobalVariable.objects.create(company=company, name=name)
    for name in names("GIVEN"):
        GlobalVariable.objects.create(company=company, name=name, is_secure=True)
    own = [
        Variable(name=name, value=vault.sealed(name, text), secure=True, keep=Keep.ALWAYS)
        for name, text in zip(names("OWN"), OWN, strict=True)
    ]
    given = [Variable(name=name, prompt=Prompt(label=name)) for name in names("GIVEN")]
    every = [*names("COMPANY"), *names("OWN"), *names("GIVEN")]
    glued = " + '|' + ".join(f"this.{name}" for name in every)
    named = "|".join(f"[{name}]" for name in every)
    pre, post, always = Stage.INTEGRATION_PRE, Stage.DOCUMENT_POST_FAILURE, Stage.INTEGRATION_POST_ALWAYS
    asks = [
        Task(
            name=f"ASK_{number}",
            type=TaskType.CALL_HTTP,
            stage=pre,
            connection=str(kept.public_id),
            path=f"x/[{every[number]}]",
            body=f'{{"all": "{named}"}}',
            variable="GBL_ANSWER",
            expected="200" if number % 2 else "201",
            on_failure=Then.NEXT,
        )
        for number, kept in enumerate(connections)
    ]
    child = process_into(
        crm,
        process="CHILD",
        tasks=(script("BACK", pre, "this.GBL_BACK = this.GBL_COPY; return true;"),),
    )
    tasks = (
        script("COPY", pre, f"this.GBL_COPY = {glued}; return true;"),
        script("PRINT", pre, f"throw new Error({glued});", on_failure=Then.NEXT),
        script("RETURN", pre, f"return {glued};", on_failure=Then.NEXT),
        *asks,
        replace(
            sql(crm, pre, f"SELECT {'||'.join(f'[{name}]' for name in every)}", variable="GBL_BACK"), name="SELECT"
        ),
        replace(sql(crm, pre, f"SELECT abs([{every[0]}]), nothing([{every[1]}])", on_failure=Then.NEXT), name="BROKEN"),
        replace(email(post, subject="[run.lastError]", text=named, to="a@x.test", on_failure=Then.NEXT), name="TELL"),
        Task(
            name="CHILD",
            type=TaskType.RUN_INTEGRATION,
            stage=always,
            integration=str(child.public_id),
            parent_data=ParentData.FAILED,
            use_variables=True,
            hand_back=True,
            on_failure=Then.NEXT,
        ),
        replace(
            email(always, subject="Done", text=f"{named} [GBL_COPY] [GBL_ANSWER]", to="a@x.test", attach_failed=True),
            name="END",
        ),
    )
    name = FieldMap(
        target="name", column_type=ColumnType.CALCULATION, value=f"return this._Name && {glued};", required=True
    )
    line = Line(
        name="Customer",
        target="customers",
        keys=("customer_number",),
        fields=(FieldMap(target="customer_number", value="CustomerNumber", required=True), name),
    )
    crm._do(
        "CREATE TRIGGER no BEFORE INSERT ON customers WHEN new.customer_number = '3' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    return process_into(crm, tasks=tasks, lines=(line,), variables=(*own, *given))


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the process logs, in every detail, as a terminal or a collector gets it."""
    root, out = logging.getLogger(), io.StringIO()
    ours = next(each for each in root.handlers if isinstance(each.formatter, ProcessorFormatter))
    handler = logging.StreamHandler(out)
    handler.setFormatter(ours.formatter)
    root.addHandler(handler)
    yield out
    root.removeHandler(handler)


def test_no_secret_is_found_outside_of_its_ciphertext(
    client: Client,
    ada: User,
    process: Process,
    company: Company,
    crm: Crm,
    service: Service,
    mail: MailServer,
    settings: Any,
    logged: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(CANARIES) == 40 and min(map(len, CANARIES)) >= LEAST_LETTERS
    client.force_login(ada)
    service.text = "you are {auth}, and sent " + " ".join(CANARIES)
    said = []

    rows = "1,Anna\n2,\n3,Cara\n"
    given = {f"given-{name}": text for name, text in zip(names("GIVEN"), GIVEN, strict=True)}
    upload = io.BytesIO((HEADER + rows).encode())
    upload.name = "customers.csv"
    started = client.post(reverse("run-start", args=[process.public_id]), {"file": upload, **given}, follow=True)
    said += found_in("the answer of the panel", started.content.decode())
    seen: list[str] = []
    monkeypatch.setattr("integrations.runs.tasks.failpoint", lambda place: seen.append(of_every_process()))
    assert perform_next()
    monkeypatch.undo()
    said += found_in("the command lines and environments of processes", "\n".join(seen))
    run = Run.objects.get(process=process)
    assert run.status == RunStatus.COMPLETED_WITH_ERRORS, run.reason
    assert run.documents_failed == 2 and run.documents_created == 1
    assert dict(crm.customers())["1"] == "|".join([*COMPANYS, *OWN, *GIVEN]), "they arrive where they are sent"
    assert len(service.asked) == EACH and service.asked[-1][2]["all"] == "|".join([*COMPANYS, *OWN, *GIVEN])

    def fall(destination: SqlDestination, batch: Any, ticket: Any) -> Any:
        raise RuntimeError(f"a driver says {batch.lines[0].records}")

    with monkeypatch.context() as patch:
        patch.setattr(SqlDestination, "deliver", fall)
        client.post(reverse("run-rerun", args=[run.number]))
        assert perform_next()
    again = Run.objects.filter(process=process).latest("pk")
    assert again.status == RunStatus.FAILED and again.error_code == "internal"

    said += found_in("the log of the process", logged.getvalue())
    assert "a driver says" in logged.getvalue() and DOTS in logged.getvalue()
    said += found_in("the database", kept_in_the_database())
    for to, message in mail.taken:
        said += found_in(f"an e-mail to {to}", "\n".join(texts_of(message)))
    assert len(mail.taken) >= 3
    for address in pages(process, run, again):
        response = client.get(address)
        assert response.status_code == 200, address
        content = b"".join(response.streaming_content) if response.streaming else response.content
        said += found_in(address, as_text(content))
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    said += found_in("an export of all data", out.getvalue())
    for path in Path(settings.FILES_DIR).rglob("*"):
        if path.is_file():
            said += found_in(str(path), as_text(path.read_bytes()))
    if database.vendor == "sqlite" and Path(str(database.settings_dict["NAME"])).is_file():
        for path in Path(str(database.settings_dict["NAME"])).parent.glob(
            f"{Path(str(database.settings_dict['NAME'])).name}*"
        ):
            said += found_in(str(path), path.read_bytes().decode("utf-8", "replace"))

    assert said == []
    assert file_of(company, rows).sha256 == run.source_file.sha256, "the source itself is kept as it came"


def pages(process: Process, *runs: Run) -> Iterator[str]:
    for tab in ("", "source", "target", "options", "tasks", "variables", "versions", "preview"):
        yield reverse(f"process-{tab}" if tab else "process", args=[process.public_id])
    for part in ("mapping", "restriction"):
        yield reverse(f"process-{part}", args=[process.public_id, 1])
    for name in (names("OWN")[0], names("GIVEN")[0]):
        yield reverse("process-prompt", args=[process.public_id, name])
    yield reverse("run-panel-process", args=[process.public_id])
    for name in ("runs", "global-variables", "connections", "audit-log"):
        yield reverse(name)
    for variable in GlobalVariable.objects.all():
        yield reverse("global-variable", args=[variable.public_id])
    for kept in Connection.objects.all():
        yield reverse("connection", args=[kept.public_id])
    for run in runs:
        for page in ("summary", "errors", "details", "source-file", "errors-export"):
            yield reverse(f"run-{page}", args=[run.number])


def of_every_process() -> str:
    """The command lines and environments of this process and those that it started."""
    found = []
    for part in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{part}"):
            try:
                found.append(path.read_bytes().decode("utf-8", "replace"))
            except OSError:
                continue  # It ended, or belongs to somebody else.
    return "\n".join(found)


def texts_of(message: Any) -> Iterator[str]:
    yield str(message["Subject"])
    for part in message.walk():
        if not part.is_multipart():
            yield as_text(part.get_payload(decode=True))


def as_text(content: bytes) -> str:
    """What a file says: a workbook's cells, what is packed unpacked."""
    if content[:2] == b"PK":
        sheets = load_workbook(io.BytesIO(content)).worksheets
        return "\n".join(str(cell) for sheet in sheets for row in sheet.iter_rows(values_only=True) for cell in row)
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return content.decode("utf-8", "replace")
