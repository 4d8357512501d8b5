"""Feeds by name: read, make, replace, change, delete, many at once, and what happened to them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import APIException, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from feeds.api.change_serializers import HistorySerializer, ProposalSerializer
from feeds.api.feed_serializers import FeedSerializer, NewFeedSerializer, VersionConflict, etag_of
from feeds.api.filters import FeedFilters
from feeds.changes.apply import MAX_COMMENT, OfficerNeeded, change_feed, create_feed, defaults
from feeds.changes.approval import Proposed, TooMuch, guarded
from feeds.changes.files_out import csv_cell as transfer_cell
from feeds.changes.permissions import MANAGE_CERTIFICATES, may_delete
from feeds.changes.timeline import feeds_once_called, story_of
from feeds.history import commented
from feeds.models import CertificateRule, Feed
from portal.rest.conditional import last_modified, require_match
from portal.rest.parsing import MergePatchParser
from portal.rest.private import ListMixin, PrivateMixin
from portal.rest.problems import PreconditionFailed, RefusedItems
from portal.rest.queries import StrictFilterBackend, StrictOrdering
from portal.rest.reasons import PermissionMissing
from portal.site import followed_link

#: Each takes some milliseconds, in which SQLite accepts no other write.
MAX_BULK = 500


VERSION_CONFLICT = "version_conflict"
#: Methods whose answers say what a PATCH may have as its body.
PATCHING = ("PATCH", "OPTIONS")


class StaleItems(RefusedItems):
    """A list of changes of feeds of which some have changed since they were read."""

    status_code = 412
    default_code = "precondition_failed"


class NameTaken(APIException):
    """A feed of this name exists already."""

    status_code = 409
    default_code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"A feed called {name} exists already. Change it with PATCH, or replace it with PUT.")


#: In the place of what a write gives, where it waits for a second person.
PROPOSED = OpenApiResponse(
    ProposalSerializer,
    "Only where `PORTAL_SECOND_APPROVAL` is on: this would change what guards a feed. Nothing was changed; the "
    "whole request waits, as this proposal, for another certificate officer.",
)

RULES: Any = Prefetch("certificate_rules", CertificateRule.objects.order_by("pk"))


COMMENT = OpenApiParameter(
    "comment",
    {"type": "string", "minLength": 1, "maxLength": MAX_COMMENT},
    description="Why; kept with the history.",
)


def checked_comment(text: str) -> str:
    """Return the reason for a change.

    Raises:
        ValidationError: there is none, and the operator wants one; or it is too long.
    """
    if len(text) > MAX_COMMENT:
        raise ValidationError({"comment": [f"At most {MAX_COMMENT} characters."]})
    if settings.ENVIRONMENT.change_comment_required and not text.strip():
        raise ValidationError({"comment": ["Say why: this portal keeps a reason with every change."]})
    return text


class ProposingMixin(APIView):
    """Answers 202 with the proposal where a write waits for a second person."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Proposed):
            address = followed_link(self.request, reverse("feeds_api:proposal", args=[exc.proposal.pk]))
            shown = ProposalSerializer(exc.proposal, context={"request": self.request}).data
            return Response(shown, status=202, headers={"Location": address})
        if isinstance(exc, TooMuch):
            exc = ValidationError(str(exc))
        return super().handle_exception(exc)


