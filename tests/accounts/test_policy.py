"""Nothing is open by oversight: a view without a policy fails the check, and is never served."""

import logging
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from django.views.decorators.http import require_GET

from accounts.models import Role, User
from accounts.policy import policy_of, public, requires


def forgotten(request: HttpRequest) -> HttpResponse:
    return HttpResponse("served")


@require_GET
@public
def open_to_all(request: HttpRequest) -> HttpResponse:
    return HttpResponse("served")


@requires(Role.VIEWER)
def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a fault of ours")


@pytest.fixture
def more_routes(settings: Any) -> None:
    """The installation's routes and three more, one of which nobody thought about."""
    from config import urls

    module = ModuleType("tests_more_routes")
    module.urlpatterns = [  # type: ignore[attr-defined]
        path("forgotten/", forgotten, name="forgotten"),
        path("nested/", include(([path("forgotten/", forgotten)], "nested"))),
        path("open/", open_to_all, name="open"),
        path("breaks/", breaks, name="breaks"),
        *urls.urlpatterns,
    ]
    settings.ROOT_URLCONF = module


def test_every_route_of_the_installation_has_a_policy() -> None:
    call_command("check")


@pytest.mark.usefixtures("more_routes")
def test_the_check_names_every_route_without_a_policy() -> None:
    found = [message.msg for message in run_checks() if message.id == "accounts.E001"]

    assert found == ["The route /forgotten/ has no policy.", "The route /nested/forgotten/ has no policy."]
    with pytest.raises(CommandError, match="The route /forgotten/ has no policy"):
        call_command("check")


@pytest.mark.usefixtures("more_routes")
@pytest.mark.parametrize("address", ["/forgotten/", "/nested/forgotten/"])
def test_a_view_without_a_policy_is_served_to_nobody(
    client: Client, ada: User, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get(address).status_code == 404
    client.force_login(ada)
    with caplog.at_level(logging.ERROR):
        response = client.post(address)

    assert response.status_code == 404
    assert b"served" not in response.content
    assert "tests.accounts.test_policy.forgotten has no policy" in caplog.text


@pytest.mark.usefixtures("more_routes")
def test_a_view_that_says_public_is_served_to_everyone(client: Client, db: None) -> None:
    assert client.get("/open/").content == b"served"


@pytest.mark.usefixtures("more_routes")
def test_a_fault_of_ours_is_a_plain_page_without_the_fault(client: Client, ada: User) -> None:
    client.force_login(ada)
    client.raise_request_exception = False

    response = client.get("/breaks/")

    assert response.status_code == 500
    assert "Something went wrong on our side" in response.content.decode()
    assert b"a fault of ours" not in response.content
    assert "default-src 'self'" in response["Content-Security-Policy"]


def test_a_policy_is_seen_through_decorators_and_not_invented() -> None:
    assert policy_of(open_to_all) is not None
    assert policy_of(forgotten) is None
    assert policy_of(SimpleNamespace(policy="open")) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("role", list(Role))
def test_each_role_includes_the_ones_before_it_and_no_other(role: Role) -> None:
    assert [other for other in Role if role.includes(other)] == list(Role)[: list(Role).index(role) + 1]
