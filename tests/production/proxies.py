"""What stands in front of the web machines and ends TLS: the README's nginx, or thirty lines that do the same."""

import shutil
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.production.machines import commands, replaced
from tests.servers import listens

ADDRESS = "127.0.0.2"
"""Where the proxy calls from: on one machine with the others, and still told apart from them."""


class Certificate:
    """A self-made certificate of localhost: `chain` and `key` are its files."""

    def __init__(self, folder: Path) -> None:
        self.chain, self.key = folder / "waybill.pem", folder / "waybill.key"
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        made = made.serial_number(x509.random_serial_number()).add_extension(names, critical=False)
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        self.chain.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


class PlainProxy:
    """A proxy for where no nginx is installed. It adds its caller to X-Forwarded-For, as nginx does."""

    def __init__(self, port: int, webs: list[int], certificate: Certificate) -> None:
        turns = cycle(webs)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                caller = str(self.client_address[0])
                came_through = [*self.headers.get_all("X-Forwarded-For", []), caller]
                dropped = ("x-forwarded-for", "x-forwarded-proto", "connection")
                headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
                headers |= {"X-Forwarded-For": ", ".join(came_through), "X-Forwarded-Proto": "https"}
                onward = HTTPConnection("127.0.0.1", next(turns), source_address=(ADDRESS, 0), timeout=30)
                onward.request(self.command, self.path, body=body, headers=headers)
                answer = onward.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                onward.close()

            do_POST = do_GET

            def log_message(self, *words: Any) -> None: ...

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Nginx:
    """nginx with the README's own configuration. Only ports, files and the address it calls from are ours."""

    @staticmethod
    def program() -> str | None:
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

    def __init__(self, port: int, webs: list[int], certificate: Certificate, folder: Path) -> None:
        (block,) = commands("nginx")
        first, second = webs
        site = replaced(
            block,
            {
                "10.0.0.11:8000": f"127.0.0.1:{first}",
                "10.0.0.12:8000": f"127.0.0.1:{second}",
                "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                "waybill.example.com": "localhost",
                "/etc/ssl/waybill.pem": str(certificate.chain),
                "/etc/ssl/waybill.key": str(certificate.key),
                "proxy_pass http://waybill;": f"proxy_pass http://waybill; proxy_bind {ADDRESS};",
            },
        )
        kept = "".join(f"{name}_temp_path {folder};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{}}\n"
            f"http {{ access_log off; {kept} {site} }}\n"
        )
        program = self.program()
        assert program
        self._process = subprocess.Popen(
            [program, "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", str(configuration)]
        )
        until = time.monotonic() + 30
        while not listens(port):
            assert self._process.poll() is None and time.monotonic() < until, (folder / "nginx.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
