"""Filters and tags for figures, times, badges and icons."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any

from django import forms, template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.models import Run, RunStatus

register = template.Library()


@dataclass(frozen=True)
class Badge:
    tint: str
    icon: str
    spins: bool = False


BADGES = {
    RunStatus.QUEUED: Badge("run", icon="loader-2", spins=True),
    RunStatus.IN_PROGRESS: Badge("run", icon="loader-2", spins=True),
    RunStatus.COMPLETED: Badge("ok", icon="circle-check"),
    RunStatus.COMPLETED_WITH_ERRORS: Badge("warn", icon="alert-triangle"),
    RunStatus.FAILED: Badge("bad", icon="circle-x"),
    RunStatus.CANCELLED: Badge("off", icon="ban"),
    RunStatus.SKIPPED: Badge("off", icon="player-skip-forward"),
}


@register.simple_tag
def icon(name: str, *, spin: bool = False) -> SafeString:
    """Draw an icon of the sprite. It is decoration: words stand beside it."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true"><use href="{}#i-{}"/></svg>',
        " spin" if spin else "",
        static("vendor/tabler/icons.svg"),
        name,
    )


@register.simple_tag
def status_badge(run: Run) -> SafeString:
    """Show a run's status as icon, word and tint."""
    badge = BADGES[RunStatus(run.status)]
    drawn = icon(badge.icon, spin=badge.spins)
    return format_html('<span class="st st-{}">{}{}</span>', badge.tint, drawn, run.get_status_display())


@register.filter
def thousands(value: Any) -> str:
    """Group digits by commas; a dash where there is no figure."""
    return "–" if value is None or value == "" else f"{int(value):,}"


@register.filter
def duration(value: timedelta | float | None) -> str:
    """Say how long something took: 0.4 s, 14 s, 4 m 08 s, 2 h 03 m."""
    if value is None:
        return "–"
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} m"


@register.filter
def filesize(value: int) -> str:
    """Say a size as people do: 640 bytes, 83.2 kB, 1.0 MB."""
    if value < 1_000:
        return f"{value} bytes"
    return f"{value / 1_000:,.1f} kB" if value < 1_000_000 else f"{value / 1_000_000:,.1f} MB"


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """Show a time relative to now, with the exact one in the person's zone on hover."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S %Z}", relative(moment)
    )


@register.simple_tag
def clock(moment: datetime | None) -> SafeString | str:
    """Show the exact time in the person's zone, with its date unless that is today's."""
    if moment is None:
        return "–"
    local = timezone.localtime(moment)
    words = f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local:%Y-%m-%d %H:%M:%S}"
    title = f"{local:%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), title, words)


def relative(moment: datetime) -> str:
    """Say how far `moment` lies from now; after a week its date."""
    seconds = (timezone.now() - moment).total_seconds()
    size = abs(seconds)
    if size < 5:
        return "just now"
    if size >= 7 * 86_400:
        return f"{timezone.localtime(moment):%Y-%m-%d}"
    steps = ((60, 1, "s"), (3_600, 60, "min"), (86_400, 3_600, "h"), (7 * 86_400, 86_400, "d"))
    words = next(f"{size // unit:.0f} {name}" for limit, unit, name in steps if size < limit)
    return f"{words} ago" if seconds > 0 else f"in {words}"


@register.filter
def text_cells(texts: Iterable[str]) -> SafeString:
    """Draw the texts of a source row as its cells."""
    return SafeString("".join(f'<td class="mono">{escape(str(text))}</td>' for text in texts))


@register.filter
def value_cells(values: Iterable[Any], tone: str = "") -> SafeString:
    """Draw the values of a record as cells of its row: there may be tens of thousands on a page."""
    begins = f'<td class="mono{tone}">'
    words = {None: '<span class="soft">no value</span>', "": '<span class="soft">blank</span>'}
    drawn = (words[value] if value is None or value == "" else escape(str(value)) for value in values)
    return SafeString("".join(f"{begins}{value}</td>" for value in drawn))


@register.filter
def field_kind(bound: Any) -> str:
    """Say which control a form field is drawn as."""
    return str(type(bound.field.widget).__name__)


@register.simple_tag
def control(bound: Any) -> SafeString:
    """Render a field's control with the classes and the descriptions that belong to it."""
    widget = bound.field.widget
    kinds = {forms.Select: "form-select", forms.CheckboxInput: "form-check-input"}
    classes = next((words for kind, words in kinds.items() if isinstance(widget, kind)), "form-control")
    described = [
        name
        for name, there in ((f"{bound.auto_id}-hint", bound.help_text), (f"{bound.auto_id}-error", bound.errors))
        if there
    ]
    attrs: dict[str, Any] = {
        "class": f"{widget.attrs.get('class', '')} {classes}{' is-invalid' if bound.errors else ''}".strip()
    }
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if bound.errors:
        attrs["aria-invalid"] = "true"
    return SafeString(bound.as_widget(attrs=attrs))
