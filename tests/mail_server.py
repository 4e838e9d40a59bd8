"""A real mail server on loopback, for tests: it speaks SMTP, keeps what it took and refuses what it is told to."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


class MailServer:
    """`taken` holds (recipients, message). `refuses` are recipients it does not take; `greeting` what it begins with.
    With `breaks_off` it takes the text of a message and goes without a word."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.refuses: set[str] = set()
        self.greeting = "220 here"
        self.breaks_off = False
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.mail = self
        self.port: int = self._server.server_address[1]

    @contextlib.contextmanager
    def running(self) -> Iterator["MailServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    mail: MailServer


class _Talk(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        mail: MailServer = self.server.mail
        to: list[str] = []
        self._say(mail.greeting)
        while line := self.rfile.readline().decode().strip():
            word = line[:4].upper()
            if word == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                refused = address in mail.refuses
                to += [] if refused else [address]
                self._say("550 no such person" if refused else "250 known")
            elif word == "DATA":
                self._say("354 go on")
                text = b"".join(iter(self.rfile.readline, b".\r\n")).replace(b"\r\n..", b"\r\n.")
                message = message_from_bytes(text, policy=policy.default)
                assert isinstance(message, EmailMessage)
                mail.taken.append((to, message))
                if mail.breaks_off:
                    return
                to = []
                self._say("250 taken")
            else:
                self._say("221 bye" if word == "QUIT" else "250 well")

    def _say(self, words: str) -> None:
        # Whoever has gone does not hear it.
        with contextlib.suppress(OSError):
            self.wfile.write(f"{words}\r\n".encode())
