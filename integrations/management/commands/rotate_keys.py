"""Have every secret sealed under the first of WAYBILL_FIELD_KEYS, while runs go on; then the older keys can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.witness import CannotRotate, rotate_keys


class Command(BaseCommand):
    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            rotated = rotate_keys()
        except CannotRotate as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{rotated} companies were moved to the first of WAYBILL_FIELD_KEYS; all are under it now. "
            "The older keys can be taken away, on every machine."
        )
