"""Keys are rotated while runs go on, through kills, and afterwards the old key is not needed for anything."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_scopes import scope, scopes_disabled

from accounts import witness
from accounts.keys import new_data_key
from accounts.models import AuditEntry, Company
from integrations.engine.plan import ColumnType, FieldMap
from integrations.models import GlobalVariable, RunStatus
from integrations.models.vault import vault_of
from integrations.runs.perform import perform_next
from tests import factories
from tests.runs.performing import Crm, fresh, process_into, requested
from tests.runs.test_perform import after_segment
from tests.runs.test_secure_values import mapped_from
from tests.runs.test_tasks import Killed

pytestmark = pytest.mark.django_db(transaction=True)

COMPANIES, SECRETS, KILLS = 50, 200, 20
KEY = "GBL_0"


@pytest.fixture
def companies(company: Company) -> list[Company]:
    """Fifty companies with two hundred secure values each."""
    made = [company, *(factories.make_company(f"Company {number:02}") for number in range(1, COMPANIES))]
    for each in made:
        vault = vault_of(each)
        with scope(company=each):
            GlobalVariable.objects.bulk_create(
                GlobalVariable(
                    company=each, name=f"GBL_{n}", value=vault.sealed(f"GBL_{n}", text(each, n)), is_secure=True
                )
                for n in range(SECRETS)
            )
    return made


def text(company: Company, number: int) -> str:
    return f"secret {number} of {company.name}"


def test_ten_thousand_secrets_open_after_a_rotation_with_kills_between_and_two_runs_under_way(
    companies: list[Company], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company, settings.FOLDERS = companies[0], [tmp_path]
    field = FieldMap(target="name", column_type=ColumnType.GLOBAL_VARIABLE, value=KEY)
    with scope(company=company):
        crm = Crm(company, tmp_path)
        begun = requested(mapped_from(process_into(crm, process="BEGUN"), field), "1,A\n2,B\n3,C\n")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            after_segment(1, patch, kill)
            perform_next()
        type(begun).objects.filter(pk=begun.pk).update(lease_owner="")
    settings.FIELD_KEYS = [b"2" * 32, *settings.FIELD_KEYS]

    for kill_at in range(KILLS):
        with monkeypatch.context() as patch:
            patch.setattr(witness, "rewrap", dying_after(kill_at % 4))
            with pytest.raises(Killed):
                call_command("rotate_keys")
        if kill_at == KILLS // 2:
            with scope(company=company):
                between = requested(mapped_from(process_into(crm, process="BETWEEN"), field), "4,D\n")
                while perform_next():
                    continue
    call_command("rotate_keys")
    settings.FIELD_KEYS = [b"2" * 32]

    assert witness.foreign_key() == ""
    with scope(company=company):
        assert {fresh(run).status for run in (begun, between)} == {RunStatus.COMPLETED}
        assert crm.customers() == [(number, text(company, 0)) for number in "1234"]
    with scopes_disabled():
        for each in Company.objects.all():
            vault = vault_of(each)
            values = GlobalVariable.objects.filter(company=each).values_list("name", "value")
            assert {name: vault.opened(value) for name, value in values} == {
                f"GBL_{number}": text(each, number) for number in range(SECRETS)
            }


def kill() -> None:
    raise Killed


def dying_after(companies: int) -> Any:
    """`rewrap` that ends the process after as many companies, as kill -9 does."""
    left, rewrap = [companies], witness.rewrap

    def wrapped(key: bytes) -> bytes:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return rewrap(key)

    return wrapped


def test_a_rotation_ends_with_a_line_in_the_audit_log_and_changes_nothing_the_second_time(
    company: Company, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.FIELD_KEYS = [b"2" * 32, *settings.FIELD_KEYS]
    call_command("rotate_keys")
    company.refresh_from_db()
    wrapped = bytes(company.data_key)
    call_command("rotate_keys")
    company.refresh_from_db()
    assert bytes(company.data_key) == wrapped
    assert "1 companies were moved" in (said := capsys.readouterr().out) and "0 companies were moved" in said
    assert AuditEntry.objects.filter(action="installation.keys_rotated").count() == 2


def test_a_company_whose_key_is_missing_is_named_and_loses_nothing(company: Company, settings: Any) -> None:
    settings.FIELD_KEYS = [b"3" * 32]
    company.data_key = new_data_key()
    company.save()
    settings.FIELD_KEYS = [b"2" * 32, b"1" * 32]
    before = bytes(company.data_key)
    with pytest.raises(CommandError, match=f"The secrets of {company.name} open with none"):
        call_command("rotate_keys")
    company.refresh_from_db()
    assert bytes(company.data_key) == before
