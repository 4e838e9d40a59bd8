"""The other side of the one door: how a child that reads what strangers made locks itself in, so that none is left.

It dies with its parent, gains no privilege, opens nothing, reaches nothing. Children load this module from its file,
before they read a byte of what they were started for.
"""

import ctypes
import os
import platform
import resource

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


def lock_in(parent: int, *, address_bytes: int, file_bytes: int = 0) -> str:
    """Give up what a child must never have. Gives "full" or "reduced", as far as the system goes along.

    What is open stays open; `file_bytes` is how large a file may grow that is written.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_AS, address_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
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
