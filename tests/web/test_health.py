"""`/health/` and `/metrics/`: what a load balancer and a monitor are told."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import Company, User
from integrations.models import Heartbeat, RunStatus
from tests.runs.making import make_run, process_of
from tests.servers import Valkey, free_port

PARTS = {"database", "broker", "worker", "clock"}


def beat(part: str, ago: timedelta = timedelta(0)) -> None:
    Heartbeat.objects.update_or_create(part=part, defaults={"at": timezone.now() - ago})


@pytest.fixture
def all_well(db: None) -> None:
    beat("worker one")
    beat("clock")


def test_all_is_well(client: Client, all_well: None) -> None:
    response = client.get("/health/")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"} | dict.fromkeys(PARTS, "ok")
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("ill", "what", "said"),
    [
        (lambda: Heartbeat.objects.filter(part="clock").delete(), "clock", "no sign of life"),
        (lambda: beat("clock", timedelta(minutes=3)), "clock", "no sign of life"),
        (lambda: Heartbeat.objects.filter(part__startswith="worker").delete(), "worker", "no worker runs"),
        (lambda: beat("worker one", timedelta(minutes=3)), "worker", "no worker has given a sign of life"),
    ],
)
def test_it_says_what_is_ill_and_only_that(
    client: Client, all_well: None, ill: Callable[[], Any], what: str, said: str
) -> None:
    ill()

    response = client.get("/health/")

    assert response.status_code == 503
    told = response.json()
    assert told["status"] == "ill" and said in told[what]
    assert [part for part in PARTS if told[part] != "ok"] == [what]


def test_one_living_worker_is_enough(client: Client, all_well: None) -> None:
    beat("worker two", timedelta(hours=1))

    assert client.get("/health/").status_code == 200


def test_it_says_that_the_broker_is_away(client: Client, all_well: None, settings: Any) -> None:
    before = current_app.conf.broker_url
    settings.CELERY_BROKER_URL = current_app.conf.broker_url = f"redis://127.0.0.1:{free_port()}/0"
    try:
        response = client.get("/health/")
    finally:
        current_app.conf.broker_url = before

    assert response.status_code == 503
    assert response.json()["broker"].startswith("does not answer")


def test_it_says_that_the_database_is_away(client: Client, all_well: None) -> None:
    def away(*statement: Any) -> Any:
        raise OperationalError("server closed the connection at 10.0.0.7 user=waybill")

    with connection.execute_wrapper(away):
        response = client.get("/health/")

    assert response.status_code == 503
    told = response.json()
    assert told["database"] == "does not answer (OperationalError)"
    assert "unknown" in told["worker"] and "unknown" in told["clock"]
    assert "10.0.0.7" not in response.content.decode()


def test_a_living_broker_is_asked_for_real(client: Client, all_well: None, valkey: Valkey, settings: Any) -> None:
    before = current_app.conf.broker_url
    settings.CELERY_BROKER_URL = current_app.conf.broker_url = valkey.url
    try:
        assert client.get("/health/").status_code == 200
    finally:
        current_app.conf.broker_url = before


def figures(client: Client, **headers: str) -> dict[str, float]:
    response = client.get("/metrics/", headers=headers)
    assert response.status_code == 200
    lines = [line.rsplit(" ", 1) for line in response.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_figures_count_the_runs_of_all_companies(client: Client, all_well: None, company: Company) -> None:
    process = process_of(company)
    make_run(process)
    make_run(process, status=RunStatus.FAILED, ended_at=timezone.now())

    told = figures(client)

    assert told['waybill_runs{status="queued"}'] == told['waybill_runs{status="failed"}'] == 1
    assert told["waybill_runs_unfinished"] == 1
    assert told["waybill_workers_alive"] == 1


def test_figures_name_no_company_and_no_person(client: Client, ada: User, company: Company) -> None:
    make_run(process_of(company, "PAYROLL_OF_HARWOOD"))

    text = client.get("/metrics/").content.decode().lower()

    assert "harwood" not in text and "ada" not in text.replace("adapter", "")


@pytest.mark.parametrize(
    ("address", "headers"),
    [("192.0.2.1", {}), ("10.0.0.5", {}), ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}), ("", {})],
)
def test_without_a_token_only_this_machine_may_read_figures(
    client: Client, db: None, address: str, headers: dict[str, str]
) -> None:
    response = client.get("/metrics/", headers=headers, REMOTE_ADDR=address)

    assert response.status_code == 403
    assert "WAYBILL_METRICS_TOKEN" in response.content.decode()


def test_with_a_token_only_who_shows_it_may(client: Client, db: None, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-long-token"

    assert client.get("/metrics/").status_code == 403, "not even this machine"
    for shown in ("Bearer another", "a-long-token", "Bearer a-long-token2", "Bearer é"):
        assert client.get("/metrics/", headers={"Authorization": shown}).status_code == 403
    assert figures(client, Authorization="Bearer a-long-token")["waybill_workers_alive"] == 0
    assert client.get("/metrics/?token=a-long-token").status_code == 403, "an address ends in logs"
