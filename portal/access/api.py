"""API of tokens: issue one for a user name and password, list and revoke the user's own."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.urls import path
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotAuthenticated, ValidationError
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from portal.access import sending
from portal.access.tokens import BearerAuthentication, HasScope, token_of
from portal.http.client import is_part, read_networks
from portal.models import SCOPES, USUAL_SCOPES, ApiToken
from portal.rest.fields import Instant, Shape, StrictKeysMixin, Text
from portal.rest.private import ListMixin, PrivateMixin
from portal.rest.queries import ChosenFieldsMixin, StrictFilterBackend, StrictOrdering

app_name = "auth_api"

#: Most deliveries a minute that a limit of a token can say, and longest overlap in seconds.
MOST_RATE, MOST_OVERLAP = 1_000_000, 366 * 24 * 3600
MOST_NETWORKS = 20


class NetworksField(serializers.ListField):
    """Networks from which a token may be used."""

    child = Text(max_length=50)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MOST_NETWORKS, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        try:
            return read_networks(super().to_internal_value(data))
        except ValueError as fault:
            raise serializers.ValidationError(str(fault)) from None


class TokenRequestSerializer(StrictKeysMixin):
    """Request for a new token."""

    username = Text(max_length=150, help_text="Name of the user who will own the token.")
    password = Text(max_length=4096, trim_whitespace=False, help_text="Password of the user.")
    name = Text(max_length=100, allow_blank=True, default="", help_text="What will use the token.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES),
        allow_empty=False,
        max_length=len(SCOPES),
        default=list(USUAL_SCOPES),
        help_text="`read`, `write` and `check` when left out. `send` takes a certificate officer, and a name.",
    )
    expires = Instant(
        allow_null=True, default=None, help_text="From this instant on it is worth nothing; null: never."
    )
    rate = serializers.IntegerField(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=MOST_RATE,
        help_text="With `send`: deliveries that all tokens of this name may send in a minute; null: no limit.",
    )
    networks = NetworksField(
        default=list, help_text="Networks from which it may be used, such as `10.1.0.0/16`; empty: everywhere."
    )

    def validate_expires(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This time has passed.")
        return value

    def validate_scopes(self, value: list[str]) -> list[str]:
        return [scope for scope in SCOPES if scope in value]

    def validate(self, attrs: Any) -> Any:
        if sending.SEND in attrs["scopes"] and not sending.is_sender_name(attrs["name"]):
            raise serializers.ValidationError({"name": [sending.BAD_NAME]})
        if sending.SEND not in attrs["scopes"] and attrs["rate"] is not None:
            raise serializers.ValidationError(
                {"rate": ["Only deliveries are limited so: it needs the scope send."]}
            )
        return attrs


class OwnTokenRequestSerializer(StrictKeysMixin):
    """Request of a token for another one of the same user: at most its own scopes, at most its own expiry."""

    name = Text(
        max_length=100,
        allow_blank=True,
        required=False,
        help_text="What will use the token. With `send` it is that of this token, also when left out.",
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES),
        allow_empty=False,
        max_length=len(SCOPES),
        required=False,
        help_text="Those of this token when left out; at most those.",
    )
    expires = Instant(
        allow_null=True,
        required=False,
        help_text="At the latest when this token expires, and then when left out; null: does not expire.",
    )
    overlap = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_OVERLAP,
        help_text="Let this token expire in so many seconds, if not earlier; left out: it stays as it is.",
    )
    networks = NetworksField(
        required=False, help_text="Those of this token when left out; if it has any, only parts of them."
    )

    validate_expires = TokenRequestSerializer.validate_expires
    validate_scopes = TokenRequestSerializer.validate_scopes

    def validate(self, attrs: Any) -> Any:
        """Fill in what was left out, and refuse more than the token has."""
        own: ApiToken = self.context["token"]
        wanted = {"scopes": own.scopes, "expires": own.expires, "networks": own.networks, **attrs}
        beyond = [network for network in wanted["networks"] if not is_part(network, own.networks)]
        if beyond or (own.networks and not wanted["networks"]):
            text = f"This token may be used from {', '.join(own.networks)} alone."
            raise serializers.ValidationError({"networks": [text]})
        wanted.setdefault("name", own.name if sending.SEND in wanted["scopes"] else "")
        if excess := [scope for scope in wanted["scopes"] if scope not in own.scopes]:
            raise serializers.ValidationError({"scopes": [f"This token does not have {', '.join(excess)}."]})
        if own.expires is not None and (wanted["expires"] is None or wanted["expires"] > own.expires):
            raise serializers.ValidationError({"expires": [f"This token expires at {own.expires.isoformat()}."]})
        is_for_sending = sending.SEND in wanted["scopes"]
        if is_for_sending and wanted["name"] != own.name:
            text = f"A token for sending keeps its name, {own.name}: rules and receipts name the sender by it."
            raise serializers.ValidationError({"name": [text]})
        return {**wanted, "rate": own.rate if is_for_sending else None}


class NewTokenSerializer(Shape):
    """A new token. `token` is shown here and never again."""

    token = serializers.CharField(help_text="The secret, shown in this answer and never again.")
    id = serializers.IntegerField(help_text="Number in URLs.")
    name = serializers.CharField(help_text="Program that uses the token.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=SCOPES), help_text="Scopes of the token.")
    expires = serializers.DateTimeField(allow_null=True, help_text="Time of expiry; null: does not expire.")
    rate = serializers.IntegerField(allow_null=True, help_text="Deliveries a minute; null: no limit.")
    networks = serializers.ListField(
        child=serializers.CharField(), help_text="Networks from which it may be used; empty: everywhere."
    )


class TokenSerializer(ChosenFieldsMixin, serializers.ModelSerializer[ApiToken]):
    """A token of the user, without its secret."""

    scopes = serializers.ListField(child=serializers.ChoiceField(choices=SCOPES), help_text="Scopes of the token.")
    networks = serializers.ListField(
        child=serializers.CharField(), help_text="Networks from which it may be used; empty: everywhere."
    )
    current = serializers.SerializerMethodField(help_text="Whether this request was made with it.")

    class Meta:
        model = ApiToken
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "created",
            "expires",
            "last_used",
            "rate",
            "networks",
            "current",
        ]
        extra_kwargs = {
            "id": {"help_text": "Number in URLs."},
            "created": {"help_text": "Time of issue."},
            "last_used": {"help_text": "Time of the last use, to the minute; null: never."},
            "rate": {"help_text": "Deliveries that tokens of this name may send in a minute; null: no limit."},
        }

    @extend_schema_field(bool)
    def get_current(self, token: ApiToken) -> bool:
        used = token_of(self.context["request"]) if "request" in self.context else None
        return used is not None and used.pk == token.pk


class TokenCreateViewSet(PrivateMixin, GenericViewSet[ApiToken]):
    """Sign-in that issues a token."""

    queryset = ApiToken.objects.none()
    serializer_class = TokenRequestSerializer
    authentication_classes: Sequence[Any] = ()
    permission_classes: Sequence[Any] = (AllowAny,)
    filter_backends: Sequence[Any] = ()
    pagination_class = None
    schema_tags = ["tokens"]

    schema_limited = True
    schema_problems: Mapping[str, tuple[int, ...]] = {"create": (401, 403)}

    def get_authenticate_header(self, request: Request) -> str:
        return BearerAuthentication().authenticate_header(request)

    @extend_schema(request=TokenRequestSerializer, responses={201: NewTokenSerializer}, auth=[])
    def create(self, request: Request) -> Response:
        """Get a token for a user name and password. The secret is shown in this answer and never again."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        user = authenticate(request._request, username=asked["username"], password=asked["password"])
        if not isinstance(user, User):
            raise NotAuthenticated("The user name or the password is wrong.")
        if sending.SEND in asked["scopes"]:
            sending.demand_issuer(user)
        return _issued(user, asked)


