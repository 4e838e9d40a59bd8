"""The script child: a process that holds nothing but JavaScript. Started by `sandbox`, never imported by the product.

It locks itself in before it reads a script: dies with its parent, gains no privilege, opens nothing, reaches nothing.
Over its pipes go frames of a four-byte length and JSON. The number of the document it is at stands in a page of memory
shared with the parent, so that the culprit is known when it has to be killed.
"""

import ctypes
import json
import mmap
import os
import platform
import resource
import struct
import sys
import time
from typing import Any

import quickjs

FLUSH_SECONDS = 0.05
OUT_OF_MEMORY = "InternalError: out of memory"
NO_MEMORY_LEFT = "threw null, as also happens when memory runs out"
SAID_WITHIN = 200

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
SECCOMP_MODE_FILTER = 2
ALLOW, DENY, KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
# audit architecture, then the numbers of what a computing process still needs (linux/unistd.h):
# read write close fstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn mremap madvise
# sched_yield futex clock_gettime clock_nanosleep gettimeofday getpid gettid getrusage exit exit_group getrandom times
# restart_syscall
SYSTEM_CALLS = {
    "x86_64": (
        0xC000003E,
        (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25, 28, 24, 202, 228, 230, 96, 39, 186, 98, 60, 231, 318, 100, 219),
    ),
    "aarch64": (
        0xC00000B7,
        (
            63,
            64,
            57,
            80,
            62,
            222,
            226,
            215,
            214,
            134,
            135,
            139,
            216,
            233,
            124,
            98,
            113,
            115,
            169,
            172,
            178,
            93,
            94,
            278,
        ),
    ),
}


class Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]


def lock_in(parent: int, memory_bytes: int) -> str:
    """Give up what a script must never have. Gives "full" or "reduced", as far as the system goes along."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes * 4 + (512 << 20)),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    # A network of its own, with nothing in it. Where users may not have one, the filter below is the wall.
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return "reduced"
    return "full" if filter_system_calls(libc) else "reduced"


def filter_system_calls(libc: ctypes.CDLL) -> bool:
    """Refuse every system call that computing does not need. False where the system has no such filter."""
    known = SYSTEM_CALLS.get(platform.machine())
    if known is None:
        return False
    architecture, calls = known
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, architecture), (0x06, 0, 0, KILL), (0x20, 0, 0, 0)]
    for index, call in enumerate(calls):
        program.append((0x15, len(calls) - index, 0, call))
    program += [(0x06, 0, 0, DENY), (0x06, 0, 0, ALLOW)]
    instructions = (Instruction * len(program))(*[Instruction(*item) for item in program])
    whole = Program(len(program), instructions)
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(whole), 0, 0) == 0)


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
    isolation = lock_in(setup["parent"], setup["memory_bytes"])
    world = World(harness, read_frame().decode(), setup)
    try:
        world.begin()
    except quickjs.JSException as error:
        write_frame(json.dumps({"refused": str(error)}).encode())
        os._exit(0)
    write_frame(json.dumps({"isolation": isolation}).encode())
    serve(world, place)


class World:
    """The context that scripts see. Begun anew whenever a script was stopped: what it left behind goes with it."""

    def __init__(self, harness: str, scripts: str, setup: dict[str, Any]) -> None:
        self.harness, self.scripts, self.setup = harness, scripts, setup
        self.batch = "[]"

    def begin(self) -> None:
        context = quickjs.Context()
        context.set_memory_limit(self.setup["memory_bytes"])
        context.set_max_stack_size(self.setup["stack_bytes"])
        context.set_time_limit(self.setup["seconds"])
        context.eval(self.harness)
        self.context, self.ask = context, context.get("prepare")(self.scripts)
        self.take(self.batch)

    def take(self, batch: str) -> None:
        """Bring the next batch in."""
        self.batch = batch
        self.context.set_time_limit(-1)
        self.ask(batch)
        self.context.set_time_limit(self.setup["seconds"])

    def answer(self, number: int) -> str:
        """Give the answer for a document. One that found too little memory left by others is asked once more."""
        answer, short = self.tried(number)
        if short:
            self.begin()
            answer, short = self.tried(number)
        if short:
            self.begin()
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
        said = answer[:SAID_WITHIN] if answer.startswith("{") else ""
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