@extend_schema_view(list=extend_schema(description="Feeds, by name. Each with its certificate rules."))
class FeedViewSet(ProposingMixin, PrivateMixin, ListMixin, GenericViewSet[Feed]):
    """Feeds by name."""

    queryset = Feed.objects.prefetch_related(RULES)
    serializer_class = FeedSerializer
    lookup_field = lookup_url_kwarg = "name"
    filterset_class = FeedFilters
    filter_backends = [StrictFilterBackend, StrictOrdering]
    ordering_fields = ["name", "status", "owner", "certificate_policy", "created", "updated"]
    ordering = ["name"]
    csv_name = "feeds"
    list_actions = frozenset({"list", "history"})
    schema_tags = ["feeds"]
    schema_marks: Sequence[str] = ("etag", "location")
    schema_problems: Mapping[str, tuple[int, ...]] = {
        "create": (409,),
        "update": (409, 412),
        "partial_update": (412,),
        "destroy": (412, 413, 415),
        "bulk": (412,),
    }
    query_of = {"destroy": frozenset({"comment"}), "history": frozenset({"limit", "offset"})}

    def get_parsers(self) -> list[Any]:
        """Read a merge patch of one feed too. It is not described: two types of a body confuse generators."""
        parsers: list[Any] = super().get_parsers()
        described = getattr(self, "swagger_fake_view", False)
        patched = getattr(self, "action_map", {}).get("patch") == "partial_update"
        method = getattr(self, "request", None) and self.request.method
        return [*parsers, MergePatchParser()] if patched and not described and method in PATCHING else parsers

    def get_serializer_class(self) -> Any:
        if self.action == "history":
            return HistorySerializer
        return NewFeedSerializer if self.action in {"create", "bulk"} else FeedSerializer

    @extend_schema(responses=FeedSerializer)
    def retrieve(self, request: Request, name: str) -> Response:
        """Return one feed by its name, with its certificate rules."""
        return self._answer(self._find(self.get_queryset(), name))

    @extend_schema(request=NewFeedSerializer, responses={201: FeedSerializer, 202: PROPOSED})
    def create(self, request: Request) -> Response:
        """Make a feed. What is left out takes its default; guarding it takes a certificate officer."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with guarded(request.user):
            return self._create(serializer.validated_data["name"], serializer)

    @extend_schema(responses={200: FeedSerializer, 201: FeedSerializer, 202: PROPOSED})
    def update(self, request: Request, name: str) -> Response:
        """Make the feed, or replace it. What is left out takes its default; repeating it changes nothing."""
        with guarded(request.user):
            feed = self._locked(name)
            self._check_preconditions(feed)
            if feed is None:
                if not request.user.has_perm("feeds.add_feed"):
                    raise PermissionMissing("feeds.add_feed", "You may not make feeds.")
                serializer = self.get_serializer(data=_named(request.data, name))
                serializer.is_valid(raise_exception=True)
                if serializer.validated_data["name"] != name:
                    raise ValidationError({"name": [f"The address says {name}."]})
                return self._create(name, serializer)
            serializer = self.get_serializer(feed, data=_named(request.data, name))
            serializer.is_valid(raise_exception=True)
            self._change(feed, serializer, whole=True)
        return self._answer(self._find(self.get_queryset(), name))

    @extend_schema(request=FeedSerializer, responses={200: FeedSerializer, 202: PROPOSED})
    def partial_update(self, request: Request, name: str) -> Response:
        """Change some of a feed's values. Certificate rules, where given, replace all there are.

        `application/merge-patch+json` (RFC 7396) is taken too: null there gives a value its default.
        """
        with guarded(request.user):
            feed = self._locked(name)
            self._check_preconditions(feed)
            if feed is None:
                raise Http404(f"There is no feed called {name}.")
            # Not DRF's partial: it would also take half a rule. Nothing but the name is required anyway.
            data = (
                _merge_patch(request.data) if request.content_type == MergePatchParser.media_type else request.data
            )
            serializer = self.get_serializer(feed, data=_named(data, name))
            serializer.is_valid(raise_exception=True)
            self._change(feed, serializer)
        return self._answer(self._find(self.get_queryset(), name))

    @extend_schema(parameters=[COMMENT], responses={204: None, 202: PROPOSED})
    def destroy(self, request: Request, name: str) -> Response:
        """Delete a feed. Its receipts, their files and its history stay."""
        comment = checked_comment(_comment_of_deletion(request))
        with guarded(request.user):
            feed = self._locked(name)
            self._check_preconditions(feed)
            if feed is None:
                raise Http404(f"There is no feed called {name}.")
            if not may_delete(request.user, feed):
                raise deletion_refused(request.user)
            with commented(comment):
                feed.delete()
        return Response(status=204)

    @extend_schema(
        request=NewFeedSerializer(many=True),
        responses={200: FeedSerializer(many=True), 202: PROPOSED},
        filters=False,
    )
    def bulk(self, request: Request) -> Response:
        """Change many feeds in one go. All of them, or on any error none; `errors` gives the index of each."""
        if request.headers.get("If-Match", "*").strip() != "*":
            raise PreconditionFailed("The list has no version to match: send If-Match to each feed's own address.")
        items = self._bulk_items(request.data)
        with guarded(request.user):
            names = [item["name"] for item in items]
            feeds = {feed.name: feed for feed in self.get_queryset().select_for_update().filter(name__in=names)}
            faults: list[dict[str, Any]] = []
            changes: list[Callable[[], None]] = []
            for index, item in enumerate(items):
                feed = feeds.get(item["name"])
                serializer = self.get_serializer(feed, data=item)
                if feed is None:
                    faults.append(no_such_feed(index, item["name"]))
                elif found := _item_faults(index, serializer):
                    faults += found
                else:
                    changes.append(partial(self._change, feed, serializer))
            if faults:
                raise bulk_refusal(faults)
            self._apply(changes, items)
        changed = {feed.name: feed for feed in self.get_queryset().filter(name__in=names)}
        return Response(FeedSerializer([changed[name] for name in names], many=True).data)

    @extend_schema(responses=HistorySerializer(many=True), filters=False)
    def history(self, request: Request, name: str) -> HttpResponseBase:
        """List every change of the feed and its rules, newest first; also of a deleted feed."""
        keys = feeds_once_called(name) if name.isprintable() else []
        if not keys:
            raise Http404(f"There never was a feed called {name}.")
        return self.answer_list(story_of(keys))

    def csv_cell(self, value: Any) -> str:
        """Validate the rows in the same way as the import."""
        return transfer_cell(value)

    def _find(self, feeds: QuerySet[Feed], name: str) -> Feed:
        feed = feeds.filter(name=name).first() if name.isprintable() else None
        if feed is None:
            raise Http404(f"There is no feed called {name}.")
        return feed

    def _locked(self, name: str) -> Feed | None:
        """Lock and return the feed until the transaction ends, so that If-Match holds."""
        return Feed.objects.select_for_update().filter(name=name).first() if name.isprintable() else None

    def _check_preconditions(self, feed: Feed | None) -> None:
        if feed is None:
            if "If-Match" in self.request.headers:
                raise PreconditionFailed("There is no such feed.")
            return
        require_match(self.request, etag_of(feed), feed.updated)
        if self.request.headers.get("If-None-Match", "").strip() == "*":
            raise PreconditionFailed("The feed exists already.")

    def _create(self, name: str, serializer: Any) -> Response:
        comment = checked_comment(serializer.validated_data.get("comment", ""))
        try:
            with transaction.atomic():
                create_feed(name, serializer.change(), user=self.request.user, comment=comment)
        except OfficerNeeded:
            raise _officer_needed() from None
        except IntegrityError:
            raise NameTaken(name) from None
        response = self._answer(self._find(self.get_queryset(), name), status=201)
        response["Location"] = followed_link(self.request, reverse("feeds_api:feed", args=[name]))
        return response

    def _change(self, feed: Feed, serializer: Any, *, whole: bool = False) -> None:
        change = serializer.change().with_defaults() if whole else serializer.change()
        comment = checked_comment(serializer.validated_data.get("comment", ""))
        try:
            change_feed(feed, change, user=self.request.user, comment=comment, keep_comment=not whole)
        except OfficerNeeded:
            raise _officer_needed() from None

    def _answer(self, feed: Feed, status: int = 200) -> Response:
        serializer = FeedSerializer(feed, context=self.get_serializer_context())
        headers = {"ETag": etag_of(feed), "Last-Modified": last_modified(feed.updated)}
        return Response(serializer.data, status=status, headers=headers)

    def _bulk_items(self, data: Any) -> list[dict[str, Any]]:
        if not isinstance(data, list) or not 1 <= len(data) <= MAX_BULK:
            raise ValidationError([f"Send a list of 1 to {MAX_BULK} objects, each with its feed's name."])
        faults = []
        seen: set[str] = set()
        for index, item in enumerate(data):
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name.isprintable():
                faults.append(bulk_fault(index, "name", "Each item is an object with the name of a feed."))
            elif name in seen:
                faults.append(bulk_fault(index, "name", f"{name} is given twice.", "given_twice"))
            else:
                seen.add(name)
        if faults:
            raise RefusedItems(faults)
        return data

    def _apply(self, changes: Sequence[Callable[[], None]], items: list[dict[str, Any]]) -> None:
        for index, change in enumerate(changes):
            try:
                change()
            except ValidationError as fault:
                raise RefusedItems(RefusedItems.of(index, fault.detail)) from None
            except OfficerNeeded:
                raise PermissionMissing(MANAGE_CERTIFICATES, f"{items[index]['name']} (index {index})") from None
            except PermissionDenied as fault:
                place = f"{items[index]['name']} (index {index})"
                if isinstance(fault, PermissionMissing):
                    raise PermissionMissing(fault.lacks["permission"], f"{place}: {fault.detail}") from None
                raise PermissionDenied(f"{place}: {fault.detail}") from None


def bulk_fault(index: int, field: str, detail: str, code: str = "invalid") -> dict[str, Any]:
    return {"index": index, "field": field, "detail": detail, "code": code}


def no_such_feed(index: int, name: str) -> dict[str, Any]:
    return bulk_fault(index, "name", f"There is no feed called {name}.", "not_found")


def _item_faults(index: int, serializer: Any) -> list[dict[str, Any]]:
    """Return what is wrong with one item of a list, a stale version included."""
    try:
        return [] if serializer.is_valid() else RefusedItems.of(index, serializer.errors)
    except VersionConflict as conflict:
        return [bulk_fault(index, conflict.field, str(conflict.detail), VERSION_CONFLICT)]


def bulk_refusal(faults: list[dict[str, Any]]) -> RefusedItems:
    """Return the refusal of a list: 412 where nothing but versions is wrong."""
    stale = all(fault.get("code") == VERSION_CONFLICT for fault in faults)
    return StaleItems(faults) if stale else RefusedItems(faults)


def _merge_patch(patch: Any) -> dict[str, Any]:
    """Return a merge patch as a change: null removes a value, which then has its default.

    Raises:
        ValidationError: it is no object, which would stand in the place of the feed.
    """
    if not isinstance(patch, dict):
        raise ValidationError(["A merge patch of a feed is a JSON object."])
    without: dict[str, Any] = {**defaults(), "certificate_rules": []}
    return {name: without[name] if value is None and name in without else value for name, value in patch.items()}


def _named(data: Any, name: str) -> Any:
    """Take the name from the address if the body has none."""
    return {"name": name, **data} if isinstance(data, dict) else data


def _comment_of_deletion(request: Request) -> str:
    """Read the comment from the query or, as for the other writes, from the body."""
    in_query = str(request.query_params.get("comment", ""))
    if request.META.get("CONTENT_LENGTH") in {None, "", "0"}:
        return in_query
    body = request.data
    fits = isinstance(body, dict) and set(body) <= {"comment"} and isinstance(body.get("comment", ""), str)
    if not fits or (in_query and body):
        raise ValidationError({"comment": ["Give it as ?comment=… or as the only key of the body."]})
    return str(body.get("comment", in_query))


def deletion_refused(user: Any) -> PermissionDenied:
    missing = MANAGE_CERTIFICATES if user.has_perm("feeds.delete_feed") else "feeds.delete_feed"
    return PermissionMissing(missing, "Only a certificate officer may delete a feed that certificates guard.")


def _officer_needed() -> PermissionDenied:
    return PermissionMissing(
        MANAGE_CERTIFICATES, "Only a certificate officer may change a feed's certificate policy and rules."
    )
