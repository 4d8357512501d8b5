"""Many feeds at once: made or deleted, all of them or, on any error, none."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from feeds.api.feed_serializers import FeedSerializer, NewFeedSerializer, etag_of
from feeds.api.feeds import (
    PROPOSED,
    VERSION_CONFLICT,
    FeedViewSet,
    bulk_fault,
    bulk_refusal,
    checked_comment,
    deletion_refused,
    no_such_feed,
)
from feeds.changes.apply import MAX_COMMENT, create_feed
from feeds.changes.approval import guarded
from feeds.changes.permissions import may_delete
from feeds.history import commented
from feeds.models import FEED_NAME_LENGTH, Feed
from portal.rest.fields import StrictKeysMixin, Text
from portal.rest.problems import RefusedItems


class DeletionSerializer(StrictKeysMixin):
    """A feed to delete, and, where it must not have changed, its version or ETag."""

    name = Text(max_length=FEED_NAME_LENGTH, help_text="Name of the feed.")
    version = serializers.IntegerField(required=False, min_value=1, help_text="412 if it is not the current one.")
    etag = Text(required=False, max_length=100, help_text="412 if it is not the current one.")
    comment = Text(
        required=False, allow_blank=True, max_length=MAX_COMMENT, help_text="Reason; kept with the history."
    )


class BulkViewSet(FeedViewSet):
    """Many feeds at once."""

    schema_marks: Sequence[str] = ()
    schema_problems = {"create_many": (409, 412), "destroy_many": (412,)}

    def get_serializer_class(self) -> Any:
        return DeletionSerializer if self.action == "destroy_many" else NewFeedSerializer

    @extend_schema(
        operation_id="feeds_bulk_create",
        request=NewFeedSerializer(many=True),
        responses={201: FeedSerializer(many=True), 202: PROPOSED},
        filters=False,
    )
    def create_many(self, request: Request) -> Response:
        """Make many feeds in one go. All of them, or on any error none; `errors` gives the index of each."""
        items = self._bulk_items(request.data)
        with guarded(request.user):
            names = [item["name"] for item in items]
            taken = set(Feed.objects.filter(name__in=names).values_list("name", flat=True))
            faults: list[dict[str, Any]] = []
            changes = []
            for index, item in enumerate(items):
                serializer = self.get_serializer(data=item)
                if item["name"] in taken:
                    faults.append(bulk_fault(index, "name", f"{item['name']} exists already.", "name_taken"))
                elif not serializer.is_valid():
                    faults += RefusedItems.of(index, serializer.errors)
                else:
                    changes.append(partial(self._create_one, serializer))
            if faults:
                raise bulk_refusal(faults)
            self._apply(changes, items)
        made = {feed.name: feed for feed in self.get_queryset().filter(name__in=names)}
        return Response(FeedSerializer([made[name] for name in names], many=True).data, status=201)

    @extend_schema(
        operation_id="feeds_bulk_delete",
        request=DeletionSerializer(many=True),
        responses={204: None, 202: PROPOSED},
        filters=False,
    )
    def destroy_many(self, request: Request) -> Response:
        """Delete many feeds in one go, all or none. Their receipts, files and history stay."""
        items = self._bulk_items(request.data)
        with guarded(request.user):
            names = [item["name"] for item in items]
            feeds = {feed.name: feed for feed in self.get_queryset().select_for_update().filter(name__in=names)}
            faults: list[dict[str, Any]] = []
            changes = []
            for index, item in enumerate(items):
                serializer = self.get_serializer(data=item)
                feed = feeds.get(item["name"])
                if not serializer.is_valid():
                    faults += RefusedItems.of(index, serializer.errors)
                elif feed is None:
                    faults.append(no_such_feed(index, item["name"]))
                elif stale := _stale(item, feed):
                    faults.append(bulk_fault(index, stale, "It is not the current one.", VERSION_CONFLICT))
                else:
                    changes.append(partial(self._delete_one, feed, serializer.validated_data.get("comment", "")))
            if faults:
                raise bulk_refusal(faults)
            self._apply(changes, items)
        return Response(status=204)

    def _create_one(self, serializer: Any) -> None:
        values = serializer.validated_data
        comment = checked_comment(values.get("comment", ""))
        try:
            with transaction.atomic():
                create_feed(values["name"], serializer.change(), user=self.request.user, comment=comment)
        except IntegrityError:
            raise ValidationError({"name": [f"{values['name']} exists already."]}) from None

    def _delete_one(self, feed: Feed, comment: str) -> None:
        comment = checked_comment(comment)
        if not may_delete(self.request.user, feed):
            raise deletion_refused(self.request.user)
        with commented(comment):
            feed.delete()


def _stale(item: dict[str, Any], feed: Feed) -> str:
    """Return which of the keys that state a version is not current; empty if none."""
    current = {"version": feed.version, "etag": etag_of(feed)}
    return next((name for name, value in current.items() if name in item and item[name] != value), "")
