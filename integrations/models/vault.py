"""The vault of a company: secure values of variables, sealed with the key that its connections' secrets are."""

from functools import partial

from accounts.keys import CannotOpen, open_sealed, seal
from accounts.models import Company
from integrations.engine.errors import AdministratorError
from integrations.engine.secure import Vault


def vault_of(company: Company) -> Vault:
    """Open the vault of `company`. It raises `AdministratorError` for what was sealed with another key or altered."""
    return Vault(partial(_sealed, company), partial(_opened, company))


def _sealed(company: Company, place: str, text: str) -> str:
    sealed = seal(bytes(company.data_key), place, text)
    return sealed.rstrip("=").replace("+", "-").replace("/", "_")


def _opened(company: Company, place: str, sealed: str) -> str:
    padded = sealed.replace("-", "+").replace("_", "/") + "=" * (-len(sealed) % 4)
    try:
        return open_sealed(bytes(company.data_key), place, padded)
    except CannotOpen as error:
        raise AdministratorError(
            f"The secure value of {place.split('/')[1]} cannot be opened: it was sealed with another key, or altered. "
            "Restore WAYBILL_FIELD_KEYS, or enter it again.",
            code="variable.secret",
        ) from error
