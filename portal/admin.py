"""Admin of access: API tokens, users and groups."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.access import sending
from portal.access.roles import ROLES
from portal.admin_base import ReadOnlyAdmin, UtcDateTimeField, chip
from portal.http.client import read_networks
from portal.models import USUAL_SCOPES, ApiToken, AuditRecord

ISSUED_FIELDS = ["name", "scopes", "expires", "rate", "networks"]
_SCOPES = [
    ("read", "read: look at feeds, receipts and refusals"),
    ("write", "write: change feeds"),
    ("check", "check: ask what would happen, as a stroom-proxy does"),
]
_SEND = (sending.SEND, "send: deliver data, as the sender that the token is named after")


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """Form for a new token: scopes as check boxes, expiry with the browser's picker."""

    scopes = forms.MultipleChoiceField(
        choices=_SCOPES,
        widget=forms.CheckboxSelectMultiple,
        initial=list(USUAL_SCOPES),
        help_text="Permissions of the token; never more than those of its user.",
    )
    expires = UtcDateTimeField(label="Expires (UTC)", required=False, help_text="Empty: does not expire.")

    networks = forms.CharField(
        required=False,
        max_length=1000,
        help_text="Networks from which it may be used, with commas, such as 10.1.0.0/16. Empty: from everywhere.",
    )

    class Meta:
        model = ApiToken
        fields = ("user", "name", "scopes", "expires", "rate", "networks")

    def clean_networks(self) -> list[str]:
        words = [word for word in self.cleaned_data["networks"].split(",") if word.strip()]
        try:
            return read_networks(words)
        except ValueError as fault:
            raise forms.ValidationError(f"{fault}.") from None


