"""A destination may say anything back, even the password it was sent: none of it is kept."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django_scopes import scope

from accounts.models import Company
from integrations.engine.plan import DestinationSpec
from integrations.engine.secret import DOTS
from integrations.models import Connection, DocumentOutcome, LogEntry
from integrations.models.vault import vault_of
from integrations.runs.redaction import Redactor, redactor
from tests import factories
from tests.runs.performing import performed

SECRET = "ünder the/mat+9?"
EXAMPLES = {
    "plain": SECRET,
    "in a URL": "%C3%BCnder%20the%2Fmat%2B9%3F",
    "in a form": "%C3%BCnder+the%2Fmat%2B9%3F",
    "in JSON": "\\u00fcnder the/mat+9?",
    "in base64": base64.b64encode(SECRET.encode()).decode(),
    "in base64 after a user": base64.b64encode(f"user:{SECRET}".encode()).decode(),
    "in base64 for addresses": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "in hex": SECRET.encode().hex(),
}


@pytest.mark.parametrize("place", ["source", "task", "lookup", "list"])
def test_the_secrets_of_every_connection_that_is_named_are_known(company: Company, place: str) -> None:
    with scope(company=company):
        shop = factories.make_connection(company, "Shop", "http", url="https://shop.example", auth="bearer")
        shop.seal_secret("secret", SECRET)
        shop.save()
        key = {"connection": str(shop.public_id)}
        plan = {
            "source": {"source": key},
            "task": {"tasks": [{"to_connection": key["connection"]}]},
            "lookup": {"lines": [{"fields": [{"lookup": key}]}]},
            "list": {"variables": [{"prompt": None}, {"prompt": key}]},
        }[place]

        assert Redactor(plan, vault_of(company))(f"refused {SECRET}") == f"refused {DOTS}"


@pytest.mark.parametrize("form", EXAMPLES)
def test_a_secret_is_masked_in_every_form_it_may_come_back_in(form: str) -> None:
    said = redactor([SECRET])(f"refused <{EXAMPLES[form]}> sorry")

    assert DOTS in said
    assert EXAMPLES[form] not in said
    assert said.startswith("refused <") and said.endswith("> sorry")


def test_words_are_left_alone_where_there_is_no_secret() -> None:
    assert redactor([])("anything") == "anything"
    assert redactor(["", "abc"])("abc is too short to be told from a word") == "abc is too short to be told from a word"


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert redactor(["hunter", "hunter22"])("it is hunter22") == f"it is {DOTS}"


@pytest.fixture
def gossip() -> Iterator[str]:
    """A web service that refuses everything and repeats how the sender proved who they are."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = f"No: {self.headers['Authorization']} is not welcome".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_PATCH = do_PUT

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("auth", ["bearer", "basic"])
def test_what_a_destination_says_of_the_credentials_is_masked_on_the_run(
    company: Company, gossip: str, auth: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"url": gossip, "auth": auth, "user": "waybill"}
    connection = Connection(company=company, name="Gossip", connector="http", settings=settings)
    connection.seal_secret("secret", "only-the-service-knows")
    with scope(company=company):
        connection.save()
    spec = DestinationSpec(kind="http_json", connection=str(connection.public_id))
    process = factories.make_process(company, factories.make_plan(connection, destination=spec))

    run = performed(process, "1,Ann\n")

    with scope(company=company):
        outcome = DocumentOutcome.objects.get(run=run)
        kept = " ".join([run.reason, *LogEntry.objects.values_list("message", flat=True)])
    kept += outcome.sentence + outcome.answer + outcome.cause + capsys.readouterr().out
    assert "is not welcome" in outcome.answer and DOTS in outcome.answer
    assert "only-the-service-knows" not in kept
    assert base64.b64encode(b"waybill:only-the-service-knows").decode()[8:-4] not in kept
