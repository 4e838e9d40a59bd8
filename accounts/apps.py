"""The room as Django installs it."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import checks, sign_in  # noqa: F401  (the policy check; the audit of sign-ins)
