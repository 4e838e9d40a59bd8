"""Connections as connectors get them: settings with opened secrets, and what the installation allows."""

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.keys import CannotOpen
from integrations.connectors.registry import destination_kind
from integrations.connectors.spec import Opened
from integrations.engine.errors import AdministratorError, DefinitionError
from integrations.engine.plan import DestinationSpec
from integrations.models import Connection


def opened(connection: Connection) -> Opened:
    """Open a connection for use. Raises `AdministratorError` when a secret does not open with the keys given."""
    if connection.missing_secrets:
        raise AdministratorError(
            f"The connection {connection.name} was imported without its {' and '.join(connection.missing_secrets)}. "
            "Type it in under Connections.",
            code="connection.missing_secret",
        )
    try:
        values = connection.opened_settings()
    except CannotOpen as error:
        raise AdministratorError(
            f"A secret of the connection {connection.name} cannot be opened with the keys of this installation. "
            "Restore WAYBILL_FIELD_KEYS, or enter the secret again.",
            code="connection.secret",
        ) from error
    return Opened(
        public_id=str(connection.public_id),
        name=connection.name,
        settings=values,
        folders=tuple(settings.FOLDERS),
        allow_nets=tuple(settings.ALLOW_NETS),
    )


def opened_for(spec: DestinationSpec) -> Opened:
    """Open what a destination is reached by: its connection, or nothing where its kind needs none."""
    kind = destination_kind(spec.kind)
    if kind.needs_connection:
        return opened(connection_of(spec.connection))
    return Opened(public_id="", name=kind.title, settings={})


def connection_of(public_id: str) -> Connection:
    """Find a connection of the active company by its public id. Raises `DefinitionError` when it is gone."""
    try:
        return Connection.objects.select_related("company").get(public_id=public_id)
    except (Connection.DoesNotExist, ValidationError):
        # Not an id at all: a definition may have come from anywhere.
        raise DefinitionError(
            "The connection this integration uses no longer exists. Choose another one and save.",
            code="definition.no_connection",
        ) from None
