"""A run's ledger as pages show it: the bar, the figures that add up, and how far it has come."""

from dataclasses import dataclass

from integrations.models import Run

LEAST = 0.35
"""Percent of the bar that a part gets at least when it is not zero."""


@dataclass(frozen=True)
class Part:
    """One figure of the ledger. `x` and `width` are percent of the bar, as SVG wants them."""

    label: str
    key: str
    documents: int
    rows: int
    note: str = ""
    x: str = "0%"
    width: str = "0%"


@dataclass(frozen=True)
class Attention:
    """The documents of a run that need attention: how many, and in words how many of each kind."""

    count: int
    words: str


@dataclass(frozen=True)
class Ledger:
    read_documents: int | None
    read_rows: int | None
    parts: tuple[Part, ...]
    balanced: bool

    @property
    def accounted(self) -> int:
        return sum(part.documents for part in self.parts)

    @property
    def percent(self) -> int:
        return self.accounted * 100 // self.read_documents if self.read_documents else 0


def ledger_of(run: Run) -> Ledger:
    """Give the ledger of a run, in the fixed order of its parts."""
    delivered = (run.documents_created + run.documents_updated, run.rows_created + run.rows_updated)
    note = f"{run.documents_created:,} created, {run.documents_updated:,} updated"
    parts = [
        Part("Delivered", "ok", *delivered, note),
        Part("Unchanged", "same", run.documents_unchanged, run.rows_unchanged),
        Part("Restricted", "left", run.documents_restricted, run.rows_restricted),
        Part("Failed", "bad", run.documents_failed, run.rows_failed),
        Part("Unknown", "unk", run.documents_unknown, run.rows_unknown),
        Part("Held", "held", run.documents_held, run.rows_held),
    ]
    return Ledger(run.source_documents, run.source_rows, _placed(parts, run.source_documents or 0), run.is_balanced)


def attention_of(run: Run) -> Attention:
    """Count what needs attention, in the one way that every page tells it. A document whose follow-up failed is at the
    destination all the same."""
    kinds = (
        (run.documents_failed, "failed"),
        (run.documents_unknown, "unknown"),
        (run.follow_ups, "sent with a failed follow-up"),
    )
    words = ", ".join(f"{count:,} {kind}" for count, kind in kinds if count)
    return Attention(sum(count for count, _ in kinds), words)


def _placed(parts: list[Part], whole: int) -> tuple[Part, ...]:
    placed, x = [], 0.0
    for part in parts:
        width = max(part.documents * 100 / whole, LEAST) if whole and part.documents else 0.0
        width = min(width, 100 - x)
        placed.append(Part(part.label, part.key, part.documents, part.rows, part.note, f"{x:.2f}%", f"{width:.2f}%"))
        x += width
    return tuple(placed)
