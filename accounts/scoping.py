"""Everything a company owns is read through its company, or not at all."""

from django.db import models
from django_scopes import ScopedManager


class CompanyOwned(models.Model):
    """Base of every row that belongs to one company.

    The default manager raises `ScopeError` where no company is active: a forgotten filter fails, it never leaks.
    """

    company = models.ForeignKey("accounts.Company", on_delete=models.PROTECT, related_name="+", editable=False)

    objects = ScopedManager(company="company")

    class Meta:
        abstract = True
