"""A real SFTP server on loopback, by AsyncSSH."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import asyncssh


class SftpServer:
    """Serves `root` to one user, who has a password and the public keys of `authorized`."""

    user, password = "harwood", "s3cret of harwood"

    def __init__(self, root: Path, *, authorized: Sequence[asyncssh.SSHKey] = ()) -> None:
        self._root = root
        self._authorized = [key.convert_to_public() for key in authorized]
        self._visitors: list[asyncssh.SSHServerConnection] = []
        self.passwords: list[str] = []
        """Every password that was typed to it."""
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.fingerprint = host_key.get_fingerprint("sha256")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._acceptor = self._do(self._listen(host_key))
        self.port: int = self._acceptor.get_port()

    async def _listen(self, host_key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        world = self

        class Door(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                world._visitors.append(conn)

            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                world.passwords.append(password)
                return (username, password) == (world.user, world.password)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == world.user and key in world._authorized

        def files(channel: asyncssh.SSHServerChannel) -> asyncssh.SFTPServer:
            return asyncssh.SFTPServer(channel, chroot=str(world._root).encode())

        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Door, server_host_keys=[host_key], sftp_factory=files
        )

    def _do(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        async def close() -> None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            for visitor in self._visitors:
                visitor.abort()
                await visitor.wait_closed()

        self._do(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
