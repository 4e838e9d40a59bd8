"""The people of every test: viewer Vera, operator Omar, designer Dora, administrator Ada; Mallory is elsewhere."""

import pytest

from accounts.models import Company, Role, User
from tests import factories


@pytest.fixture
def company(db: None) -> Company:
    return factories.make_company()


@pytest.fixture
def vera(company: Company) -> User:
    return factories.make_user("vera@harwood.test", company=company, role=Role.VIEWER)


@pytest.fixture
def omar(company: Company) -> User:
    return factories.make_user("omar@harwood.test", company=company, role=Role.OPERATOR)


@pytest.fixture
def dora(company: Company) -> User:
    return factories.make_user("dora@harwood.test", company=company, role=Role.DESIGNER)


@pytest.fixture
def ada(company: Company) -> User:
    return factories.make_user("ada@harwood.test", company=company, role=Role.ADMINISTRATOR)


@pytest.fixture
def mallory(db: None) -> User:
    """Administrator of another company: may do everything there and see nothing here."""
    return factories.make_user(
        "mallory@elsewhere.test", company=factories.make_company("Elsewhere Ltd"), role=Role.ADMINISTRATOR
    )
