"""How the controls of forms become HTML. The editor shows thousands of them on a page, and a template for each control,
each of its options and each of their attributes took most of the time that such a page took."""

from collections.abc import Mapping
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.utils.html import conditional_escape

WIDGETS = "django/forms/widgets/"


class Controls(DjangoTemplates):
    """Draws inputs, selects, text areas and lists of boxes as Django's templates do; everything else by those."""

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        draw = DRAWN.get(template_name.removeprefix(WIDGETS).removesuffix(".html"))
        return draw(context["widget"]) if draw else super().render(template_name, context, request)


def _attributes(attrs: Mapping[str, Any]) -> str:
    given = ((name, value) for name, value in attrs.items() if value is not False)
    return "".join(
        f" {name}" if value is True else f' {name}="{conditional_escape(str(value))}"' for name, value in given
    )


def _input(widget: Mapping[str, Any]) -> str:
    value = "" if widget["value"] is None else f' value="{conditional_escape(str(widget["value"]))}"'
    name = conditional_escape(widget["name"])
    return f'<input type="{widget["type"]}" name="{name}"{value}{_attributes(widget["attrs"])}>'


def _textarea(widget: Mapping[str, Any]) -> str:
    name, value = conditional_escape(widget["name"]), conditional_escape(str(widget["value"] or ""))
    # A browser leaves out the first line end, which may be the text's own.
    return f'<textarea name="{name}"{_attributes(widget["attrs"])}>\n{value}</textarea>'


def _select(widget: Mapping[str, Any]) -> str:
    groups = []
    for name, options, _ in widget["optgroups"]:
        drawn = "".join(map(_option, options))
        groups.append(f'<optgroup label="{conditional_escape(name)}">{drawn}</optgroup>' if name else drawn)
    name = conditional_escape(widget["name"])
    return f'<select name="{name}"{_attributes(widget["attrs"])}>{"".join(groups)}</select>'


def _option(option: Mapping[str, Any]) -> str:
    value, words = conditional_escape(str(option["value"])), conditional_escape(option["label"])
    return f'<option value="{value}"{_attributes(option["attrs"])}>{words}</option>'


def _choices(widget: Mapping[str, Any]) -> str:
    """A list of boxes to tick, or to choose one of."""
    attrs = {name: widget["attrs"].get(name) or False for name in ("id", "class")}
    groups = []
    for name, options, _ in widget["optgroups"]:
        drawn = "".join(f"<div>{_labelled(item)}</div>" for item in options)
        groups.append(f"<div><label>{conditional_escape(name)}</label>{drawn}</div>" if name else drawn)
    return f"<div{_attributes(attrs)}>{''.join(groups)}</div>"


def _labelled(option: Mapping[str, Any]) -> str:
    if not option["wrap_label"]:
        return _input(option)
    belongs = _attributes({"for": option["attrs"].get("id") or False})
    return f"<label{belongs}>{_input(option)}\n {conditional_escape(option['label'])}</label>"


def _range(widget: Mapping[str, Any]) -> str:
    """The ends of a range side by side, each with its word."""
    days = "".join(
        f"<label{_attributes({'for': day['attrs'].get('id') or False})}>{conditional_escape(day['label'])}"
        f"{_input(day)}</label>"
        for day in widget["subwidgets"]
    )
    return f'<div class="range">{days}</div>'


DRAWN = {
    "text": _input,
    "number": _input,
    "hidden": _input,
    "checkbox": _input,
    "textarea": _textarea,
    "select": _select,
    "checkbox_select": _choices,
    "radio": _choices,
    "range": _range,
}
