"""`make bench`: customers CSV → SQLite upsert with a restriction and a calculation, product against floor.

Prints a ratio for each size and writes every figure to a file. Floor and product take turns, so that a drifting
machine bends both alike.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.data import write_customers


def main() -> None:
    options = arguments()
    figures: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count(), "sizes": {}}
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        for rows in options.rows:
            figures["sizes"][rows] = measure(Path(folder), rows, options.turns)
            report(rows, figures["sizes"][rows])
    if len(options.rows) > 1:
        smallest, largest = (
            figures["sizes"][rows]["product"]["peak_mb"] for rows in (options.rows[0], options.rows[-1])
        )
        say(
            f"peak memory of the worker, {options.rows[-1]:,} rows over {options.rows[0]:,}: {largest / smallest:.2f} ×"
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2))
    say(f"all figures: {options.out}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("var/bench/customers.json"))
    return parser.parse_args()


def measure(folder: Path, rows: int, turns: int) -> dict[str, Any]:
    source = folder / f"customers-{rows}.csv"
    write_customers(source, rows)
    floors, products = [], []
    for turn in range(turns):
        floors.append(child("floor", source, folder / f"floor-{rows}-{turn}.db"))
        data = folder / f"data-{rows}-{turn}"
        child("product", "prepare", data, source, folder / f"product-{rows}-{turn}.db")
        products.append(child("product", "run", data))
    floor, product = middle(floors), middle(products)
    return {
        "floor": floor,
        "product": product,
        "ratio": statistics.median(p["seconds"] / f["seconds"] for p, f in zip(products, floors, strict=True)),
        "turns": {"floor": floors, "product": products},
    }


def child(module: str, *words: object) -> dict[str, Any]:
    """Run one side in a process of its own and give its figures: the last line, below what it logs."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, "WAYBILL_LOG_LEVEL": "ERROR"})
    last = done.stdout.decode().rsplit("\n", 1)[-1]
    return dict(json.loads(last)) if last else {}


def middle(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """The turn of the median time."""
    return sorted(turns, key=lambda turn: float(turn["seconds"]))[len(turns) // 2]


def report(rows: int, size: dict[str, Any]) -> None:
    floor, product = size["floor"], size["product"]
    say(f"{rows:,} rows × 12 columns, CSV → SQLite upsert, one restriction, one calculation")
    say(f"  floor    {floor['seconds']:8.2f} s   {floor['peak_mb']:6.0f} MB")
    say(f"  product  {product['seconds']:8.2f} s   {product['peak_mb']:6.0f} MB   {product['status']}")
    say(f"  ratio    {size['ratio']:8.2f} ×   (median of {len(size['turns']['floor'])} pairs)")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
