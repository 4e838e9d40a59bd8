"""The request as views see it after the middleware: signed in, in a company, with htmx facts."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from accounts.models import Company, Membership, User


class Request(HttpRequest):
    user: User
    company: Company
    membership: Membership
    memberships: list[Membership]
    htmx: HtmxDetails
