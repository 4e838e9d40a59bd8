"""Tasks that do something outside of Waybill, at real servers, and never a second time after a kill."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope
from openpyxl import load_workbook

from accounts.models import Company
from integrations.engine.plan import ColumnType, Expects, FieldMap, Header, Stage, Task, TaskType, Then
from integrations.models import Connection, GlobalVariable, Run, RunStatus, TaskDeed
from integrations.runs.perform import perform_next
from integrations.runs.request import request_cancel
from tests import factories
from tests.mail_server import MailServer
from tests.runs.performing import Crm, fresh, performed, process_into, requested
from tests.runs.test_perform import log_of
from tests.runs.test_tasks import Killed, script
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)

FOUR = "00001,Anna\n00002,\n00003,Cara\n00004,\n"


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        GlobalVariable.objects.create(company=company, name="GBL_REGION", value="North\nBcc: eve@x.test")
        GlobalVariable.objects.create(company=company, name="GBL_MAIL", value="ops@x.test; ada@x.test")
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    return Crm(company, tmp_path)


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:
    with MailServer().running() as server:
        through(settings, server.port)
        yield server


def through(settings: Any, port: int) -> None:
    """Send mail through this port of loopback, as WAYBILL_EMAIL_URL=smtp://127.0.0.1:port does."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_TIMEOUT = 20


def email(stage: Stage, **more: Any) -> Task:
    parts = {"to": "[GBL_MAIL]", "subject": "Run [run.number] in [GBL_REGION]", "text": "Hello.\n", **more}
    return Task(name="TELL", type=TaskType.SEND_EMAIL, stage=stage, **parts)


