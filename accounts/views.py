"""Pages about people and companies: first visit, profile, users, invitations, companies, the audit log."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import first_visit, invitations
from accounts.audit import record
from accounts.audit_words import action_in_words, actions_called, changes_in_words
from accounts.forms import CompanyForm, InvitationForm, PersonForm, ProfileForm, RoleForm
from accounts.http import Request
from accounts.keys import new_data_key
from accounts.middleware import ACTIVE_COMPANY
from accounts.models import AuditEntry, Company, Invitation, Membership, Role, User
from accounts.policy import owner_only, public, requires, signed_in

BACKEND = settings.AUTHENTICATION_BACKENDS[0]
ENTRIES_A_PAGE = 50
NEW_LINK = "new-invitation-link"


@require_http_methods(["GET", "POST"])
@public
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """Make the first Owner with the one-time link that was printed at start."""
    if not first_visit.is_valid(token):
        return render(request, "account/link_over.html", status=404)
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        owner = first_visit.redeem(token, **form.cleaned_data)
        if owner is None:
            return render(request, "account/link_over.html", status=404)
        login(request, owner, backend=BACKEND)
        return redirect("/")
    return render(request, "account/welcome.html", {"form": form}, status=422 if form.errors else 200)


@require_GET
@signed_in
def no_company(request: Request) -> HttpResponse:
    """Say why there is nothing to see for a user without a company."""
    if request.membership is not None:
        return redirect("/")
    return render(request, "accounts/no_company.html")


@require_http_methods(["GET", "POST"])
@signed_in
def profile(request: Request) -> HttpResponse:
    """Change one's own name, time zone and theme."""
    before = {name: getattr(request.user, name) for name in ProfileForm.Meta.fields}
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            record("user.changed", request.user.email, before=before, after=form.cleaned_data, request=request)
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    return render(request, "accounts/profile.html", {"form": form}, status=422 if form.errors else 200)


# ---- companies -------------------------------------------------------------------------------------------------------


@require_POST
@signed_in
def switch_company(request: Request) -> HttpResponse:
    """Make another of the user's companies the active one, and go on at `next`, an address of this site."""
    wanted = request.POST.get("company", "")
    membership = next((m for m in request.memberships if str(m.company.public_id) == wanted), None)
    if membership is None:
        raise Http404
    request.session[ACTIVE_COMPANY] = membership.company_id
    messages.success(request, f"You are in {membership.company.name} now.")
    there = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(there, allowed_hosts=None, require_https=request.is_secure())
    return redirect(there if there and ours else "/")


