"""Who works here: users, the companies they belong to, what they may do there, and what they did."""

import uuid
import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.scoping import CompanyOwned


def is_time_zone(name: str) -> None:
    """Refuse a name that the time zone database does not hold."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Choose one such as Europe/Berlin or America/Chicago.")


class Role(models.TextChoices):
    """What a member may do; each role includes the ones before it."""

    VIEWER = "viewer", "Viewer"
    OPERATOR = "operator", "Operator"
    DESIGNER = "designer", "Designer"
    ADMINISTRATOR = "administrator", "Administrator"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def includes(self, other: "Role") -> bool:
        return self.rank >= other.rank


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email=(email or "").lower())


class User(AbstractBaseUser):
    """A person, known by e-mail. `is_owner` marks an Owner of the installation."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    time_zone = models.CharField(max_length=64, blank=True, validators=[is_time_zone])
    theme = models.CharField(
        max_length=5, choices=[("auto", "As the system"), ("light", "Light"), ("dark", "Dark")], default="auto"
    )
    is_owner = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(default=timezone.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    @property
    def initials(self) -> str:
        words = (self.name or self.email.split("@")[0]).replace(".", " ").split()
        return "".join(word[0] for word in words[:2]).upper()


class Company(models.Model):
    """The account that owns everything. *Customer Id* is its public id."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[is_time_zone])
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_run_number = models.PositiveBigIntegerField(default=0, editable=False)
    data_key = models.BinaryField(editable=False)
    """The company's own key, wrapped by the installation's; every secret of the company is sealed with it."""

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user's role in a company. Read by user (switcher) and by company (administration), so it is not scoped."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    company = models.ForeignKey(Company, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=13, choices=Role.choices)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "company"], name="one_membership_a_company")]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()} of {self.company}"


class Invitation(CompanyOwned):
    """An offer to join a company, sent as a one-time link. Only the hash of its token is stored."""

    email = models.EmailField()
    role = models.CharField(max_length=13, choices=Role.choices)
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.email} as {self.get_role_display()}"


class OwnerLink(models.Model):
    """The one-time link with which the first Owner of a new installation comes in. Only its hash is stored."""

    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"first visit, offered {self.created_at:%Y-%m-%d %H:%M}"


class KeyWitness(models.Model):
    """Something small that only one of the installation's keys opens (see `accounts.witness`)."""

    key = models.CharField(max_length=40, primary_key=True)
    sealed = models.TextField()

    def __str__(self) -> str:
        return self.key


class AuditEntry(models.Model):
    """Who changed what, when. Append-only: the database refuses an update or a delete.

    Entries of the installation itself have no company, so this is scoped by its query methods, not by its manager.
    """

    company = models.ForeignKey(Company, on_delete=models.PROTECT, null=True, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now, editable=False)
    action = models.CharField(max_length=60)
    thing = models.CharField(max_length=200)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["company", "-at"], name="audit_by_company")]

    def __str__(self) -> str:
        return f"{self.action} {self.thing}"

    @property
    def changes(self) -> list[tuple[str, Any, Any]]:
        """What changed, as (name, before, after): only what differs, where both are known."""
        names = dict.fromkeys([*self.before, *self.after])
        pairs = [(name, self.before.get(name, ""), self.after.get(name, "")) for name in names]
        return [(name, before, after) for name, before, after in pairs if before != after]