def kill_at(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the worker at a failpoint of the tasks, as kill -9 does."""

    def fall(name: str) -> None:
        if name == place:
            raise Killed

    monkeypatch.setattr("integrations.runs.tasks.failpoint", fall)


def killed_and_resumed(process: Any, rows: str, place: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    run = requested(process, rows)
    with monkeypatch.context() as patch:
        kill_at(place, patch)
        with pytest.raises(Killed):
            perform_next()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert perform_next()
    return fresh(run)


# ---- Send E-mail -------------------------------------------------------------------------------------------------


def test_an_email_names_variables_and_the_run_and_brings_the_failed_documents(crm: Crm, mail: MailServer) -> None:
    text = "[run.failed] of [run.read] failed in [run.process].\n.\nFrom [GBL_REGION], [NOTHING]"
    behind = email(Stage.INTEGRATION_POST_FAILURE, text=text, cc="cc@x.test", attach_failed=True)
    run = performed(process_into(crm, tasks=(behind,)), FOUR)
    ((to, message),) = mail.taken
    assert to == ["ops@x.test", "ada@x.test", "cc@x.test"]
    assert message["Subject"] == f"Run {run.number} in North Bcc: eve@x.test" and message["Bcc"] is None
    body, attached = message.iter_parts()
    said = body.get_content().replace("\r\n", "\n")
    assert said.strip() == "2 of 4 failed in CUSTOMERS_TO_CRM.\n.\nFrom North\nBcc: eve@x.test, [NOTHING]"
    assert attached.get_filename() == f"Run {run.number} failed documents.xlsx"
    page = load_workbook(io.BytesIO(attached.get_payload(decode=True))).active
    rows = list(page.iter_rows(values_only=True))
    assert [row[1] for row in rows] == ["Key", "00002", "00004"] and rows[0][-2:] == ("CustomerNumber", "Name")
    assert "TELL is done. Sent to ops@x.test, ada@x.test, cc@x.test." in log_of(run)


def test_nothing_is_attached_where_no_document_failed(crm: Crm, mail: MailServer) -> None:
    behind = email(Stage.INTEGRATION_POST_ALWAYS, attach_failed=True)
    performed(process_into(crm, tasks=(behind,)), "00001,Anna\n")
    ((_, message),) = mail.taken
    assert not message.is_multipart()


def test_a_document_tells_of_itself(crm: Crm, mail: MailServer) -> None:
    behind = email(Stage.DOCUMENT_POST_FAILURE, subject="[_CustomerNumber] failed: [run.lastError]")
    run = performed(process_into(crm, tasks=(behind,)), FOUR)
    subjects = [message["Subject"] for _, message in mail.taken]
    assert [subject[:31] for subject in subjects] == [
        "00002 failed: Name is blank in ",
        "00004 failed: Name is blank in ",
    ]
    assert run.batching == "Document by document: the tasks behind a document look at the counts of the run."


def test_a_mail_server_that_does_not_answer_is_a_failed_task(crm: Crm, settings: Any) -> None:
    through(settings, port := free_port())
    run = performed(process_into(crm, tasks=(email(Stage.INTEGRATION_POST_ALWAYS),)), "00001,Anna\n")
    said = f"TELL failed: the mail server “127.0.0.1” does not answer on port {port}. Nothing was sent. It quits here."
    assert (run.status, run.reason, run.documents_created) == (RunStatus.COMPLETED_WITH_ERRORS, said, 1)
    assert not TaskDeed.objects.exists(), "whoever would continue the run may try again"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"greeting": "554 go away"}, "the mail server refuses to talk to Waybill: 554 go away"),
        ({"refuses": {"ops@x.test", "ada@x.test"}}, "takes it for nobody: ops@x.test: 550 no such person; ada@x.test"),
        ({"refuses": {"ada@x.test"}}, "it was sent, but the mail server refuses ada@x.test."),
        ({"breaks_off": True}, "broke the connection off while it was sent, so it may have been sent."),
    ],
)
def test_what_a_mail_server_refuses_is_a_failed_task_in_its_words(
    crm: Crm, mail: MailServer, how: dict[str, Any], said: str
) -> None:
    vars(mail).update(how)
    run = performed(process_into(crm, tasks=(email(Stage.INTEGRATION_POST_ALWAYS),)), "00001,Anna\n")
    assert run.status == RunStatus.COMPLETED_WITH_ERRORS and said in run.reason


@pytest.mark.parametrize(
    ("to", "said"), [("", "there is no address"), ("[GBL_REGION]", "“North” is no e-mail"), ("a@x.test b", "is no e-m")]
)
def test_what_is_no_address_is_a_failed_task(crm: Crm, mail: MailServer, to: str, said: str) -> None:
    run = performed(process_into(crm, tasks=(email(Stage.INTEGRATION_PRE, to=to),)), "00001,Anna\n")
    assert run.status == RunStatus.FAILED and said in run.reason and mail.taken == []


def test_a_mail_server_in_a_network_that_is_not_opened_is_not_spoken_to(
    crm: Crm, mail: MailServer, settings: Any
) -> None:
    settings.ALLOW_NETS = []
    run = performed(process_into(crm, tasks=(email(Stage.INTEGRATION_PRE),)), "00001,Anna\n")
    assert "lies in a private network" in run.reason and mail.taken == []


def test_a_run_killed_before_or_behind_an_email_does_not_send_it_again(
    crm: Crm, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = email(Stage.INTEGRATION_PRE, on_failure=Then.NEXT)
    for number, (place, sent) in enumerate((("tasks.begun", 0), ("tasks.acted", 1))):
        mail.taken.clear()
        process = process_into(crm, process=f"P{number}", tasks=(before,))
        run = killed_and_resumed(process, "00001,Anna\n", place, monkeypatch)
        assert len(mail.taken) == sent and run.status == RunStatus.COMPLETED
        doubt = "TELL failed: it may have been done before its worker died, so it is not done again. Look there."
        assert doubt in log_of(run)


def test_what_follows_an_email_that_may_have_been_sent_is_for_its_on_failure(
    crm: Crm, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = process_into(crm, tasks=(email(Stage.INTEGRATION_PRE),))
    run = killed_and_resumed(process, "00001,Anna\n", "tasks.acted", monkeypatch)
    assert (run.status, run.documents_created, len(mail.taken)) == (RunStatus.FAILED, 0, 1)
    assert run.reason.startswith("TELL failed: it may have been done before its worker died")


def test_the_emails_of_a_segment_that_a_kill_left_open_are_not_sent_again(
    crm: Crm, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two documents a segment: the first one's e-mail is known to be sent, the second one's is in doubt."""
    fall = script("STAY", Stage.DOCUMENT_PRE, "return true;")
    behind = email(Stage.DOCUMENT_POST_SUCCESS, subject="[_CustomerNumber]")
    run = requested(process_into(crm, tasks=(fall, behind)), "00001,Anna\n00002,Ben\n00003,Cara\n")
    with monkeypatch.context() as patch:
        acted: list[str] = []

        def fall_at_the_second(name: str) -> None:
            acted.extend([name] if name == "tasks.acted" else [])
            if len(acted) == 2:
                raise Killed

        patch.setattr("integrations.runs.tasks.failpoint", fall_at_the_second)
        with pytest.raises(Killed):
            perform_next()
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert perform_next()
    run = fresh(run)
    assert [message["Subject"] for _, message in mail.taken] == ["00001", "00002", "00003"]
    assert (run.documents_created, run.follow_ups, run.status) == (3, 1, RunStatus.COMPLETED_WITH_ERRORS)
    (outcome,) = run.outcomes.all()
    assert outcome.key == "00002" and "may have been done before its worker died" in outcome.sentence


# ---- Run SQL -----------------------------------------------------------------------------------------------------


def sql(crm: Crm, stage: Stage, statement: str, **more: Any) -> Task:
    connection = str(crm.connection.public_id)
    return Task(name="DO", type=TaskType.RUN_SQL, stage=stage, connection=connection, statement=statement, **more)


HOSTILE = "x'); DROP TABLE customers; --"
INSERT = "INSERT INTO customers VALUES ([run.process], [GBL_MAIL]);"


def test_a_statement_gets_its_values_bound_and_says_what_it_did(crm: Crm, company: Company) -> None:
    GlobalVariable.objects.filter(name="GBL_MAIL").update(value=HOSTILE)
    run = performed(process_into(crm, tasks=(sql(crm, Stage.INTEGRATION_PRE, INSERT),)), "00001,Anna\n")
    assert crm.customers() == [("00001", "Anna"), ("CUSTOMERS_TO_CRM", HOSTILE)]
    assert "DO is done. 1 row was affected." in log_of(run)


def test_the_first_value_of_a_statement_goes_into_a_variable_that_the_next_document_reads(crm: Crm) -> None:
    count = "SELECT count(*) || [_CustomerNumber] FROM customers"
    ask = sql(crm, Stage.DOCUMENT_PRE, count, variable="GBL_MAIL")
    (line,) = process_into(crm, process="SHAPE").newest_version.plan.lines
    reads = FieldMap(target="name", column_type=ColumnType.CALCULATION, value="return this.GBL_MAIL;")
    process = process_into(crm, lines=(replace(line, fields=(line.fields[0], reads)),), tasks=(ask,))
    run = performed(process, "00001,Anna\n00002,Ben\n")
    assert crm.customers() == [("00001", "ops@x.test; ada@x.test"), ("00002", "000001")]
    assert run.batching == "Document by document: DO may see what a document before it left in another system."


def test_a_variable_is_emptied_where_no_row_comes(crm: Crm) -> None:
    ask = sql(crm, Stage.INTEGRATION_PRE, "SELECT name FROM customers WHERE name = 'Nobody'", variable="GBL_MAIL")
    run = performed(process_into(crm, tasks=(ask,)), "00001,Anna\n")
    assert run.variables["GBL_MAIL"] == "" and "DO is done. It gave no row." in log_of(run)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO nowhere VALUES (1)", "CRM refuses the statement: no such table: nowhere"),
        ("INSERT INTO customers VALUES ('1', NULL)", "NOT NULL constraint failed: customers.name"),
        ("INSERT INTO customers VALUES ('1', 'A'); DELETE FROM customers", "one statement at a time"),
        ("ATTACH '/tmp/other.db' AS other", "not authorized"),
        ("COMMIT", "not authorized"),
    ],
)
def test_a_statement_that_is_refused_is_a_failed_task_and_leaves_nothing(crm: Crm, statement: str, said: str) -> None:
    run = performed(process_into(crm, tasks=(sql(crm, Stage.INTEGRATION_PRE, statement),)), "00001,Anna\n")
    assert run.status == RunStatus.FAILED and said in run.reason and crm.customers() == []
    assert not TaskDeed.objects.exists()