class SenderTokenForm(TokenForm):
    """Form for those who may issue tokens for sending too."""

    scopes = forms.MultipleChoiceField(
        choices=[*_SCOPES, _SEND],
        widget=forms.CheckboxSelectMultiple,
        initial=list(USUAL_SCOPES),
        help_text=(
            "Permissions of the token; never more than those of its user. With send, the name is the sender's: "
            "rules of feeds call it token:NAME."
        ),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        is_for_sending = sending.SEND in cleaned.get("scopes", ())
        if is_for_sending and not sending.is_sender_name(cleaned.get("name", "")):
            self.add_error("name", sending.BAD_NAME)
        if cleaned.get("rate") is not None and not is_for_sending:
            self.add_error("rate", "Only deliveries are limited so: it needs the scope send.")
        return cleaned


class RotationForm(forms.Form):
    """Time for which a token and its successor are both valid."""

    overlap = forms.IntegerField(
        label="Overlap in hours",
        min_value=0,
        max_value=366 * 24,
        initial=24,
        help_text="The token expires after this time, if not earlier; until then both are valid.",
    )
    expires = UtcDateTimeField(label="Successor expires (UTC)", required=False, help_text="Empty: does not expire.")

    def clean_expires(self) -> datetime | None:
        expires: datetime | None = self.cleaned_data["expires"]
        if expires is not None and expires <= timezone.now():
            raise forms.ValidationError("This time has passed.")
        return expires


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Admin to issue and revoke tokens. The secret is shown once; only its hash is kept."""

    form = TokenForm
    list_display = ["prefix_text", "name", "user", "scope_words", "created", "expires", "last_used", "state"]
    list_filter = ["user"]
    show_facets = admin.ShowFacets.ALWAYS
    list_select_related = ["user"]
    search_fields = ["name", "prefix", "user__username"]
    actions = None
    change_form_template = "admin/portal/apitoken/change_form.html"

    @admin.display(description="token", ordering="prefix")
    def prefix_text(self, token: ApiToken) -> SafeString:
        return format_html('<span class="mono">{}…</span>', token.prefix)

    @admin.display(description="scopes")
    def scope_words(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="networks")
    def network_words(self, token: ApiToken) -> str:
        return ", ".join(token.networks) or "everywhere"

    @admin.display(description="state")
    def state(self, token: ApiToken) -> SafeString:
        if not token.user.is_active:
            return chip("reject", "user inactive")
        if token.expired:
            return chip("drop", "expired")
        return chip("receive", "in force")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """Return the user's own tokens, and all tokens for user administrators (S15)."""
        tokens = super().get_queryset(request)
        return tokens if _administers_users(request) else tokens.filter(user_id=request.user.pk)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        if obj is not None:
            return [
                "prefix",
                "user",
                "name",
                "scope_words",
                "created",
                "expires",
                "last_used",
                "rate",
                "network_words",
            ]
        return ["user", *ISSUED_FIELDS] if _administers_users(request) else ISSUED_FIELDS

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_fields(request, obj) if obj is not None else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer superusers to superusers only: their token gives its issuer all their permissions (S30)."""
        if db_field.name == "user" and not _is_superuser(request):
            kwargs["queryset"] = User.objects.filter(is_superuser=False)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: a token is issued and revoked, never edited."""
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  # Django's
        """Offer the scope send to those alone who may issue tokens for sending."""
        kwargs["form"] = SenderTokenForm if sending.may_issue(request.user) else TokenForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rotate_view)
        return [path("<int:token_id>/rotate/", view, name="portal_apitoken_rotate"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        token = self.get_object(request, object_id)
        offered = token is not None and self._may_rotate(request, token)
        context = {"rotation": RotationForm() if offered else None, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def rotate_view(self, request: HttpRequest, token_id: int) -> HttpResponse:
        """Issue the successor of a token for sending; both are valid for a while."""
        token = self.get_object(request, str(token_id))
        if request.method != "POST" or token is None or not self._may_rotate(request, token):
            raise PermissionDenied
        form = RotationForm(request.POST)
        if not form.is_valid():
            for faults in form.errors.values():
                messages.error(request, f"The token was not rotated: {' '.join(map(str, faults))}")
            return HttpResponseRedirect(reverse("admin:portal_apitoken_change", args=[token_id]))
        overlap = timedelta(hours=form.cleaned_data["overlap"])
        successor, secret = sending.replace(token, overlap=overlap, expires=form.cleaned_data["expires"])
        _show(request, secret)
        return HttpResponseRedirect(reverse("admin:portal_apitoken_change", args=[successor.pk]))

    def _may_rotate(self, request: HttpRequest, token: ApiToken) -> bool:
        is_for_sending = sending.SEND in token.scopes
        return is_for_sending and self.has_add_permission(request) and sending.may_issue(request.user)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]  # noqa: FBT001
        owner = obj.user if _administers_users(request) else request.user
        issued, secret = ApiToken.objects.issue(
            owner,  # type: ignore[arg-type]  # the view is for signed-in users only
            name=obj.name,
            scopes=list(obj.scopes),
            expires=obj.expires,
            rate=obj.rate,
            networks=obj.networks,
        )
        obj.__dict__.update(issued.__dict__)
        _show(request, secret)


def _show(request: HttpRequest, secret: str) -> None:
    messages.warning(
        request,
        format_html("Copy the token now. It is shown only once: <code class='secret'>{}</code>", secret),
    )


def _administers_users(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("auth.change_user"))


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PortalUserAdmin(UserAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Admin of users. Only a superuser creates or edits superusers and grants single permissions (S30)."""

    show_facets = admin.ShowFacets.ALWAYS
    list_display = ("username", "email", "role_names", "is_active", "signs_in", "is_superuser", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    actions = None
    filter_horizontal = ()
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        ("Roles", {"fields": ("groups",), "description": "Each role lets its users sign in to this admin."}),
    )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Show roles as check boxes: there are few."""
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.widget = forms.CheckboxSelectMultiple()
            field.widget.choices = field.choices
            field.help_text = "The user's permissions are the sum of these. Each role lets its users sign in here."
        return field

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and db_field.name == "is_staff":
            field.help_text = "Lets a user without a role sign in here, for example a member of your own groups."
        return field

    @admin.display(description="may sign in", boolean=True)
    def signs_in(self, user: User) -> bool:
        return user.is_active and (user.is_staff or any(group.name in ROLES for group in user.groups.all()))

    @admin.display(description="roles")
    def role_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fixed = (*super().get_readonly_fields(request, obj), "last_login", "date_joined")
        if _is_superuser(request):
            return fixed
        own = ("groups", "is_staff", "is_active") if obj is not None and obj.pk == request.user.pk else ()
        return (*fixed, "is_superuser", "user_permissions", *own)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


@admin.register(Group)
class PortalGroupAdmin(GroupAdmin):
    """Admin of roles. Only superusers change the permissions of a role; other administrators assign roles (S30)."""

    actions = None
    filter_horizontal = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_superuser(request)


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnlyAdmin):
    """Read-only admin of the audit record; not even a superuser can edit it."""

    list_display = ["number", "moment", "actor", "action", "kind", "name", "comment", "remote_address"]
    list_filter = ["kind", "action"]
    search_fields = ["name__icontains", "actor__exact", "request_id__exact", "comment__icontains"]
    search_help_text = "Part of a name or comment, an exact user name, or an exact request id."
    readonly_fields = ["before", "after"]
    exclude = ["old", "new"]

    @admin.display(description="time (UTC)", ordering="number")
    def moment(self, entry: AuditRecord) -> str:
        """Return the time to the second, which fits a line; the entry has the full time."""
        return entry.at[:19].replace("T", " ")

    @admin.display(description="before")
    def before(self, entry: AuditRecord) -> SafeString:
        return format_html('<pre class="stored" tabindex="0">{}</pre>', entry.old)

    @admin.display(description="after")
    def after(self, entry: AuditRecord) -> SafeString:
        return format_html('<pre class="stored" tabindex="0">{}</pre>', entry.new)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


def _may_touch(request: HttpRequest, user: Any) -> bool:
    return user is None or not user.is_superuser or _is_superuser(request)
