"""The places that use a variable or a table, with the pages where they are."""

from dataclasses import dataclass

from django.urls import reverse

from integrations.forms.judging import Problem
from integrations.forms.used import Use
from integrations.web.editor import Place, place_of


@dataclass(frozen=True)
class UsedIn:
    """A process that uses something: the places of its draft, and those that only its newest version has."""

    use: Use
    places: list[Place]


def used_in(use: Use) -> UsedIn:
    """Give every place of a use once, with its page."""
    places = {}
    for mention in use.mentions:
        problem = Problem(sentence=mention.words, tab=mention.tab, line=mention.line, part=mention.part)
        places[mention.words] = Place(mention.words, place_of(use.process, problem))
    versions = reverse("process-versions", args=[use.process.public_id])
    only = [Place(f"{words}, in version {use.version} only", versions) for words in use.only_version]
    return UsedIn(use, [*places.values(), *only])