def test_a_connection_of_another_kind_is_a_failed_task(crm: Crm, company: Company) -> None:
    other = factories.make_connection(company, "Web", "http", url="http://127.0.0.1/")
    task = replace(sql(crm, Stage.INTEGRATION_PRE, "SELECT 1"), connection=str(other.public_id))
    run = performed(process_into(crm, tasks=(task,)), "00001,Anna\n")
    assert "DO failed: Web is no connection for this. Choose another one." in run.reason


@pytest.mark.parametrize(("place", "held"), [("tasks.begun", 0), ("tasks.acted", 1)])
def test_a_run_killed_at_a_statement_does_not_execute_it_again(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, place: str, held: int
) -> None:
    before = sql(crm, Stage.INTEGRATION_PRE, INSERT)
    run = killed_and_resumed(process_into(crm, tasks=(before,)), "00001,Anna\n", place, monkeypatch)
    assert len(crm.customers()) == held and run.status == RunStatus.FAILED
    assert run.reason.startswith("DO failed: it may have been done before its worker died, so it is not done again.")


def test_an_answer_that_was_kept_is_taken_over_by_the_worker_that_continues(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed behind the task and before its document was accounted for."""
    ask = sql(crm, Stage.DOCUMENT_PRE, "SELECT count(*) || [_Name] FROM customers", variable="GBL_MAIL")
    after = email(Stage.DOCUMENT_POST_SUCCESS, to="", on_failure=Then.NEXT)
    process = process_into(crm, tasks=(ask, after))
    run = requested(process, "00001,Anna\n")
    begun: list[str] = []

    def fall_at_the_second(name: str) -> None:
        begun.extend([name] if name == "tasks.begun" else [])
        if len(begun) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("integrations.runs.tasks.failpoint", fall_at_the_second)
        with pytest.raises(Killed):
            perform_next()
    assert len(crm.customers()) == 1 and fresh(run).variables["GBL_MAIL"] != "0Anna"
    Run.objects.filter(pk=run.pk).update(lease_owner="")
    assert perform_next()
    assert fresh(run).variables["GBL_MAIL"] == "0Anna", "what it said when it was done, not what it would say now"


def test_a_statement_without_end_is_left_for_a_cancel_and_keeps_nothing(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = (
        "INSERT INTO customers WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, 'x' FROM n"
    )
    run = requested(process_into(crm, tasks=(sql(crm, Stage.INTEGRATION_PRE, endless),)), "00001,Anna\n")
    monkeypatch.setattr("integrations.connectors.sql.statement.LOOK_UP_SECONDS", 0.05)

    def cancel(name: str) -> None:
        if name == "tasks.begun":
            request_cancel(run, by=None)

    monkeypatch.setattr("integrations.runs.tasks.failpoint", cancel)
    assert perform_next()
    assert fresh(run).status == RunStatus.CANCELLED
    assert crm.customers() == [] and not TaskDeed.objects.exists()


# ---- Call HTTP ---------------------------------------------------------------------------------------------------


class Service:
    """A web service on loopback: keeps what it is asked and answers `status` and `text`; `drops` breaks that many off."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any, str]] = []
        self.headers: list[Any] = []
        self.status, self.text, self.drops = 200, "", 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = self.headers["Idempotency-Key"]
                service.headers.append(self.headers)
                service.asked.append((self.command, self.path, json.loads(body) if body else None, key))
                if service.drops:
                    service.drops -= 1
                    return
                text = service.text.replace("{auth}", self.headers.get("Authorization") or "").encode()
                self.send_response(service.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def call(company: Company, service: Service) -> Any:
    """Give a maker of *Call HTTP* tasks; a service that honours keys where `honours` is asked for."""

    def made(stage: Stage, *, honours: bool = False, url: str = "", **more: Any) -> Task:
        name = f"Web {Connection.objects.count()}"
        settings = {"url": url or service.url, "honours_key": honours, "auth": "bearer", "timeout": 20}
        connection = factories.make_connection(company, name, "http", **settings)
        connection.seal_secret("secret", "SwordFish99")
        connection.save()
        parts = {"connection": str(connection.public_id), "path": "notes", **more}
        return Task(name="CALL", type=TaskType.CALL_HTTP, stage=stage, **parts)

    return made


def test_a_request_has_its_values_filled_in_and_its_answer_in_a_variable(crm: Crm, service: Service, call: Any) -> None:
    GlobalVariable.objects.filter(name="GBL_MAIL").update(value='a/b?"c": ..')
    service.status, service.text = 207, "first\nsecond {auth}"
    body = '{"mail": "to [GBL_MAIL]", "read": "[run.read]", "list": ["[run.process]", 1.5, null]}'
    task = call(
        Stage.INTEGRATION_POST_SUCCESS, path="/notes/[GBL_MAIL]?q=[run.number]", body=body, variable="GBL_REGION"
    )
    run = performed(process_into(crm, tasks=(task,)), "00001,Anna\n")
    ((method, path, sent, key),) = service.asked
    assert (method, path) == ("POST", f"/v1/notes/a%2Fb%3F%22c%22:%20..?q={run.number}")
    assert sent == {"mail": 'to a/b?"c": ..', "read": 1, "list": ["CUSTOMERS_TO_CRM", 1.5, None]}
    assert key.startswith(run.public_id.hex) and len(key) == 65
    assert "CALL is done. Answered 207: first second Bearer ••••••" in log_of(run)
    assert run.variables["GBL_REGION"] == "first\nsecond Bearer ••••••"


def test_headers_go_with_a_request_in_place_of_its_own(crm: Crm, service: Service, call: Any) -> None:
    GlobalVariable.objects.filter(name="GBL_MAIL").update(value="ops@x.test")
    headers = (
        Header(name="X-Source", value="run [run.number] for [GBL_MAIL]"),
        Header(name="content-type", value="application/vnd.api+json"),
        Header(name="X-Empty"),
    )
    run = performed(process_into(crm, tasks=(call(Stage.INTEGRATION_PRE, headers=headers, body="{}"),)), "00001,Anna\n")
    assert run.status == RunStatus.COMPLETED, run.reason
    (sent,) = service.headers
    assert sent["X-Source"] == f"run {run.number} for ops@x.test" and sent["X-Empty"] == ""
    assert sent.get_all("Content-Type") == ["application/vnd.api+json"]
    assert sent["Authorization"] == "Bearer SwordFish99" and len(sent["Idempotency-Key"]) == 65


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (Header(name="X-To", value="[GBL_MAIL]"), "a value that goes into the header X-To holds a line break"),
        (Header(name="Host", value="x"), "the header Host is set for each request by Waybill itself"),
        (Header(name="authorization", value="x"), "the connection itself sends the header Authorization"),
    ],
)
def test_a_header_that_cannot_be_sent_fails_its_task_before_anything_leaves(
    crm: Crm, service: Service, call: Any, header: Header, said: str
) -> None:
    GlobalVariable.objects.filter(name="GBL_MAIL").update(value="a\r\nX-Injected: b")
    run = performed(process_into(crm, tasks=(call(Stage.INTEGRATION_PRE, headers=(header,)),)), "00001,Anna\n")
    assert run.status == RunStatus.FAILED and said in run.reason
    assert service.asked == []


