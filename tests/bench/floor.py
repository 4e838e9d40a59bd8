"""The floor: what a careful person writes in an hour. csv + executemany, no ledger; W2 with a filter and a calculation, W5
with two more calculations and something done behind each row.

Usage: python -m tests.bench.floor W1|W2|W5 CUSTOMERS.csv TARGET.db      prints {"seconds", "cpu_seconds", "peak_mb"} as JSON
"""

import config  # noqa: F401  isort: skip  (the same SQLite as the product uses)

import csv
import itertools
import json
import re
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.data import TABLE

UPSERT = (
    "INSERT INTO customers VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (customer_number) DO UPDATE SET "
    + ", ".join(
        f"{name} = excluded.{name}"
        for name in [
            "name",
            "contact",
            "email",
            "phone",
            "street",
            "city",
            "state",
            "zip",
            "credit_limit",
            "customer_since",
            "credit_class",
        ]
    )
)


NOT_DIGITS = re.compile("[^0-9]")


def records(work: str, path: Path) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        if work == "W1":
            yield from rows
        for row in rows:
            if row[11] != "Inactive":
                limit = float(row[9])
                row[11] = "A" if limit >= 50000 else "B" if limit >= 10000 else "C"
                if work == "W5":
                    row[1], row[4] = row[1].upper(), NOT_DIGITS.sub("", row[4])
                yield row


def main(work: str, source: Path, target: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    database = sqlite3.connect(target)
    database.execute(TABLE.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    waiting = records(work, source)
    counted = "0"
    while batch := list(itertools.islice(waiting, 2000)):
        database.executemany(UPSERT, batch)
        if work == "W5":
            for row in batch:
                counted = str(int(counted) + len(row[1]))
    database.commit()
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "seconds": seconds,
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
