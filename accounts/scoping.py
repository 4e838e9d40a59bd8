"""Everything a company owns is read through its company, or not at all."""

from typing import TypeVar

from django.db import models
from django_scopes import get_scope
from django_scopes.manager import DisabledQuerySet

Owned = TypeVar("Owned", bound=models.Model, covariant=True)


class NoCompany(DisabledQuerySet):  # type: ignore[misc]
    """Refuses what django-scopes lets through: a bare yes or no is an answer too."""

    exists = contains = in_bulk = explain = bulk_update = DisabledQuerySet.error
    exclude = alias = extra = distinct = defer = intersection = difference = DisabledQuerySet.error
    select_related = prefetch_related = DisabledQuerySet.error


class CompanyManager(models.Manager[Owned]):
    """Gives the rows of the active company; raises `ScopeError` where none is active: a forgotten filter fails, it
    never leaks.

    The same as `django_scopes.ScopedManager(company="company")`, as a class that type checkers can follow.
    """

    def get_queryset(self) -> models.QuerySet[Owned]:
        active = get_scope()
        if not active.get("_enabled", True):
            return super().get_queryset()
        if "company" not in active:
            refusing: models.QuerySet[Owned] = NoCompany(self.model, using=self._db, missing_scopes={"company"})
            return refusing
        return super().get_queryset().filter(company=active["company"])


class CompanyOwned(models.Model):
    """Base of every row that belongs to one company."""

    company = models.ForeignKey("accounts.Company", on_delete=models.PROTECT, related_name="+", editable=False)

    objects = CompanyManager()

    class Meta:
        abstract = True