@pytest.mark.parametrize(
    ("status", "expected", "said"),
    [
        (404, "200-299, 404", ""),
        (204, "", ""),
        (302, "", "the service answered 302, which is not expected: no such"),
        (404, "200", "the service answered 404, which is not expected: no such"),
        (500, "", "the service answered 500 and may have acted on it: no such"),
        (200, "2xx", "“2xx” is no status."),
    ],
)
def test_a_status_that_is_not_expected_is_a_failed_task(
    crm: Crm, service: Service, call: Any, status: int, expected: str, said: str
) -> None:
    service.status, service.text = status, "" if status == 204 else "no such\nmore"
    run = performed(process_into(crm, tasks=(call(Stage.INTEGRATION_PRE, expected=expected),)), "00001,Anna\n")
    assert (run.status == RunStatus.COMPLETED) is (not said) and said in run.reason


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"path": "../admin"}, "is no path below"),
        ({"path": "a/[GBL_REGION]"}, ""),
        ({"path": "%2e%2e/admin"}, "is no path below"),
        ({"body": '{"a": [GBL_MAIL]}'}, "the body is no JSON"),
        ({"url": "http://127.0.0.1:1/"}, "does not accept connections now. Nothing was sent."),
        ({"url": "http://10.1.2.3/"}, "lies in a private network"),
    ],
)
def test_what_cannot_be_asked_is_a_failed_task(
    crm: Crm, service: Service, call: Any, parts: dict[str, Any], said: str
) -> None:
    run = performed(process_into(crm, tasks=(call(Stage.INTEGRATION_PRE, **parts),)), "00001,Anna\n")
    assert said in run.reason and (run.status == RunStatus.FAILED) is bool(said)
    assert len(service.asked) == (not said)


