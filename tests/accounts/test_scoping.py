"""What a company owns is read through its company or not at all."""

import inspect

import pytest
from django.apps import apps
from django.db import models
from django.urls import reverse
from django_scopes import ScopeError, scope

from accounts.models import Company
from accounts.scoping import CompanyManager, CompanyOwned
from integrations.engine.errors import DefinitionError
from integrations.models import Process, Run
from integrations.runs import preview
from integrations.runs.connections import connection_of
from integrations.runs.request import Refused, request_run
from tests.accounts.world import World, owned_models

SCOPED_OTHERWISE = {
    "accounts.Membership": "Read by user (which companies may I open?) as well as by company.",
    "accounts.AuditEntry": "Entries of the installation itself have no company; every reading names one.",
}
OF_NO_COMPANY = {
    "accounts.User": "A person may belong to several companies.",
    "accounts.Company": "It is the company.",
    "accounts.KeyWitness": "Says which keys the installation has.",
    "accounts.OwnerLink": "Belongs to an installation that has no company yet.",
    "integrations.Heartbeat": "Says which parts of the installation are alive.",
}


def ours() -> list[type[models.Model]]:
    return [model for name in ("accounts", "integrations") for model in apps.get_app_config(name).get_models()]


def test_every_model_belongs_to_a_company_or_says_why_not() -> None:
    loose = {model._meta.label for model in ours()} - {model._meta.label for model in owned_models()}

    assert loose == set(OF_NO_COMPANY)


def test_every_model_of_a_company_is_read_through_its_company_or_says_why_not() -> None:
    unscoped = {
        model._meta.label
        for model in owned_models()
        if not (issubclass(model, CompanyOwned) and isinstance(model._default_manager, CompanyManager))
    }

    assert unscoped == set(SCOPED_OTHERWISE)


HARMLESS = {"none", "using", "create", "bulk_create", "as_manager", "resolve_expression"}
"""Methods that tell nothing of what is there. Those that begin with "a" call the others."""


@pytest.mark.parametrize("model", [model for model in owned_models() if issubclass(model, CompanyOwned)])
def test_a_query_without_a_company_raises_instead_of_leaking(db: None, model: type[CompanyOwned]) -> None:
    methods = {name for name, _ in inspect.getmembers(models.QuerySet, inspect.isfunction) if not name.startswith("_")}
    awaited = {f"a{name}" for name in methods}

    for name in methods - awaited - HARMLESS:
        with pytest.raises(ScopeError):
            getattr(model.objects.get_queryset(), name)()
    for read in (list, len, bool, lambda rows: rows[0]):
        with pytest.raises(ScopeError):
            read(model.objects.all())


def test_a_company_sees_its_own_rows_and_no_others(world: World) -> None:
    for model in owned_models():
        if issubclass(model, CompanyOwned):
            with scope(company=world.theirs.company):
                owners = set(model.objects.values_list("company", flat=True))
            assert owners == {world.theirs.company.pk}, model


def test_a_plan_that_names_another_companys_connection_finds_none(world: World) -> None:
    """Checked when it is used, not only when it is saved: the definition may have come from anywhere."""
    foreign = str(world.ours.connection.public_id)
    process = world.theirs.process
    draft = process.drafted.to_json()
    draft["destination"] = {**draft["destination"], "connection": foreign}

    with scope(company=world.theirs.company):
        Process.objects.filter(pk=process.pk).update(draft=draft)
        process.refresh_from_db()
        with pytest.raises(DefinitionError, match="no longer exists"):
            connection_of(foreign)
        with pytest.raises(DefinitionError, match="no longer exists"):
            preview.targets_of(process.drafted.destination)
    page = world.client("mallory").get(reverse("process-target", args=[process.public_id])).content.decode()
    assert world.ours.connection.name not in page


@pytest.mark.parametrize("name", ["", "no-uuid", "\0", "1' OR '1'='1"])
def test_a_connection_that_has_no_public_id_is_not_found(company: Company, name: str) -> None:
    with scope(company=company), pytest.raises(DefinitionError, match="no longer exists"):
        connection_of(name)


def test_a_run_does_not_take_another_companys_file(world: World) -> None:
    with scope(company=world.theirs.company):
        with pytest.raises(Refused, match="The file no longer exists"):
            request_run(world.theirs.process, by=None, file=world.ours.process.sample)
        assert not Run.objects.filter(process=world.theirs.process, source_file=world.ours.process.sample).exists()
