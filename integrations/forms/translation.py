"""What a person may say of a translation table: its name, and its rows one by one, pasted, or from a workbook."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from integrations.forms.plain import PlainForm, Tall
from integrations.models import TranslationTable
from integrations.models.translation import Pairs

if TYPE_CHECKING:
    _RowForms = forms.BaseFormSet["RowForm"]
else:
    # Django's form sets are generic for type checkers only.
    _RowForms = forms.BaseFormSet

MOST_ROWS = 50_000
MOST_CHARS = 1_000
SPARE_ROWS = 5


class TableForm(PlainForm):
    """Name and description of a table, and lines that are added to its rows."""

    revision = forms.IntegerField(widget=forms.HiddenInput, required=False)
    name = forms.CharField(max_length=120, label="Name", help_text="Such as Countries to ISO codes.")
    description = forms.CharField(required=False, max_length=4000, label="Description", widget=Tall(2))
    pasted = forms.CharField(
        required=False,
        strip=False,
        max_length=2_000_000,
        label="Paste rows",
        widget=Tall(3, spellcheck="false", **{"class": "mono"}),
        help_text="One row a line: from, a tab, to; two columns copied from a sheet are just that. A row whose from is "
        "there already gets the new to.",
    )

    def __init__(self, *args: Any, table: TranslationTable | None = None, **kwargs: Any) -> None:
        self.table = table
        if table is not None:
            names = ("name", "description", "revision")
            kwargs.setdefault("initial", {name: getattr(table, name) for name in names})
        super().__init__(*args, **kwargs)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = TranslationTable.objects.filter(name__iexact=name)
        if self.table is not None:
            others = others.exclude(pk=self.table.pk)
        if others.exists():
            raise forms.ValidationError(f"There is already a translation table {name}. Choose another name.")
        return name

    def clean_pasted(self) -> Pairs:
        """The pasted lines as rows."""
        pairs: Pairs = []
        for number, line in enumerate(self.cleaned_data["pasted"].replace("\r\n", "\n").split("\n"), start=1):
            if not line:
                continue
            cells = line.split("\t")
            if len(cells) != 2:
                has = "no tab" if len(cells) == 1 else "more than one tab"
                raise forms.ValidationError(f"Line {number} has {has}: write from, a tab, to.")
            pairs.append((cells[0], cells[1]))
        if complaint := complaint_about(pairs):
            raise forms.ValidationError(f"What was pasted: {complaint}")
        return pairs


class RowForm(PlainForm):
    """One row of the grid. `was` and `was_to` are what it showed; a row that is added shows nothing (`known`)."""

    known = forms.BooleanField(required=False, widget=forms.HiddenInput)
    was = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    was_to = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    given = forms.CharField(required=False, strip=False, max_length=MOST_CHARS, label="From")
    becomes = forms.CharField(required=False, strip=False, max_length=MOST_CHARS, label="To")
    remove = forms.BooleanField(required=False, label="Remove")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = self.initial.get("given")
        row = "the added row" if name is None else name or "the blank value"
        for field, words in (("given", "From of"), ("becomes", "To of"), ("remove", "Remove")):
            self.fields[field].widget.attrs["aria-label"] = f"{words} {row}"

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if complaint := complaint_about([(given.get("given", ""), given.get("becomes", ""))]):
            self.add_error("given", complaint)
        return given

    def edit(self) -> "Edit | None":
        """What the row asks for, after validation; None when it asks for nothing."""
        said = self.cleaned_data
        if not said:
            return None  # One to add that was left alone.
        row = (said["given"], said["becomes"])
        if not said["known"]:
            return Edit(was=None, row=row) if any(row) and not said["remove"] else None
        if said["remove"]:
            return Edit(was=said["was"], row=None)
        return Edit(was=said["was"], row=row) if row != (said["was"], said["was_to"]) else None


RowForms: Any = forms.formset_factory(RowForm, formset=_RowForms, extra=SPARE_ROWS, max_num=1_000, absolute_max=1_000)


@dataclass(frozen=True)
class Edit:
    """One row becomes another one, or none. `was` is the *from* it had; None adds a row."""

    was: str | None
    row: tuple[str, str] | None


@dataclass(frozen=True)
class Changes:
    """What differs between the rows of a table and those that would take their place."""

    added: Pairs
    changed: Sequence[tuple[str, str, str]]
    """(from, the old to, the new to)"""
    removed: Pairs

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def told(self, most: int = 20) -> list[str]:
        """Give the changes as lines for the audit log, the first `most` of each kind."""
        lines = [f"{given} → {becomes} added" for given, becomes in self.added[:most]]
        lines += [f"{given} → {new} instead of {old}" for given, old, new in self.changed[:most]]
        lines += [f"{given} → {becomes} removed" for given, becomes in self.removed[:most]]
        left = len(self.added) + len(self.changed) + len(self.removed) - len(lines)
        return [*lines, f"and {left:,} more"] if left else lines


def row_forms(pairs: Iterable[tuple[str, str]], data: Any = None) -> Any:
    """The grid of these rows, with some to add."""
    initial = [
        {"known": True, "was": given, "was_to": becomes, "given": given, "becomes": becomes} for given, becomes in pairs
    ]
    return RowForms(data, initial=initial, prefix="rows")


def merged(pairs: Pairs, edits: Sequence[Edit], pasted: Pairs) -> Pairs:
    """Give the rows after these edits. A row that someone else removed meanwhile comes back when it was edited.

    Raises `ValueError` with a sentence where a *from* would be there twice.
    """
    asked = {edit.was: edit.row for edit in edits if edit.was is not None}
    rows = [asked.pop(given, (given, becomes)) for given, becomes in pairs]
    rows += [edit.row for edit in edits if edit.was is None or edit.was in asked]
    kept = [row for row in rows if row is not None]
    if complaint := complaint_about(kept):
        raise ValueError(complaint)
    result = list((dict(kept) | dict(pasted)).items())
    if len(result) > MOST_ROWS:
        raise ValueError(f"These are {len(result):,} rows; a table holds {MOST_ROWS:,} at most.")
    return result


def complaint_about(pairs: Collection[tuple[str, str]]) -> str:
    """Say what keeps these from being the rows of a table, or ""."""
    if len(pairs) > MOST_ROWS:
        return f"these are {len(pairs):,} rows; a table holds {MOST_ROWS:,} at most."
    seen: set[str] = set()
    for given, becomes in pairs:
        shown = f"“{given[:80]}”" if given else "The blank value"
        if given in seen:
            return f"{shown} is there twice. Keep one of the two."
        seen.add(given)
        if any(ord(character) < 32 for character in given + becomes):
            return f"{shown}: a value holds a line break, a tab or another control character."
        if max(len(given), len(becomes)) > MOST_CHARS:
            return f"{shown}: a value is longer than {MOST_CHARS:,} characters."
    return ""


def changes_between(old: Pairs, new: Pairs) -> Changes:
    """Say what differs."""
    before, after = dict(old), dict(new)
    return Changes(
        added=[(given, becomes) for given, becomes in new if given not in before],
        changed=[(given, before[given], to) for given, to in new if given in before and before[given] != to],
        removed=[(given, becomes) for given, becomes in old if given not in after],
    )
