"""Every form of broker address that the README offers is one that the installed parts speak."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from config.celery import app
from integrations.runs.health import broker_fault
from tests.readme import table_rows
from tests.servers import free_port

(WRITTEN,) = (row[2] for row in table_rows("Settings") if row[0] == "`WAYBILL_BROKER_URL`")
SCHEMES = sorted(set(re.findall(r"(\w+)://", WRITTEN)))


def test_the_readme_offers_redis_with_and_without_tls_and_rabbitmq() -> None:
    assert SCHEMES == ["amqp", "redis", "rediss"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_broker_that_is_not_there_is_said_to_be_away(scheme: str, settings: Any, doorbell: Celery) -> None:
    address = f"{scheme}://127.0.0.1:{free_port()}/"
    doorbell.conf.broker_url = settings.CELERY_BROKER_URL = address

    assert broker_fault() == "OperationalError"


@pytest.fixture
def doorbell() -> Iterator[Celery]:
    """An application of this test's own, in the place of the product's."""
    made = Celery()
    yield made
    app.set_current()
