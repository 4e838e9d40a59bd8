"""A worker that must stop while it sends over HTTP: nothing becomes unknown, and nothing is sent twice."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import Column, DestinationSpec, FieldMap, Line, SourceSpec, WriteMode
from integrations.models import RunStatus
from integrations.runs.drain import _draining
from integrations.runs.perform import perform_next
from tests import factories
from tests.connectors.test_http_json import Server
from tests.runs.performing import fresh, requested

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()
    _draining.clear()


def test_a_worker_that_must_stop_hands_over_a_run_in_the_middle_of_a_segment(
    company: Company, server: Server, settings: Any
) -> None:
    settings.ALLOW_NETS = ["127.0.0.0/8"]
    server.takes_seconds = 0.1
    connection = factories.make_connection(company, "API", "http", url=server.url, concurrency=2)
    line = Line(
        name="Customer",
        target="customers",
        mode=WriteMode.INSERT,
        fields=(FieldMap(target="number", value="CustomerNumber"), FieldMap(target="name", value="Name")),
    )
    plan = factories.make_plan(
        connection,
        source=SourceSpec(kind="delimited", columns=(Column(name="CustomerNumber"), Column(name="Name"))),
        destination=DestinationSpec(kind="http_json", connection=str(connection.public_id)),
        lines=(line,),
    )
    run = requested(factories.make_process(company, plan), "".join(f"{n:05},Anna\n" for n in range(150)))
    stopping = threading.Timer(1, _draining.set)
    stopping.start()
    perform_next()
    stopping.join()
    handed = fresh(run)
    assert (handed.status, handed.lease_owner, handed.sending_segment) == (RunStatus.IN_PROGRESS, "", None)
    assert handed.documents_created == len(server.numbers()) < 150

    _draining.clear()
    server.takes_seconds = 0
    with scope(company=company):
        assert perform_next()
    ended = fresh(run)
    assert (ended.status, ended.documents_created, ended.documents_unknown) == (RunStatus.COMPLETED, 150, 0)
    assert server.numbers() == [f"{n:05}" for n in range(150)] and ended.is_balanced
