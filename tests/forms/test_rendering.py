"""The controls of forms: drawn as Django's own templates draw them."""

import re

import pytest
from django import forms
from django.forms.renderers import DjangoTemplates

from integrations.forms.rendering import Controls

NASTY = "a \"quoted\" <b> & 'more'"
GROUPED = [("", "None"), ("Some", [("1", "One & only"), (NASTY, NASTY)])]


class Everything(forms.Form):
    text = forms.CharField(widget=forms.TextInput(attrs={"placeholder": NASTY, "disabled": True, "list": False}))
    number = forms.IntegerField(min_value=-3)
    hidden = forms.CharField(widget=forms.HiddenInput)
    ticked = forms.BooleanField()
    area = forms.CharField(widget=forms.Textarea)
    choice = forms.ChoiceField(choices=GROUPED)
    choices = forms.MultipleChoiceField(choices=GROUPED, widget=forms.CheckboxSelectMultiple)
    one_of = forms.ChoiceField(choices=GROUPED, widget=forms.RadioSelect(attrs={"class": "wide"}))
    upload = forms.FileField()


def drawn(renderer: DjangoTemplates, values: dict[str, object]) -> dict[str, str]:
    form = Everything(initial=values, renderer=renderer)
    # Between tags, blanks are nothing; the first line end of a text area is.
    return {field.name: re.sub(r">\s+<(?!/textarea)", "><", str(field)).strip() for field in form}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"text": NASTY, "number": 12345, "hidden": NASTY, "ticked": True, "area": f"\n{NASTY}", "choice": NASTY},
        {"text": "", "number": 0, "choice": "1", "choices": ["1"], "one_of": NASTY},
        {"area": "", "choice": "gone"},
    ],
)
def test_controls_are_those_of_django(values: dict[str, object]) -> None:
    assert drawn(Controls(), values) == drawn(DjangoTemplates(), values)
