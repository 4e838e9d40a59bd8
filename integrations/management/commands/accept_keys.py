"""Make the keys of this machine those of the installation: after a key was put in front of an older one, or lost."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.witness import accept_keys


class Command(BaseCommand):
    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        closed = accept_keys()
        self.stdout.write("The keys of this machine are those of the installation now.")
        if closed:
            self.stdout.write(f"The connections of {closed} companies need their secrets entered again.")
