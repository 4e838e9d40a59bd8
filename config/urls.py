"""URLs of every room."""

from django.urls import include, path

urlpatterns = [
    path("", include("accounts.urls")),
    path("", include("integrations.web.urls")),
]

handler404 = "integrations.web.not_found.not_found"
