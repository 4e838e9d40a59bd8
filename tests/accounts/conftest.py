"""What tests of people and companies share."""

from pathlib import Path
from typing import Any

import pytest

from tests.accounts.world import World, make_world


@pytest.fixture
def world(db: None, tmp_path: Path, settings: Any) -> World:
    settings.FOLDERS, settings.DEMO_CRM = [tmp_path], tmp_path / "demo_crm.db"
    return make_world(tmp_path)