@require_http_methods(["GET", "POST"])
@owner_only
def companies(request: Request) -> HttpResponse:
    """List the companies of the installation and make new ones; whoever makes one is its Administrator."""
    form = CompanyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            company = form.save(commit=False)
            company.data_key = new_data_key()
            company.save()
            Membership.objects.create(user=request.user, company=company, role=Role.ADMINISTRATOR)
            record("company.created", company.name, after=form.cleaned_data, request=request, company=company)
        request.session[ACTIVE_COMPANY] = company.pk
        messages.success(request, f"{company.name} exists now. You are its Administrator, and you are in it now.")
        return redirect("companies")
    context = {"form": form, "companies": Company.objects.order_by("name")}
    return render(request, "accounts/companies.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@owner_only
def company(request: Request, public_id: UUID) -> HttpResponse:
    """Rename a company or move it to another time zone."""
    found = get_object_or_404(Company, public_id=public_id)
    before = {"name": found.name, "time_zone": found.time_zone}
    form = CompanyForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            record(
                "company.changed", found.name, before=before, after=form.cleaned_data, request=request, company=found
            )
        messages.success(request, f"{found.name} is saved.")
        return redirect("companies")
    return render(request, "accounts/company.html", {"form": form, "found": found}, status=422 if form.errors else 200)


# ---- users -----------------------------------------------------------------------------------------------------------


@require_GET
@requires(Role.ADMINISTRATOR)
def users(request: Request) -> HttpResponse:
    """List the members of the company and the invitations that are open; the link of one made just now is shown once."""
    made_here, link, mailed = request.session.pop(NEW_LINK, (None, "", False))
    shown = {"link": link, "mailed": mailed} if made_here == request.company.pk else {}
    return _users(request, InvitationForm(), **shown)


def _users(request: Request, form: InvitationForm, *, status: int = 200, **more: Any) -> HttpResponse:
    members = Membership.objects.filter(company=request.company).select_related("user").order_by("user__email")
    open_ones = Invitation.objects.filter(accepted_at=None, revoked_at=None).select_related("invited_by")
    context = {"members": members, "invitations": open_ones, "form": form, "roles": Role.choices, **more}
    return render(request, "accounts/users.html", context, status=status)


@require_POST
@requires(Role.ADMINISTRATOR)
def invite(request: Request) -> HttpResponse:
    """Invite someone. The link is shown once, for handing over where mail does not arrive."""
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _users(request, form, status=422)
    given = form.cleaned_data
    if Membership.objects.filter(company=request.company, user__email=given["email"]).exists():
        form.add_error("email", "This person is a member already. Change the role in the list instead.")
        return _users(request, form, status=422)
    with transaction.atomic():
        made, link = invitations.invite(request.company, email=given["email"], role=given["role"], by=request.user)
        record("invitation.made", given["email"], after={"role": given["role"]}, request=request)
    # Kept for the next page alone: loaded anew, it must not invite again.
    request.session[NEW_LINK] = request.company.pk, link, invitations.mail(made, link)
    return redirect("users")


@require_POST
@requires(Role.ADMINISTRATOR)
def revoke_invitation(request: Request, number: int) -> HttpResponse:
    """End an open invitation: its link opens no more."""
    invitation = get_object_or_404(Invitation, pk=number, accepted_at=None, revoked_at=None)
    with transaction.atomic():
        # Accepted meanwhile, there is nothing to revoke.
        if not Invitation.objects.filter(pk=number, accepted_at=None).update(revoked_at=timezone.now()):
            raise Http404
        record("invitation.revoked", invitation.email, before={"role": invitation.role}, request=request)
    messages.success(request, f"The invitation of {invitation.email} is revoked.")
    return redirect("users")


@require_POST
@requires(Role.ADMINISTRATOR)
def change_role(request: Request, number: int) -> HttpResponse:
    """Give a member another role."""
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise Http404
    role = form.cleaned_data["role"]
    with transaction.atomic():
        membership = _locked_membership(request, number)
        if role != Role.ADMINISTRATOR and _is_last_administrator(membership):
            return _refused_as_last(request, membership)
        before = {"role": membership.role}
        Membership.objects.filter(pk=membership.pk).update(role=role)
        record("user.role_changed", membership.user.email, before=before, after={"role": role}, request=request)
    messages.success(request, f"{membership.user} is {Role(role).label} now.")
    return redirect("users")


@require_POST
@requires(Role.ADMINISTRATOR)
def remove_member(request: Request, number: int) -> HttpResponse:
    """End a membership. The person's runs and changes keep their name."""
    with transaction.atomic():
        membership = _locked_membership(request, number)
        if _is_last_administrator(membership):
            return _refused_as_last(request, membership)
        record("user.removed", membership.user.email, before={"role": membership.role}, request=request)
        membership.delete()
    messages.success(request, f"{membership.user} is no member of {request.company.name} any more.")
    return redirect("users")


def _locked_membership(request: Request, number: int) -> Membership:
    """The membership, with all of the company locked: two Administrators cannot remove each other at once."""
    list(Membership.objects.select_for_update().filter(company=request.company).order_by("pk"))
    return get_object_or_404(Membership.objects.select_related("user"), pk=number, company=request.company)


def _is_last_administrator(membership: Membership) -> bool:
    if membership.role != Role.ADMINISTRATOR:
        return False
    others = Membership.objects.filter(company=membership.company_id, role=Role.ADMINISTRATOR).exclude(pk=membership.pk)
    return not others.exists()


def _refused_as_last(request: Request, membership: Membership) -> HttpResponse:
    messages.error(request, f"{membership.user} is the last Administrator. Make somebody else Administrator first.")
    return redirect("users")


@require_http_methods(["GET", "POST"])
@public
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join a company: as a new person, or as the one who is signed in under the invited e-mail."""
    invitation = invitations.found(token)
    if invitation is None:
        return render(request, "account/link_over.html", status=404)
    known = User.objects.filter(email=invitation.email).first()
    if known is not None:
        return _join(request, invitation, known)
    form = PersonForm(request.POST or None, email=invitation.email)
    if request.method == "POST" and form.is_valid():
        given: dict[str, Any] = form.cleaned_data | {"email": invitation.email}
        return _joined(request, invitation, lambda: User.objects.create_user(**given))
    context = {"form": form, "invitation": invitation}
    return render(request, "account/accept.html", context, status=422 if form.errors else 200)


def _join(request: HttpRequest, invitation: Invitation, known: User) -> HttpResponse:
    if request.user != known:
        return render(request, "account/accept_known.html", {"invitation": invitation, "path": request.path})
    if request.method == "POST":
        return _joined(request, invitation, lambda: known)
    return render(request, "account/accept.html", {"form": None, "invitation": invitation})


def _joined(request: HttpRequest, invitation: Invitation, person: Callable[[], User]) -> HttpResponse:
    with transaction.atomic():
        user = invitations.accept(invitation, person)
        if user is None:
            return render(request, "account/link_over.html", status=404)
        record(
            "invitation.accepted",
            invitation.email,
            after={"role": invitation.role},
            request=request,
            user=user,
            company=invitation.company,
        )
    if request.user != user:
        login(request, user, backend=BACKEND)
    request.session[ACTIVE_COMPANY] = invitation.company_id
    return redirect("/")


# ---- audit log -------------------------------------------------------------------------------------------------------


@require_GET
@requires(Role.ADMINISTRATOR)
def audit_log(request: Request) -> HttpResponse:
    """Show who changed what in this company, the newest first."""
    entries = AuditEntry.objects.filter(company=request.company).select_related("user").order_by("-pk")
    wanted = {name: request.GET.get(name, "").strip() for name in ("action", "person", "thing")}
    if wanted["action"]:
        called = Q(action__in=actions_called(wanted["action"])) | Q(action__startswith=wanted["action"])
        entries = entries.filter(called)
    if wanted["person"]:
        entries = entries.filter(user__email__icontains=wanted["person"])
    if wanted["thing"]:
        entries = entries.filter(thing__icontains=wanted["thing"])
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 18:
        entries = entries.filter(pk__lt=int(before))
    listed = list(entries[: ENTRIES_A_PAGE + 1])
    older = listed[ENTRIES_A_PAGE - 1].pk if len(listed) > ENTRIES_A_PAGE else None
    told = [(entry, action_in_words(entry.action), changes_in_words(entry)) for entry in listed[:ENTRIES_A_PAGE]]
    context = {"entries": told, "wanted": wanted, "older": older, "newest": not before}
    return render(request, "accounts/audit_log.html", context)
