"""`make bench`: the product against a floor, each in processes of its own, in turn, on one machine.

W1  customers CSV → SQLite upsert, no script, with the full ledger    against csv + executemany
W2  the same with a restriction and a calculation in JavaScript       against csv + executemany in Python
W3  2,000 documents posted to a sink that takes 5 ms                  against plain aiohttp, as many at once
W5  W2 with three calculations and a script task behind each document  against the same loop in Python
W4  an empty run from request to finished, and 200 of them            against plain Celery on the same broker

Prints a ratio for each and writes every figure to a file. Absolute times do not travel; the ratios of one run do.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.data import write_customers
from tests.bench.http import Sink
from tests.servers import Valkey

Figures = dict[str, Any]
Side = Callable[[Path], Figures]


def main() -> None:
    options = arguments()
    figures: Figures = {
        "machine": machine(),
        "command": " ".join(["python -m tests.bench", *sys.argv[1:]]),
        "works": {},
    }
    say(f"{figures['command']}    {json.dumps(figures['machine'])}")
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        for work in options.works:
            for name, title, floor, product in WORKS[work](Path(folder), options):
                figures["works"][name] = compared(Path(folder), title, floor, product, options.turns)
    for work in SCRIPTS:
        report_memory(figures["works"], work, options.rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2))
    say(f"all figures: {options.out}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--works", nargs="+", choices=sorted(WORKS), default=sorted(WORKS))
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("var/bench/figures.json"))
    return parser.parse_args()


def machine() -> Figures:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


# ---- the works -------------------------------------------------------------------------------------------------------


def customers(work: str, folder: Path, options: argparse.Namespace) -> Any:
    for rows in options.rows:
        source = folder / f"customers-{rows}.csv"
        if not source.exists():
            write_customers(source, rows)

        def floor(place: Path, source: Path = source) -> Figures:
            return child("floor", work, source, place / "target.db")

        def product(place: Path, source: Path = source) -> Figures:
            child("product", "prepare", place / "data", work, source, place / "target.db")
            return child("product", "run", place / "data")

        yield (
            f"{work} {rows}",
            f"{work}: {rows:,} rows × 12 columns, CSV → SQLite upsert, {SCRIPTS[work]}",
            floor,
            product,
        )


SCRIPTS = {
    "W1": "no script",
    "W2": "a restriction and a calculation",
    "W5": "a restriction, 3 calculations and a script task behind each document",
}


def posts(folder: Path, options: argparse.Namespace) -> Any:
    for at_once in (10, 50):

        def floor(place: Path, at_once: int = at_once) -> Figures:
            with Sink() as sink:
                return {**child("http", "floor", sink.url, at_once), "at_once": sink.most_at_once()}

        def product(place: Path, at_once: int = at_once) -> Figures:
            source = place / "customers.csv"
            write_customers(source, 2_000)
            with Sink() as sink:
                child("product", "prepare", place / "data", "W3", source, f"{sink.url}?at_once={at_once}")
                return {**child("product", "run", place / "data"), "at_once": sink.most_at_once()}

        yield f"W3 {at_once}", f"W3: 2,000 documents posted, {at_once} at once, 5 ms each", floor, product


def empty_runs(folder: Path, options: argparse.Namespace) -> Any:
    def side(name: str, place: Path) -> Figures:
        valkey = Valkey()
        try:
            return child("empty", name, place / "data", valkey.socket)
        finally:
            valkey.stop()

    title = "W4: 200 empty runs with one worker, and the latency of one"
    yield "W4", title, partial(side, "floor"), partial(side, "product")


WORKS: dict[str, Any] = {
    "W1": lambda folder, options: customers("W1", folder, options),
    "W2": lambda folder, options: customers("W2", folder, options),
    "W3": posts,
    "W4": empty_runs,
    "W5": lambda folder, options: customers("W5", folder, options),
}


# ---- in turn ---------------------------------------------------------------------------------------------------------


def compared(folder: Path, title: str, floor: Side, product: Side, turns: int) -> Figures:
    """Let both sides take turns, so that a drifting machine bends them alike; give the median of the ratios."""
    floors, products = [], []
    for _ in range(turns):
        for side, taken in ((floor, floors), (product, products)):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                taken.append(side(Path(place)))
    ratios = [p["seconds"] / f["seconds"] for p, f in zip(products, floors, strict=True)]
    ratio = statistics.median(ratios)
    say(title)
    for name, taken in (("floor", floors), ("product", products)):
        median = sorted(taken, key=lambda turn: float(turn["seconds"]))[len(taken) // 2]
        others = {key: value for key, value in median.items() if key != "seconds"}
        facts = "  ".join(f"{key} {value}" for key, value in others.items())
        say(f"  {name:<8} {median['seconds']:8.2f} s   {facts}")
    say(f"  ratio    {ratio:8.2f} ×   (median of {turns}: {', '.join(f'{item:.2f}' for item in ratios)})")
    if all(turn.get("cpu_seconds") for turn in floors):
        # A busy machine bends it less: the product's processes wait for each other's cores, the floor has but one.
        cpu = statistics.median(p["cpu_seconds"] / f["cpu_seconds"] for p, f in zip(products, floors, strict=True))
        say(f"  in CPU   {cpu:8.2f} ×")
    return {"title": title, "ratio": ratio, "ratios": ratios, "floor": floors, "product": products}


def report_memory(works: Figures, work: str, rows: list[int]) -> None:
    peaks = [
        max(turn["peak_mb"] for turn in works[f"{work} {size}"]["product"])
        for size in rows
        if f"{work} {size}" in works
    ]
    if len(peaks) > 1:
        say(f"{work}: peak memory of the worker, {rows[-1]:,} rows over {rows[0]:,}: {peaks[-1] / peaks[0]:.2f} ×")


def child(module: str, *words: object) -> Figures:
    """Run one side in a process of its own and give its figures: the last line, below what it logs."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "WAYBILL_LOG_LEVEL": "ERROR"})
    last = done.stdout.decode().rsplit("\n", 1)[-1]
    return dict(json.loads(last)) if last else {}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
