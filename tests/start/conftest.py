"""A start costs seconds, so one serves all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.start.running import Start

GIVEN = {
    "SECRET_KEY": "a-secret-key-that-nobody-may-read-elsewhere-0123456789",
    "FIELD_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "EMAIL_URL": "smtp://postman:canary-of-the-mail-server@127.0.0.1:25",
    "METRICS_TOKEN": "canary-of-the-metrics-token",
}


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """A whole installation, well, with an Owner and the Demo company, whose keys and passwords came as settings."""
    with Start(tmp_path_factory.mktemp("desk"), **GIVEN) as started:
        yield started
