"""W3: a sink that takes 5 ms for every request, and the floor that posts to it.

Usage: python -m tests.bench.http floor URL AT_ONCE      prints {"seconds"} as JSON
       python -m tests.bench.http sink                   prints its port, then the most requests it had at once
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any, Self

import aiohttp
from aiohttp import web

DOCUMENTS = 2_000
TAKES_SECONDS = 0.005


class Sink:
    """The sink, in a process of its own."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.bench.http", "sink"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}/"
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.communicate()

    def most_at_once(self) -> int:
        """End the sink and give the most requests it had in hand at once."""
        return int(self._process.communicate()[0])


async def serve() -> None:
    at_once = most = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await request.read()
        await asyncio.sleep(TAKES_SECONDS)
        at_once -= 1
        return web.json_response({}, status=201)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    sys.stdout.write(str(most))
    await runner.cleanup()


async def post_all(url: str, at_once: int) -> dict[str, Any]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as session:
        began = time.perf_counter()
        waiting = iter(range(DOCUMENTS))

        async def post() -> None:
            for number in waiting:
                async with session.post(url + "customers", json={"number": number, "name": "x" * 100}) as response:
                    await response.read()

        await asyncio.gather(*(post() for _ in range(at_once)))
        return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        asyncio.run(serve())
    else:
        json.dump(asyncio.run(post_all(sys.argv[2], int(sys.argv[3]))), sys.stdout)
