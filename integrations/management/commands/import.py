"""Take the files of an export into a company. Without --yes it says what would change and changes nothing."""

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django_scopes import scope

from integrations.engine.errors import WaybillError
from integrations.exchange.bundle import read_folder, read_upload
from integrations.exchange.importing import CONFLICT, SAME, Importer, Item, look, take
from integrations.management.companies import company_named


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--company", required=True, help="the company's name or Customer Id")
        parser.add_argument("--yes", action="store_true", help="take what is new or changed")
        parser.add_argument("source", type=Path, help="a folder that was exported to, a .zip or a .yaml")

    def handle(self, *args: Any, **options: Any) -> None:
        company, source = company_named(options["company"]), options["source"]
        try:
            with scope(company=company):
                things = read_folder(source) if source.is_dir() else _file(source)
                by = Importer(company, source.name)
                items = take(things, by) if options["yes"] else look(things, by)
        except WaybillError as error:
            raise CommandError(f"{error.sentence} Nothing was changed.") from error
        self._tell(items)
        conflicts = [item for item in items if item.state == CONFLICT]
        if not options["yes"]:
            self.stdout.write("Nothing was changed. With --yes, what is new or changed is taken.")
        elif conflicts:
            raise CommandError(f"{len(conflicts)} of {len(items)} things could not be taken; the others were.")

    def _tell(self, items: Iterable[Item]) -> None:
        for item in items:
            version = f", version {item.version}" if item.version else ""
            self.stdout.write(f"{item.state:8}  {item.thing.kind} {item.thing.name}{version}")
            if item.state != SAME:
                for sentence in (*item.changes, *item.notes):
                    self.stdout.write(f"          {sentence}")


def _file(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return read_upload(file, path.name)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}. Name a folder or file of an export.") from error
