"""Write all that a company defines into a folder, one readable file a thing, for version control or another Waybill."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django_scopes import scope

from integrations.exchange.bundle import write_folder
from integrations.exchange.things import everything
from integrations.management.companies import company_named


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--company", required=True, help="the company's name or Customer Id")
        parser.add_argument("folder", type=Path, help="files of things that are gone are removed from it")

    def handle(self, *args: Any, **options: Any) -> None:
        company = company_named(options["company"])
        with scope(company=company):
            files = everything()
        for change in write_folder(files, options["folder"]):
            self.stdout.write(change)
        self.stdout.write(f"{options['folder']} holds the {len(files)} things that {company.name} defines.")