def test_an_unanswered_request_is_sent_again_only_where_keys_are_honoured(
    crm: Crm, service: Service, call: Any
) -> None:
    service.drops = 1
    run = performed(process_into(crm, process="A", tasks=(call(Stage.INTEGRATION_PRE, honours=True),)), "00001,Anna\n")
    assert run.status == RunStatus.COMPLETED and [key for *_, key in service.asked] == [service.asked[0][3]] * 2
    service.drops = 1
    run = performed(process_into(crm, process="B", tasks=(call(Stage.INTEGRATION_PRE),)), "00001,Anna\n")
    assert "broke the connection off. It may have taken the record." in run.reason and len(service.asked) == 3


@pytest.mark.parametrize(
    ("parts", "times"), [({"honours": True}, 2), ({"method": "GET"}, 2), ({}, 1), ({"method": "DELETE"}, 1)]
)
def test_a_run_killed_at_a_request_sends_it_again_only_where_that_changes_nothing(
    crm: Crm, service: Service, call: Any, monkeypatch: pytest.MonkeyPatch, parts: dict[str, Any], times: int
) -> None:
    process = process_into(crm, tasks=(call(Stage.INTEGRATION_PRE, **parts),))
    run = killed_and_resumed(process, "00001,Anna\n", "tasks.acted", monkeypatch)
    assert len(service.asked) == times and len({key for *_, key in service.asked}) == 1
    assert run.status == (RunStatus.COMPLETED if times == 2 else RunStatus.FAILED)
    assert any("may have been done before its worker died" in line for line in log_of(run))


