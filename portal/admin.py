"""Admin of access: API tokens, users and groups."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.access.roles import ROLES
from portal.admin_base import ReadOnlyAdmin, UtcDateTimeField, chip
from portal.models import SCOPES, ApiToken, AuditRecord

ISSUED_FIELDS = ["name", "scopes", "expires"]


class TokenForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    """Form for a new token: scopes as check boxes, expiry with the browser's picker."""

    scopes = forms.MultipleChoiceField(
        choices=[
            ("read", "read: look at feeds, receipts and refusals"),
            ("write", "write: change feeds"),
            ("check", "check: ask what would happen, as a stroom-proxy does"),
        ],
        widget=forms.CheckboxSelectMultiple,
        initial=list(SCOPES),
        help_text="Permissions of the token; never more than those of its user.",
    )
    expires = UtcDateTimeField(label="Expires (UTC)", required=False, help_text="Empty: does not expire.")

    class Meta:
        model = ApiToken
        fields = ("user", "name", "scopes", "expires")


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

    @admin.display(description="token", ordering="prefix")
    def prefix_text(self, token: ApiToken) -> SafeString:
        return format_html('<span class="mono">{}…</span>', token.prefix)

    @admin.display(description="scopes")
    def scope_words(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

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
            return ["prefix", "user", "name", "scope_words", "created", "expires", "last_used"]
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

    def save_model(self, request: HttpRequest, obj: ApiToken, form: forms.ModelForm, change: bool) -> None:  # type: ignore[type-arg]  # noqa: FBT001
        owner = obj.user if _administers_users(request) else request.user
        issued, secret = ApiToken.objects.issue(
            owner,  # type: ignore[arg-type]  # the view is for signed-in users only
            name=obj.name,
            scopes=list(obj.scopes),
            expires=obj.expires,
        )
        obj.__dict__.update(issued.__dict__)
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
