"""What is kept of an upload before anybody looks at it: nothing of a stranger, and never more than the limit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.test import Client
from django.urls import reverse

from accounts.models import User
from integrations.models import Process
from tests.runs.making import process_of

pytestmark = pytest.mark.django_db

LIMIT = 1_000


@pytest.fixture
def written(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many bytes were written of each chunk that came."""
    settings.UPLOAD_LIMIT_BYTES = LIMIT
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    sizes: list[int] = []
    receive = TemporaryFileUploadHandler.receive_data_chunk

    def watched(self: TemporaryFileUploadHandler, raw_data: bytes, start: int) -> None:
        sizes.append(len(raw_data))
        receive(self, raw_data, start)

    monkeypatch.setattr(TemporaryFileUploadHandler, "receive_data_chunk", watched)
    yield sizes


def send(client: Client, process: Process, size: int) -> Any:
    file = SimpleUploadedFile("customers.csv", b"x" * size)
    return client.post(reverse("run-start", args=[process.public_id]), {"file": file, "name": "Monday"})


@pytest.fixture
def process(company: Any) -> Process:
    return process_of(company)


def test_nothing_that_a_stranger_sends_is_written(process: Process, written: list[int]) -> None:
    for client in (Client(), Client(enforce_csrf_checks=True)):
        assert send(client, process, 200_000).status_code in (302, 403)
    assert written == []


def test_no_more_than_the_limit_is_written_and_the_true_size_is_said(
    client: Client, omar: User, process: Process, written: list[int]
) -> None:
    client.force_login(omar)
    refused = send(client, process, 200_000)
    assert sum(written) == LIMIT
    assert refused.status_code == 422
    assert "has 200,000 bytes; an upload may have 1,000" in refused.content.decode()


def test_what_fits_arrives_whole(client: Client, omar: User, process: Process, written: list[int]) -> None:
    client.force_login(omar)
    assert send(client, process, LIMIT).status_code == 302
    assert sum(written) == LIMIT
