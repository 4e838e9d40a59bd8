"""What a destination was too busy to take is sent again, while the run waits as its options say."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django_scopes import scope

from accounts.models import Company
from integrations.connectors.http_json import BATCH_DOCUMENTS
from integrations.engine.plan import DestinationSpec, Options
from integrations.models import DocumentOutcome, LogEntry, Process, Run, RunStatus
from integrations.models.run import Waiting
from integrations.runs.request import request_cancel
from tests import factories
from tests.runs.performing import Crm, performed, process_into
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)

FOUR_ATTEMPTS = 4
"""The attempts that follow each other at once; after them the options rule."""


class Busy:
    """Says 503 to a customer as often as `refusals` holds for it, then takes it."""

    def __init__(self, **refusals: int) -> None:
        self.refusals = Counter(refusals)
        self.taken: Counter[str] = Counter()
        self.refused = threading.Event()
        lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                number = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["customer_number"]
                with lock:
                    is_busy = service.refusals[number] > 0
                    service.refusals[number] -= is_busy
                    service.taken[number] += not is_busy
                self.send_response(503 if is_busy else 201)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
                if is_busy:
                    service.refused.set()

            def log_message(self, *words: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(autouse=True)
def in_company(company: Company, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.FOLDERS = [tmp_path]
    settings.ALLOW_NETS = ["127.0.0.0/8"]
    monkeypatch.setattr("integrations.engine.execute.FIRST_PAUSE_SECONDS", 0.01)
    with scope(company=company):
        yield


@pytest.fixture
def busy() -> Iterator[Busy]:
    service = Busy(C2=2 * FOUR_ATTEMPTS)
    yield service
    service.stop()


def into(url: str, crm: Crm, company: Company, **options: int) -> Process:
    there = factories.make_connection(company, "API", "http", url=url)
    return process_into(
        crm,
        destination=DestinationSpec(kind="http_json", connection=str(there.public_id)),
        options=Options(**options),  # type: ignore[arg-type]
    )


def log_of(run: Run) -> list[str]:
    return list(LogEntry.objects.filter(run=run, level="warning").order_by("pk").values_list("message", flat=True))


def test_a_document_that_is_taken_at_last_is_no_error(busy: Busy, crm: Crm, company: Company) -> None:
    run = performed(into(busy.url, crm, company, retry_times=3, retry_seconds=0), "C1,Anna\nC2,Ben\n")

    assert (run.status, run.documents_created, run.waiting_for) == (RunStatus.COMPLETED, 2, ""), run.reason
    assert busy.taken == {"C1": 1, "C2": 1}
    assert [line.split(" is at ")[0] for line in log_of(run)] == [
        "1 record was not taken for now. Retry 1 of 3",
        "1 record was not taken for now. Retry 2 of 3",
    ]


def test_a_document_that_is_never_taken_has_failed_and_can_be_repaired(busy: Busy, crm: Crm, company: Company) -> None:
    run = performed(into(busy.url, crm, company, retry_times=1, retry_seconds=0), "C1,Anna\nC2,Ben\n")

    assert (run.status, run.documents_failed) == (RunStatus.COMPLETED_WITH_ERRORS, 1)
    assert DocumentOutcome.objects.get(run=run).code == "http.503"
    assert busy.taken["C1"] == 1 and not busy.taken["C2"]


def test_without_the_option_nothing_is_waited_for(busy: Busy, crm: Crm, company: Company) -> None:
    run = performed(into(busy.url, crm, company), "C1,Anna\nC2,Ben\n")

    assert run.documents_failed == 1 and log_of(run) == []


def test_a_run_that_waits_says_so_and_can_be_cancelled(busy: Busy, crm: Crm, company: Company) -> None:
    process = into(busy.url, crm, company, retry_times=5, retry_seconds=600)
    seen: list[str] = []

    def cancel() -> None:
        try:
            with scope(company=company):
                while not (waiting := Run.objects.filter(waiting_for=Waiting.RETRY).first()):
                    assert busy.refused.wait(60)
                seen.append(waiting.get_waiting_for_display())
                request_cancel(waiting, by=None)
        finally:
            connection.close()

    person = threading.Thread(target=cancel)
    person.start()
    # One more than a segment takes.
    run = performed(process, "".join(f"C{n},Anna\n" for n in range(1, BATCH_DOCUMENTS + 2)))
    person.join()

    assert seen == ["waiting to send again what was not taken"]
    assert (run.status, run.waiting_for, run.is_balanced) == (RunStatus.CANCELLED, "", True), run.reason
    assert (run.documents_created, run.documents_failed, run.documents_held) == (BATCH_DOCUMENTS - 1, 1, 1)


def test_a_service_that_is_away_is_waited_for_as_the_options_say(crm: Crm, company: Company) -> None:
    process = into(f"http://127.0.0.1:{free_port()}/", crm, company, retry_times=2, retry_seconds=0)
    run = performed(process, "C1,Anna\nC2,Ben\n")

    assert (run.status, run.documents_held, run.is_balanced) == (RunStatus.FAILED, 2, True)
    assert "It was tried 7 times. Run again when the destination is back." in run.reason
    assert [line.split(":")[0] for line in log_of(run)] == [f"Attempt {n} of 7" for n in range(1, 7)]