def test_each_document_has_a_key_of_its_own(crm: Crm, service: Service, call: Any) -> None:
    task = call(Stage.DOCUMENT_POST_SUCCESS, method="DELETE", path="old/[_CustomerNumber]")
    performed(process_into(crm, tasks=(task,)), "00001,Anna\n00003,Cara\n")
    assert [path for _, path, *_ in service.asked] == ["/v1/old/00001", "/v1/old/00003"]
    assert len({key for *_, key in service.asked}) == 2


# ---- Validation --------------------------------------------------------------------------------------------------


def valid(crm: Crm, stage: Stage, query: str, expects: Expects = Expects.ROW, **more: Any) -> Task:
    connection = str(crm.connection.public_id)
    parts = {"connection": connection, "statement": query, "expects": expects, **more}
    return Task(name="CHECK", type=TaskType.VALIDATION, stage=stage, **parts)


KNOWN = "SELECT customer_number, name FROM customers WHERE customer_number LIKE '0000%'"


@pytest.mark.parametrize(
    ("held", "expects", "said"),
    [
        (False, Expects.ROW, "CHECK failed: its query gives no row."),
        (True, Expects.ROW, ""),
        (False, Expects.NO_ROW, ""),
        (True, Expects.NO_ROW, "CHECK failed: its query gives what should not be there: 00009, Ida."),
    ],
)
@pytest.mark.parametrize("stage", [Stage.INTEGRATION_PRE, Stage.VALIDATION])
def test_a_validation_that_fails_keeps_everything_from_being_sent(
    crm: Crm, stage: Stage, held: bool, expects: Expects, said: str
) -> None:
    if held:
        performed(process_into(crm, process="BEFORE"), "00009,Ida\n")
    run = performed(process_into(crm, tasks=(valid(crm, stage, KNOWN, expects),)), "00001,Anna\n")
    assert (run.status, run.documents_created) == ((RunStatus.FAILED, 0) if said else (RunStatus.COMPLETED, 1))
    assert said in run.reason


