"""`manage.py check` fails for a route without a policy: nothing is open by oversight."""

from collections.abc import Callable, Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.policy import policy_of


@register
def every_route_has_a_policy(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"The route /{route} has no policy.",
            hint="Put @requires(Role.…), @signed_in, @owner_only or @public on its view.",
            id="accounts.E001",
        )
        for route, _, view in routes()
        if policy_of(view) is None
    ]


def routes(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield every route of the installation: its path, its name and its view."""
    resolver = resolver or get_resolver()
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern):
            yield path, entry.name or "", entry.callback
