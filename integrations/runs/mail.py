"""The e-mail of a task, through the installation's mail server: what was sent, refused, or may have been sent."""

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import validate_email

from integrations.egress.rules import check
from integrations.engine.errors import DefinitionError, TransientError, UnknownOutcome, WaybillError
from integrations.engine.plan import Task
from integrations.engine.variables import filled

ADDRESSES = 100
SUBJECT_CHARS = 250
SAID_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class Letter:
    """An e-mail as it leaves, every name filled in."""

    to: list[str]
    cc: list[str]
    subject: str
    text: str

    @property
    def recipients(self) -> list[str]:
        return [*self.to, *self.cc]


def letter_of(task: Task, values: Mapping[str, Any]) -> Letter:
    """Fill in the e-mail of a task. Raises `DefinitionError` for what is no address, or when there is none."""
    to, cc = (_addresses(filled(addresses, values)) for addresses in (task.to, task.cc))
    if not to:
        raise DefinitionError("there is no address to send it to.", code="mail.address")
    if len(to) + len(cc) > ADDRESSES:
        raise DefinitionError(f"it has more than {ADDRESSES} addresses.", code="mail.address")
    # One line, whatever a value brings along: a second one would be a header of its own.
    subject = " ".join(filled(task.subject, values).split())[:SUBJECT_CHARS]
    return Letter(to=to, cc=cc, subject=subject, text=filled(task.text, values))


def send(letter: Letter, attachments: Sequence[Path] = ()) -> None:
    """Send it. Raises `UnknownOutcome` when it may have left, another `WaybillError` when it has not."""
    message = EmailMessage(letter.subject, letter.text, to=letter.to, cc=letter.cc)
    for path in attachments:
        message.attach_file(str(path))
    backend = get_connection()
    if not isinstance(backend, EmailBackend):
        backend.send_messages([message])
        return
    # The Owner names the server, not a task; still it lies where this installation may reach.
    check(backend.host, backend.port, settings.ALLOW_NETS)
    _open(backend)
    try:
        _hand_over(backend, letter, message)
    finally:
        _close(backend)


def _open(backend: EmailBackend) -> None:
    try:
        backend.open()
    except smtplib.SMTPResponseException as error:
        raise WaybillError(
            f"the mail server refuses to talk to Waybill: {_said(error)}", code="mail.refused"
        ) from error
    except (ssl.SSLError, smtplib.SMTPNotSupportedError) as error:
        sentence = f"the mail server “{backend.host}” does not speak TLS as WAYBILL_EMAIL_URL says. Nothing was sent."
        raise WaybillError(sentence, code="mail.tls") from error
    except OSError as error:
        sentence = f"the mail server “{backend.host}” does not answer on port {backend.port}. Nothing was sent."
        raise TransientError(sentence, code="mail.unreachable") from error


def _hand_over(backend: EmailBackend, letter: Letter, message: EmailMessage) -> None:
    sender = parseaddr(message.from_email)[1]
    # Django's message takes it, unlike the one of the standard library that its stubs name.
    written = message.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]
    assert backend.connection is not None
    try:
        refused = backend.connection.sendmail(sender, letter.recipients, written)
    except smtplib.SMTPRecipientsRefused as error:
        said = "; ".join(f"{who}: {_words(*answer)}" for who, answer in list(error.recipients.items())[:5])
        raise WaybillError(f"the mail server takes it for nobody: {said}", code="mail.refused") from error
    except smtplib.SMTPResponseException as error:
        raise WaybillError(f"the mail server refuses it: {_said(error)}", code="mail.refused") from error
    except OSError as error:
        raise UnknownOutcome(
            "the mail server broke the connection off while it was sent, so it may have been sent.", code="mail.unknown"
        ) from error
    if refused:
        sentence = f"it was sent, but the mail server refuses {', '.join(sorted(refused))}."
        raise UnknownOutcome(sentence, code="mail.refused")


def _close(backend: EmailBackend) -> None:
    try:
        backend.close()
    except OSError:
        # What it said of the message is known already; how it says good-bye changes nothing.
        backend.connection = None


def _addresses(text: str) -> list[str]:
    found = [part.strip() for part in text.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
    for address in found:
        try:
            validate_email(address)
        except ValidationError:
            raise DefinitionError(f"“{address[:100]}” is no e-mail address.", code="mail.address") from None
        if not address.isascii():
            raise DefinitionError(f"“{address}” has letters that mail servers do not take.", code="mail.address")
    return list(dict.fromkeys(found))


def _said(error: smtplib.SMTPResponseException) -> str:
    return _words(error.smtp_code, error.smtp_error)


def _words(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"{code} {' '.join(text.split())[:SAID_CHARS]}"
