"""Bearer tokens for callers: the check that the wire endpoint and the REST API share, and its DRF classes."""

from enum import Enum
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission, DjangoModelPermissions
from rest_framework.request import Request

from portal.access.queries import find_token, note_use
from portal.http.bearer import bearer_secret
from portal.http.client import is_within
from portal.models import ApiToken
from portal.rest.reasons import PermissionMissing, ScopeMissing

if TYPE_CHECKING:  # DRF imports these classes while it makes its APIView
    from rest_framework.views import APIView


class BearerOutcome(Enum):
    """Result of checking a caller's Authorization header."""

    ALLOWED = "allowed"
    UNKNOWN = "no or unknown key"
    MISSING_SCOPE = "permission missing"


def authenticate_bearer(authorization: str | None, scope: str, address: str) -> BearerOutcome:
    """Judge a header outside DRF, for the feed-status endpoint (contract section 11)."""
    secret = bearer_secret(authorization)
    token = find_token(secret) if secret else None
    if token is None or not is_within(address, token.networks):
        return BearerOutcome.UNKNOWN
    note_use(token)
    return BearerOutcome.ALLOWED if scope in token.scopes else BearerOutcome.MISSING_SCOPE


class InvalidToken(AuthenticationFailed):
    """The token is unknown, expired or revoked (RFC 6750, section 3.1)."""

    default_code = "invalid_token"
    default_detail = "This token is unknown, expired or revoked, or may not be used from this address."


def address_of(request: Request) -> str:
    """Return the client's address of a request; empty where it is not known."""
    return str(getattr(request, "client_address", "") or request.META.get("REMOTE_ADDR") or "")


class BearerAuthentication(BaseAuthentication):
    """Takes `Authorization: Bearer <token>`; `request.auth` is the token."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        authorization = request.META.get("HTTP_AUTHORIZATION")
        if not authorization or not authorization.lower().startswith("bearer"):
            return None
        token = ApiToken.objects.presented(authorization, address_of(request))
        if token is None:
            raise InvalidToken
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401; it names an error where a token was sent (RFC 6750, section 3)."""
        sent = bearer_secret(request.META.get("HTTP_AUTHORIZATION"))
        return 'Bearer realm="portal", error="invalid_token"' if sent else 'Bearer realm="portal"'


class HasScope(BasePermission):
    """Holds a token to its scopes; a session has none and is judged by permissions alone.

    A view may name `required_scopes`, any of which suffices; else reading needs `read` and writing `write`.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        token = request.auth
        if not isinstance(token, ApiToken):
            return True
        wanted = getattr(view, "required_scopes", None) or (
            ("read",) if request.method in SAFE_METHODS else ("write",)
        )
        if not any(scope in token.scopes for scope in wanted):
            raise ScopeMissing(wanted[0])
        return True


class ModelPermissions(DjangoModelPermissions):
    """Like DRF's, but reading needs the view permission too (DRF leaves GET open)."""

    perms_map: dict[str, list[str]] = {
        **DjangoModelPermissions.perms_map,
        "GET": ["%(app_label)s.view_%(model_name)s"],
        "HEAD": ["%(app_label)s.view_%(model_name)s"],
        "OPTIONS": ["%(app_label)s.view_%(model_name)s"],
    }

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Name the permission that a signed-in user lacks."""
        if super().has_permission(request, view):
            return True
        if request.user.is_authenticated:
            needed = self.get_required_permissions(str(request.method), self._queryset(view).model)
            demand_permissions(request, *needed)
        return False


def demand_permissions(request: Request, *permissions: str, detail: str = "") -> None:
    """Let a user pass who has all of these permissions.

    Raises:
        PermissionMissing: naming the first that is missing.
    """
    for permission in permissions:
        if not request.user.has_perm(permission):
            raise PermissionMissing(permission, detail)


def token_of(request: Request) -> ApiToken | None:
    """The token that authenticated this request, None for a session."""
    auth: Any = request.auth
    return auth if isinstance(auth, ApiToken) else None