def test_a_document_is_validated_against_what_the_one_before_it_left(crm: Crm) -> None:
    query = "SELECT 1 FROM customers WHERE name = [_Name]"
    each = valid(crm, Stage.DOCUMENT_PRE, query, Expects.NO_ROW)
    run = performed(process_into(crm, tasks=(each,)), "00001,Anna\n00002,Ben\n00003,Anna\n")
    assert (run.documents_created, run.documents_failed) == (2, 1) and len(crm.customers()) == 2
    (outcome,) = run.outcomes.all()
    assert (outcome.key, outcome.code) == ("00003", "task.failed")
    assert run.batching.startswith("Document by document: CHECK may see what a document before it left")


def test_a_validation_cannot_write_and_says_what_is_wrong_with_it(crm: Crm) -> None:
    for query in ("DELETE FROM customers", "SELECT nothing FROM nowhere"):
        task = valid(crm, Stage.INTEGRATION_PRE, query)
        run = performed(process_into(crm, process=query, tasks=(task,)), "00001,Anna\n")
        assert run.status == RunStatus.FAILED and run.reason.startswith("CHECK failed: CRM refuses the statement: ")


def test_a_validation_is_asked_again_by_the_worker_that_continues(
    crm: Crm, service: Service, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes nothing, so a kill behind it leaves nothing in doubt."""
    check = valid(crm, Stage.DOCUMENT_PRE, "SELECT 1")
    behind = call(Stage.DOCUMENT_POST_SUCCESS, honours=True)
    process = process_into(crm, tasks=(check, behind))
    run = killed_and_resumed(process, "00001,Anna\n", "tasks.acted", monkeypatch)
    assert (run.status, run.documents_created, len(service.asked)) == (RunStatus.COMPLETED, 1, 2)


# ---- A run that is cancelled -------------------------------------------------------------------------------------


def test_a_cancelled_run_still_does_what_it_does_in_every_case(
    crm: Crm, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = email(Stage.INTEGRATION_PRE, subject="Begun")
    last = sql(crm, Stage.INTEGRATION_POST_ALWAYS, "INSERT INTO customers VALUES ('end', 'end')")
    run = requested(process_into(crm, tasks=(first, last)), "00001,Anna\n")

    def cancel(name: str) -> None:
        if name == "tasks.begun":
            request_cancel(run, by=None)

    monkeypatch.setattr("integrations.runs.tasks.failpoint", cancel)
    assert perform_next()
    assert fresh(run).status == RunStatus.CANCELLED
    assert (len(mail.taken), crm.customers()) == (1, [("end", "end")])
