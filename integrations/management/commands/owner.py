"""Say how the first Owner comes in: the one-time link, or who the settings name."""

import os
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.first_visit import ensure_owner, owner_link


class Command(BaseCommand):
    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        email, password = (os.environ.get(f"WAYBILL_OWNER_{name}", "") for name in ("EMAIL", "PASSWORD"))
        try:
            owner = ensure_owner(email, password) if email and password else None
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        link = owner_link()
        if owner is not None:
            self.stdout.write(f"{owner.email} is the Owner of this installation.")
        elif link:
            self.stdout.write(f"Open {settings.PUBLIC_URL}{link} to become the Owner. The link works once.")
        else:
            self.stdout.write(f"There is an Owner already. Sign in at {settings.PUBLIC_URL}/.")
