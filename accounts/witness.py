"""That all machines of an installation hold the same keys: what the first one signed and sealed opens on every other."""

import base64

from django.core.signing import BadSignature, Signer
from django.db import transaction

from accounts.audit import record
from accounts.keys import CannotOpen, is_wrapped_by_the_newest, new_data_key, open_sealed, rewrap, seal
from accounts.models import Company, KeyWitness

PLACE = "witness"
SECRET_KEY, FIELD_KEYS = "WAYBILL_SECRET_KEY", "WAYBILL_FIELD_KEYS"
FOREIGN = (
    "{} is not the one of this installation. Give every machine the same; if the right one is lost, "
    "“manage.py accept_keys” makes this one the installation's."
)


def foreign_key() -> str:
    """Say which key of this process is not the installation's, and what to do; "" when both are.

    Whoever asks first leaves the witnesses.
    """
    found = dict(KeyWitness.objects.values_list("key", "sealed"))
    for key, leave, is_ours in ((SECRET_KEY, _signed, _opens_signed), (FIELD_KEYS, _sealed, _opens_sealed)):
        if key not in found:
            found[key] = KeyWitness.objects.get_or_create(key=key, defaults={"sealed": leave()})[0].sealed
        if not is_ours(found[key]):
            return FOREIGN.format(key)
    return ""


def accept_keys() -> int:
    """Make this machine's keys the installation's: its first ones sign and wrap everything from now on.

    Give the number of companies whose secrets have to be entered again, because no key of this machine opens theirs.
    """
    closed = 0
    with transaction.atomic():
        KeyWitness.objects.all().delete()
        for company in Company.objects.select_for_update():
            try:
                company.data_key = rewrap(bytes(company.data_key))
            except CannotOpen:
                company.data_key = new_data_key()
                closed += 1
            company.save(update_fields=["data_key"])
        record("installation.keys_accepted", "Keys", after={"companies_closed": closed})
    foreign_key()
    return closed


class CannotRotate(Exception):
    """A company's key opens with none of FIELD_KEYS: the text names the company and what to do."""


def rotate_keys() -> int:
    """Wrap the key of every company by the first of FIELD_KEYS, and give how many were not yet.

    Each company is a transaction of its own, so that nobody waits and whoever comes after a kill goes on. Whatever is
    sealed stays as it is: its key is the company's. Only when all are done, machines without the older keys are let in,
    and this machine's first WAYBILL_SECRET_KEY is the one that others have to know.
    """
    rotated = 0
    for company_id in Company.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            company = Company.objects.select_for_update().get(pk=company_id)
            if is_wrapped_by_the_newest(bytes(company.data_key)):
                continue
            try:
                company.data_key = rewrap(bytes(company.data_key))
            except CannotOpen as error:
                raise CannotRotate(
                    f"The secrets of {company.name} open with none of {FIELD_KEYS}. Put the key that they were sealed "
                    "with behind the first one and call this again; what was rotated before stays so."
                ) from error
            company.save(update_fields=["data_key"])
            rotated += 1
    with transaction.atomic():
        for key, leave in ((SECRET_KEY, _signed), (FIELD_KEYS, _sealed)):
            KeyWitness.objects.update_or_create(key=key, defaults={"sealed": leave()})
        record("installation.keys_rotated", "Keys", after={"companies": rotated})
    return rotated


def _signed() -> str:
    return Signer(salt=PLACE).sign(PLACE)


def _opens_signed(text: str) -> bool:
    try:
        Signer(salt=PLACE).unsign(text)
    except BadSignature:
        return False
    return True


def _sealed() -> str:
    """A data key that nobody uses, and a word sealed with it."""
    key = new_data_key()
    return f"{base64.b64encode(key).decode()} {seal(key, PLACE, PLACE)}"


def _opens_sealed(text: str) -> bool:
    key, sealed = text.split(" ")
    try:
        return open_sealed(base64.b64decode(key), PLACE, sealed) == PLACE
    except CannotOpen:
        return False
