"""One integration as its designer defines it: a draft that is edited, and versions that run."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Subquery
from django.utils import timezone

from accounts.models import Membership, Role, User
from accounts.scoping import CompanyManager, CompanyOwned
from integrations.engine.plan import DestinationSpec, Plan, SourceSpec
from integrations.models.stored_file import StoredFile


class ProcessQuerySet(models.QuerySet["Process"]):
    def kept(self) -> "ProcessQuerySet":
        """Those that are not in the trash."""
        return self.filter(trashed_at=None)

    def that_may_be_run_by(self, user: User) -> "ProcessQuerySet":
        """Those that do not keep `user` from running them. The role that running needs is asked for elsewhere."""
        administers = Membership.objects.filter(user=user, company=OuterRef("company"), role=Role.ADMINISTRATOR)
        # Asked apart, and not joined: an administrator would see a process once for each person that it names.
        runners = Process.runners.through.objects.filter(process=OuterRef("pk"))
        is_named = models.Q(Exists(runners.filter(user=user)))
        is_open = models.Q(~Exists(runners), only_administrators_run=False)
        return self.filter(is_named | is_open | models.Q(Exists(administers)))


class Process(CompanyOwned):
    """`draft` is a plan in the making (JSON of `engine.plan.Plan`); `revision` grows with every save (optimistic lock).

    Runs use the newest version. A process in the trash keeps its runs and can be restored.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    group = models.CharField(max_length=80, blank=True)
    """What it is listed under; empty: under no group."""
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    """Whom to ask about it."""
    draft = models.JSONField(default=dict)
    revision = models.PositiveIntegerField(default=0)
    sample = models.ForeignKey(StoredFile, on_delete=models.PROTECT, null=True, related_name="+")
    """The file that previews read. Runs never use it."""
    default_file = models.ForeignKey(StoredFile, on_delete=models.PROTECT, null=True, related_name="+")
    """The file a run takes when none is given with it."""
    target_profile = models.JSONField(default=dict)
    """{target: [{name, type, type_label, required, key}]}: what the destination said of each target, when last asked."""
    kept_values = models.JSONField(default=dict)
    """{variable: value} that earlier runs left to the later ones, where the process keeps them."""
    is_active = models.BooleanField(default=True)
    runners = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)
    """Who may run it, beside administrators. Nobody named: everyone whose role allows it, unless
    `only_administrators_run`."""
    only_administrators_run = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    updated_at = models.DateTimeField(default=timezone.now)
    trashed_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = CompanyManager.from_queryset(ProcessQuerySet)()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["company", "name"], condition=models.Q(trashed_at=None), name="one_process_of_a_name"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def newest_version(self) -> "ProcessVersion | None":
        """The version that runs use; None while nothing runnable was saved."""
        return self.versions.order_by("-number").first()

    @property
    def drafted(self) -> Plan:
        """The draft as a plan, complete or not."""
        # A page asks a dozen times. Another draft is another object: nobody changes one in place.
        if self._read is None or self._read[0] is not self.draft or self._read[1] != self.name:
            self._read = self.draft, self.name, self._draft_as_plan()
        return self._read[2]

    _read: tuple[Any, str, Plan] | None = None

    def _draft_as_plan(self) -> Plan:
        if not self.draft:
            return Plan(
                process=self.name, source=SourceSpec(kind=""), destination=DestinationSpec(kind="", connection="")
            )
        return Plan.from_json(self.draft)

    def may_be_run_by(self, user: User) -> bool:
        """Say whether the people named as its runners include `user`, or nobody is named."""
        return Process.objects.filter(pk=self.pk).that_may_be_run_by(user).exists()

    def change(self, *, revision: int, by: User | None, **fields: Any) -> bool:
        """Write `fields`, unless someone saved since `revision` was read: then nothing is written and this is False."""
        changed = Process.objects.filter(pk=self.pk, revision=revision).update(
            **fields, revision=F("revision") + 1, updated_by=by, updated_at=timezone.now()
        )
        if changed:
            self.refresh_from_db()
        return bool(changed)

    def save_version(self, *, revision: int, by: User | None) -> "ProcessVersion | None":
        """Make the draft the version that runs use; None when someone saved since `revision` was read."""
        with transaction.atomic():
            locked = Process.objects.select_for_update().filter(pk=self.pk, revision=revision).first()
            if locked is None:
                return None
            newest = locked.newest_version
            return ProcessVersion.objects.create(
                company=locked.company,
                process=locked,
                number=newest.number + 1 if newest else 1,
                plan_json=locked.draft,
                created_by=by,
            )


class ProcessVersionQuerySet(models.QuerySet["ProcessVersion"]):
    def that_are_newest(self) -> "ProcessVersionQuerySet":
        """Of each process the version that runs use."""
        newest = ProcessVersion.objects.filter(process=OuterRef("process")).order_by("-number").values("number")[:1]
        return self.filter(number=Subquery(newest))


class ProcessVersion(CompanyOwned):
    """A saved definition, never changed afterwards."""

    process = models.ForeignKey(Process, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    plan_json = models.JSONField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar = CompanyManager.from_queryset(ProcessVersionQuerySet)()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["process", "number"], name="one_version_of_a_number"),
        ]

    def __str__(self) -> str:
        return f"{self.process} version {self.number}"

    @property
    def plan(self) -> Plan:
        return Plan.from_json(self.plan_json)
