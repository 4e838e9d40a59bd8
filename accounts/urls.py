"""Sign-in and administration. allauth's pages are mounted one by one, each with its policy; there is no sign-up."""

from allauth.account import views as allauth
from django.urls import path, re_path

from accounts import views
from accounts.policy import public, signed_in

urlpatterns = [
    path("sign-in/", public(allauth.login), name="account_login"),
    path("sign-out/", signed_in(allauth.logout), name="account_logout"),
    path("password/", signed_in(allauth.password_change), name="account_change_password"),
    path("password/set/", signed_in(allauth.password_set), name="account_set_password"),
    path("password/reset/", public(allauth.password_reset), name="account_reset_password"),
    path("password/reset/sent/", public(allauth.password_reset_done), name="account_reset_password_done"),
    re_path(
        # The key holds a hyphen of its own.
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)/$",
        public(allauth.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        public(allauth.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    path("account/inactive/", public(allauth.account_inactive), name="account_inactive"),
    path("reauthenticate/", signed_in(allauth.reauthenticate), name="account_reauthenticate"),
    path("welcome/<str:token>/", views.welcome, name="welcome"),
    path("no-company/", views.no_company, name="no-company"),
    path("profile/", views.profile, name="profile"),
    path("company/switch/", views.switch_company, name="company-switch"),
    path("companies/", views.companies, name="companies"),
    path("companies/<uuid:public_id>/", views.company, name="company"),
    path("users/", views.users, name="users"),
    path("users/invite/", views.invite, name="invitation-new"),
    path("users/invitations/<int:number>/revoke/", views.revoke_invitation, name="invitation-revoke"),
    path("users/<int:number>/role/", views.change_role, name="user-role"),
    path("users/<int:number>/remove/", views.remove_member, name="user-remove"),
    path("invitation/<str:token>/", views.accept_invitation, name="invitation-accept"),
    path("audit-log/", views.audit_log, name="audit-log"),
]
