"""The script child: a process that holds nothing but JavaScript. Started by `sandbox`, never imported by the product.

It locks itself in before it reads a script: dies with its parent, gains no privilege, opens nothing, reaches nothing.
Over its pipes go frames of a four-byte length and JSON. The number of the document it is at stands in a page of memory
shared with the parent, so that the culprit is known when it has to be killed.
"""

import importlib
import json
import mmap
import os
import struct
import sys
import time
from typing import Any

import quickjs

FLUSH_SECONDS = 0.05
OUT_OF_MEMORY = "InternalError: out of memory"
NO_MEMORY_LEFT = "threw null, as also happens when memory runs out"
SAID_WITHIN = 200
VARIABLES, ANSWERS = '{"variables":', '{"answers":'
"""How a message that brings the variables begins, and an answer that tells what was written into them."""


def read_frame() -> bytes:
    head = read_exactly(4)
    return read_exactly(struct.unpack(">I", head)[0])


def read_exactly(size: int) -> bytes:
    parts = []
    while size:
        part = os.read(0, min(size, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def write_frame(payload: bytes) -> None:
    data = memoryview(struct.pack(">I", len(payload)) + payload)
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    setup = json.loads(sys.argv[1])
    place = mmap.mmap(setup["page"], mmap.PAGESIZE)
    os.close(setup["page"])
    with open(setup["harness"], encoding="utf-8") as file:  # noqa: PTH123  (nothing is imported that is not needed)
        harness = file.read()
    sys.path.append(setup["locks"])
    locks = importlib.import_module("lock_in")
    isolation = locks.lock_in(setup["parent"], address_bytes=setup["memory_bytes"] * 4 + (512 << 20))
    world = World(harness, read_frame().decode(), setup)
    try:
        world.begin()
    except quickjs.JSException as error:
        write_frame(json.dumps({"refused": str(error)}).encode())
        os._exit(0)
    write_frame(json.dumps({"isolation": isolation}).encode())
    serve(world, place)


class World:
    """The context that scripts see. Begun anew whenever a script was stopped: what it left behind goes with it.

    The run's variables outlive that: what documents wrote is noted here, outside of what a script can exhaust.
    """

    def __init__(self, harness: str, scripts: str, setup: dict[str, Any]) -> None:
        self.harness, self.scripts, self.setup = harness, scripts, setup
        self.batch = "[]"
        self.variables: dict[str, Any] = {}

    def begin(self) -> None:
        context = quickjs.Context()
        context.set_memory_limit(self.setup["memory_bytes"])
        context.set_max_stack_size(self.setup["stack_bytes"])
        context.set_time_limit(self.setup["seconds"])
        context.eval(self.harness)
        self.context, self.ask = context, context.get("prepare")(self.scripts)
        if self.variables:
            self.bring(json.dumps({"variables": self.variables}))
        self.bring(self.batch)

    def take(self, message: str) -> None:
        """Bring in what the parent sent: a batch of documents, a task to do, or the variables as they are now."""
        if message.startswith(VARIABLES):
            self.variables = json.loads(message)["variables"]
        else:
            self.batch = message
        self.bring(message)

    def bring(self, message: str) -> None:
        self.context.set_time_limit(-1)
        self.ask(message)
        self.context.set_time_limit(self.setup["seconds"])

    def answer(self, number: int) -> str:
        """Give the answer for a document. One that found too little memory left by others is asked once more."""
        answer, short = self.tried(number)
        if short:
            self.begin()
            answer, short = self.tried(number)
        if short:
            self.begin()
        if answer.startswith(ANSWERS):
            self.variables.update(json.loads(answer)["variables"])
        return answer

    def tried(self, number: int) -> tuple[str, bool]:
        """Give the answer, and whether memory was too short for it."""
        try:
            answer = self.ask(number)
        except quickjs.JSException as error:
            said = str(error).split("\n", 1)[0]
            if said.endswith("interrupted"):
                return self.stopped(said), False
            return self.stopped(OUT_OF_MEMORY), True
        said = answer[:SAID_WITHIN] if answer.startswith("{") and not answer.startswith(ANSWERS) else ""
        return answer, OUT_OF_MEMORY in said or NO_MEMORY_LEFT in said

    def stopped(self, said: str) -> str:
        """Answer for a document at which the engine itself stopped, and begin anew."""
        self.context.set_time_limit(-1)
        self.context.gc()
        at = json.loads(self.ask())
        self.begin()
        return json.dumps({**at, "said": said})


def serve(world: World, place: mmap.mmap) -> None:
    pack_into = struct.pack_into
    while True:
        count, batch = read_batch()
        world.take(batch)
        answers: list[str] = []
        flushed = time.monotonic()
        for number in range(count):
            pack_into("q", place, 0, number)
            answers.append(world.answer(number))
            if number & 15 == 15 and time.monotonic() - flushed > FLUSH_SECONDS:
                write_frame(("[" + ",".join(answers) + "]").encode())
                answers.clear()
                flushed = time.monotonic()
        world.take("[]")
        write_frame(("[" + ",".join(answers) + "]").encode())


def read_batch() -> tuple[int, str]:
    frame = read_frame()
    return struct.unpack(">I", frame[:4])[0], frame[4:].decode()


if __name__ == "__main__":
    main()
