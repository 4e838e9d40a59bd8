"""Companies as commands name them."""

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from accounts.models import Company


def company_named(words: str) -> Company:
    """Find a company by its name or Customer Id. Raises `CommandError`, which lists those that there are."""
    try:
        return Company.objects.get(public_id=words)
    except (Company.DoesNotExist, ValidationError):
        pass
    found = Company.objects.filter(name=words).first()
    if found is None:
        there = ", ".join(Company.objects.order_by("name").values_list("name", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no company “{words}”. Companies: {there}.")
    return found
