"""Runs in the states that tests need, without a worker."""

from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import Options, WhenBusy
from integrations.models import Process, Run, RunStatus
from tests import factories

numbers = count(1)


def process_of(company: Company, name: str = "CUSTOMERS_TO_CRM", *, when_busy: WhenBusy = WhenBusy.WAIT) -> Process:
    connection = factories.make_connection(company, f"CRM of {name}")
    plan = factories.make_plan(connection, process=name, options=Options(when_busy=when_busy))
    return factories.make_process(company, plan)


def make_run(process: Process, **fields: Any) -> Run:
    """A queued run, or what `fields` make of it."""
    number = next(numbers)
    with scope(company=process.company):
        version = process.newest_version
        assert version is not None
        exclusive = version.plan.options.when_busy is not WhenBusy.ALLOW
        parts = {"number": number, "name": f"{process.name} {number}", "version": version, "exclusive": exclusive}
        parts |= fields
        return Run.objects.create(company=process.company, process=process, **parts)


def held_run(process: Process, *, owner: str = "worker one", **fields: Any) -> Run:
    """A run in a worker's hands, its lease fresh."""
    now = timezone.now()
    held = {"status": RunStatus.IN_PROGRESS, "epoch": 1, "lease_owner": owner, "started_at": now}
    return make_run(process, **{**held, "lease_until": now + timedelta(seconds=15), **fields})


def silent_run(process: Process, **fields: Any) -> Run:
    """A run whose worker has not beaten for an hour."""
    return held_run(process, **{"lease_until": timezone.now() - timedelta(hours=1), **fields})
