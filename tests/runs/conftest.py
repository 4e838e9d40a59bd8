"""What tests of whole runs share: their company's scope, and a system to write to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_scopes import scope

from accounts.models import Company
from tests.runs.performing import Crm


@pytest.fixture
def in_company(company: Company, settings: Any, tmp_path: Path) -> Iterator[None]:
    """The scope of the company, whose connections may use files below `tmp_path`."""
    settings.FOLDERS = [tmp_path]
    with scope(company=company):
        yield


@pytest.fixture
def crm(in_company: None, company: Company, tmp_path: Path) -> Crm:
    return Crm(company, tmp_path)