def _issued(user: User, asked: Mapping[str, Any]) -> Response:
    """Issue a token and show its secret once."""
    token, secret = ApiToken.objects.issue(
        user,
        name=asked["name"],
        scopes=asked["scopes"],
        expires=asked["expires"],
        rate=asked["rate"],
        networks=asked["networks"],
    )
    answer = {
        "token": secret,
        "id": token.pk,
        "name": token.name,
        "scopes": token.scopes,
        "expires": token.expires,
        "rate": token.rate,
        "networks": token.networks,
    }
    return Response(NewTokenSerializer(answer).data, status=201, headers={"Cache-Control": "no-store"})


@extend_schema_view(list=extend_schema(description="Your tokens, newest first, without their secrets."))
class TokenViewSet(PrivateMixin, ListMixin, GenericViewSet[ApiToken]):
    """Tokens of the user. Tokens of other users do not exist here, even for administrators."""

    queryset = ApiToken.objects.all()
    serializer_class = TokenSerializer
    permission_classes = [HasScope, IsAuthenticated]
    filter_backends = [StrictFilterBackend, StrictOrdering]
    ordering_fields = ["created", "name", "expires", "last_used"]
    ordering = ["-created"]
    csv_name = "tokens"
    schema_tags = ["tokens"]
    query_of = {"revoke_all": frozenset({"all"})}
    schema_problems: Mapping[str, tuple[int, ...]] = {"rotate": (403,), "current": (404,)}

    def get_permissions(self) -> Any:
        """A token may know, replace and revoke itself whatever its scopes are."""
        if self.action in {"rotate", "current", "revoke_current"}:
            return [IsAuthenticated()]
        return super().get_permissions()

    def get_serializer_class(self) -> Any:
        return OwnTokenRequestSerializer if self.action == "rotate" else TokenSerializer

    @extend_schema(
        operation_id="tokens_create",
        request=OwnTokenRequestSerializer,
        responses={201: NewTokenSerializer},
        filters=False,
    )
    def rotate(self, request: Request) -> Response:
        """Get another token with a token: at most its scopes and expiry. Its secret is shown once. With `overlap`
        it replaces the token of the request, which goes on for so many seconds.
        """
        token = self._current()
        serializer = OwnTokenRequestSerializer(data=request.data, context={"token": token})
        serializer.is_valid(raise_exception=True)
        asked = serializer.validated_data
        with transaction.atomic():
            answer = _issued(token.user, asked)
            if "overlap" in asked:
                sending.end_after(token, timedelta(seconds=asked["overlap"]))
        return answer

    @extend_schema(operation_id="tokens_current_retrieve", responses=TokenSerializer)
    def current(self, request: Request) -> Response:
        """Return the token that this request was made with."""
        return Response(self.get_serializer(self._current()).data)

    @extend_schema(operation_id="tokens_current_revoke", responses={204: None})
    def revoke_current(self, request: Request) -> Response:
        """Revoke the token that this request was made with, at once."""
        self._current().delete()
        return Response(status=204)

    def _current(self) -> ApiToken:
        token = token_of(self.request)
        if token is None:
            raise Http404("This request was made with a session, not with a token.")
        return token

    def get_queryset(self) -> QuerySet[ApiToken]:
        return super().get_queryset().filter(user_id=self.request.user.pk)

    def retrieve(self, request: Request, token_id: int) -> Response:
        """One of your tokens."""
        return Response(self.get_serializer(self._find(token_id)).data)

    def revoke(self, request: Request, token_id: int) -> Response:
        """Revoke one of your tokens, at once."""
        self._find(token_id).delete()
        return Response(status=204)

    @extend_schema(parameters=[OpenApiParameter("all", str, enum=["true"], required=True)], filters=False)
    def revoke_all(self, request: Request) -> Response:
        """Revoke all your tokens. Wants `all=true`: an id forgotten in a script must not revoke everything."""
        if request.query_params.get("all") != "true":
            raise ValidationError("DELETE one token by its id, or say ?all=true to revoke all your tokens.")
        self.get_queryset().delete()
        return Response(status=204)

    def _find(self, token_id: int) -> ApiToken:
        token = self.get_queryset().filter(pk=token_id).first() if token_id < 2**63 else None
        if token is None:
            raise Http404(f"You have no token {token_id}.")
        return token


urlpatterns = [
    path("auth/token/", TokenCreateViewSet.as_view({"post": "create"}), name="token-create"),
    path("tokens/", TokenViewSet.as_view({"get": "list", "post": "rotate", "delete": "revoke_all"}), name="tokens"),
    path(
        "tokens/current/",
        TokenViewSet.as_view({"get": "current", "delete": "revoke_current"}),
        name="token-current",
    ),
    path("tokens/<int:token_id>/", TokenViewSet.as_view({"get": "retrieve", "delete": "revoke"}), name="token"),
]
