"""The Options tab: how a run of the process behaves."""

from dataclasses import asdict
from typing import Any

from django import forms
from django.db.models import Q

from accounts.models import Membership, Role, User
from integrations.engine.plan import MOST, BlankRows, NoData, Options, RepeatedKeys, WhenBusy
from integrations.forms.plain import PlainForm, WholeNumber
from integrations.models import Process

WITH_DATA_ONLY = [("True", "Run all tasks"), ("False", "Run no tasks")]


class Limit(WholeNumber):
    """A number that is blank where there is no limit, which the plan keeps as 0."""

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        self.most = most
        super().__init__(required=False, **kwargs)

    def clean(self, value: Any) -> int:
        number = super().clean(value) or 0
        if not 0 <= number <= self.most:
            raise forms.ValidationError(
                f"{self.label} is {number:,}. Enter a number from 1 to {self.most:,}, or nothing for no limit."
            )
        return int(number)


class OptionsForm(PlainForm):
    """The options of a plan, field by field under their names."""

    revision = forms.IntegerField(widget=forms.HiddenInput)
    no_data = forms.ChoiceField(
        label="No data",
        choices=[(NoData.SUCCESS.value, "Success"), (NoData.FAILURE.value, "Failure")],
        help_text="How a run ends whose source holds no row.",
    )
    tasks_without_data = forms.TypedChoiceField(
        label="Tasks without data",
        choices=WITH_DATA_ONLY,
        coerce=lambda word: word == "True",
        help_text="Whether the tasks of Integration Post follow a source that holds no row.",
    )
    blank_rows = forms.ChoiceField(
        label="Blank rows",
        choices=[
            (BlankRows.KEEP.value, "Keep"),
            (BlankRows.DROP.value, "Drop blank rows"),
            (BlankRows.DROP_BLANK_KEYS.value, "Drop rows with blank keys"),
        ],
        help_text="Dropped rows are counted as restricted.",
    )
    repeated_keys = forms.ChoiceField(
        label="A key that comes twice",
        choices=[(RepeatedKeys.ONE_DOCUMENT.value, "One document"), (RepeatedKeys.ERROR.value, "Error")],
        help_text="Error fails the document when its rows lie apart in the source, or when it has several rows and "
        "every line sends one record a document.",
    )
    separator = forms.CharField(
        label="Separator", max_length=10, strip=False, help_text="Stands between values that Concat joins."
    )
    when_busy = forms.ChoiceField(
        label="When busy",
        choices=[
            (WhenBusy.WAIT.value, "Wait in line"),
            (WhenBusy.REFUSE.value, "Refuse"),
            (WhenBusy.ALLOW.value, "Allow"),
        ],
        help_text="What a second run does while the first is not finished. The same rule at every door.",
    )
    concurrency = Limit(
        label="Documents at once",
        most=MOST["concurrency"],
        help_text="How many requests may be under way to a web service, where the order of documents does not matter. "
        "Blank: as many as the connection says.",
    )
    retry_times = Limit(
        label="Send again, times",
        most=MOST["retry_times"],
        help_text="A document that the destination was too busy or too far away to take is sent again, while the run "
        "waits. What it refused, and what may have arrived, is not. Where the service honours no keys, a worker that is "
        "killed meanwhile leaves the documents of its batch unknown.",
    )
    retry_seconds = Limit(label="Seconds before each", most=MOST["retry_seconds"])
    time_limit = Limit(
        label="Time limit in minutes",
        most=MOST["time_limit"],
        help_text="From the start of the run. One that takes longer ends as Failed, and what was not sent is held.",
    )
    stop_after = Limit(
        label="Stop after failed documents",
        most=MOST["stop_after"],
        help_text="Looked at after every batch that was sent. The run ends as Failed, and the rest is held; when nothing "
        "is left to hold, the run ends Completed with Errors.",
    )
    stop_after_percent = Limit(
        label="Stop after percent failed",
        most=MOST["stop_after_percent"],
        help_text="Of all documents that the source holds.",
    )
    keep_days = Limit(
        label="Keep runs for days",
        most=MOST["keep_days"],
        help_text="A run that ended longer ago is deleted, with its ledger and its files. Blank: kept for ever.",
    )

    def clean_retry_seconds(self) -> int:
        seconds = int(self.cleaned_data["retry_seconds"])
        if self.cleaned_data.get("retry_times") and not seconds:
            raise forms.ValidationError("Enter how many seconds a run waits before it sends again.")
        return seconds

    def options(self) -> Options:
        given = dict(self.cleaned_data)
        del given["revision"]
        return Options(
            **given
            | {
                "no_data": NoData(given["no_data"]),
                "blank_rows": BlankRows(given["blank_rows"]),
                "repeated_keys": RepeatedKeys(given["repeated_keys"]),
                "when_busy": WhenBusy(given["when_busy"]),
            }
        )


class RunnersForm(PlainForm):
    """Who may run the integration. The people of its company whose role lets them run anything are offered."""

    people = forms.ModelMultipleChoiceField(
        queryset=User.objects.none(),
        required=False,
        label="Who may run",
        widget=forms.CheckboxSelectMultiple,
        help_text="Nobody chosen: every operator and designer. Administrators always may. A child run starts with its "
        "parent, whoever may run it alone.",
    )
    only_administrators_run = forms.BooleanField(
        required=False, label="Administrators only", help_text="Nobody else runs it alone."
    )

    def __init__(self, *args: Any, process: Process, **kwargs: Any) -> None:
        initial = {"people": process.runners.all(), "only_administrators_run": process.only_administrators_run}
        super().__init__(*args, initial=initial, **kwargs)
        asked = Membership.objects.filter(company=process.company_id, role__in=(Role.OPERATOR, Role.DESIGNER))
        people = self.fields["people"]
        assert isinstance(people, forms.ModelMultipleChoiceField)
        # Whoever is named already stays offered with another role: saving would else open the integration to everyone.
        named = process.runners.values("pk")
        people.queryset = User.objects.filter(Q(pk__in=asked.values("user")) | Q(pk__in=named)).order_by("email")

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("only_administrators_run") and self.cleaned_data.get("people"):
            self.add_error(
                "only_administrators_run", "People are chosen above, too. Choose nobody, or switch this off."
            )
        return self.cleaned_data


def initial_of(options: Options) -> dict[str, Any]:
    """Give the answers that the form shows for `options`."""
    return {
        name: "" if type(value) is int and not value else str(value) if isinstance(value, bool) else value
        for name, value in asdict(options).items()
    }
