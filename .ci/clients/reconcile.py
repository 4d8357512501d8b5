"""Reconciler on the client that openapi-python-client generates: run against a live portal, and typed by mypy.

    python reconcile.py ADDRESS TOKEN

The portal takes names of feeds that the description's default pattern does not fit.
"""

import sys

from portal_client.api.catalogue import codes_retrieve
from portal_client.api.feeds import (
    feeds_bulk,
    feeds_bulk_create,
    feeds_bulk_delete,
    feeds_create,
    feeds_list,
    feeds_list_csv,
    feeds_partial_update,
    feeds_retrieve,
)
from portal_client.client import AuthenticatedClient, Client
from portal_client.models.code import Code
from portal_client.models.codes_retrieve_registry import CodesRetrieveRegistry
from portal_client.models.deletion_request import DeletionRequest
from portal_client.models.feed import Feed
from portal_client.models.feed_status import FeedStatus
from portal_client.models.feeds_list_ordering_item import FeedsListOrderingItem
from portal_client.models.new_feed_request import NewFeedRequest
from portal_client.models.paginated_feed_list import PaginatedFeedList
from portal_client.models.patched_feed_request import PatchedFeedRequest
from portal_client.models.problem import Problem
from portal_client.types import Unset

NAMES = [f"python.{letter}" for letter in "abc"]


def feeds(client: AuthenticatedClient) -> dict[str, Feed]:
    """Return the feeds by their names. The order is given twice over, as such clients repeat a parameter."""
    ordering = [FeedsListOrderingItem.STATUS, FeedsListOrderingItem.NAME_DESCENDING]
    page = feeds_list.sync(client=client, ordering=ordering, limit=1000)
    assert isinstance(page, PaginatedFeedList), page
    return {feed.name: feed for feed in page.results}


def reconcile(client: AuthenticatedClient, wanted: dict[str, str]) -> tuple[int, int, int]:
    """Make the owners of feeds as wanted; how many were created, changed and deleted."""
    present = feeds(client)
    create = [NewFeedRequest(name=name, owner=owner) for name, owner in wanted.items() if name not in present]
    change = [
        NewFeedRequest(name=name, owner=owner, etag=present[name].etag)
        for name, owner in wanted.items()
        if name in present and present[name].owner != owner
    ]
    delete = [
        DeletionRequest(name=name, etag=feed.etag)
        for name, feed in present.items()
        if name.startswith("python.") and name not in wanted
    ]
    if create:
        assert isinstance(feeds_bulk_create.sync(client=client, body=create), list)
    if change:
        assert isinstance(feeds_bulk.sync(client=client, body=change), list)
    if delete:
        assert feeds_bulk_delete.sync_detailed(client=client, body=delete).status_code == 204
    return len(create), len(change), len(delete)


def main(address: str, token: str) -> None:
    client = AuthenticatedClient(base_url=address, token=token)
    assert reconcile(client, dict.fromkeys(NAMES, "A")) == (3, 0, 0)
    assert reconcile(client, dict.fromkeys(NAMES, "A")) == (0, 0, 0)
    assert reconcile(client, {NAMES[0]: "B", NAMES[1]: "A"}) == (0, 1, 1)

    made = feeds_create.sync(client=client, body=NewFeedRequest(name="python.d"))
    assert isinstance(made, Feed), made
    unchanged = feeds_retrieve.sync_detailed("python.d", client=client, if_none_match=made.etag)
    assert unchanged.status_code == 304
    body = PatchedFeedRequest(status=FeedStatus.DROP)
    changed = feeds_partial_update.sync("python.d", client=client, body=body, if_match=made.etag)
    assert isinstance(changed, Feed), changed
    assert changed.status == "Drop"
    late = feeds_partial_update.sync_detailed("python.d", client=client, body=body, if_match=made.etag)
    assert isinstance(late.parsed, Problem), late
    assert (late.status_code, late.parsed.code) == (412, "precondition_failed")
    twice = feeds_create.sync(client=client, body=NewFeedRequest(name="python.d"))
    assert isinstance(twice, Problem), twice
    assert twice.code == "name_taken"
    refused = feeds_bulk.sync(client=client, body=[NewFeedRequest(name="python.none")])
    assert isinstance(refused, Problem), refused
    assert not isinstance(refused.errors, Unset)
    assert refused.errors[0].index == 0

    table = feeds_list_csv.sync(client=client)
    assert isinstance(table, str), table
    assert table.splitlines()[0].startswith("name,status")
    code = codes_retrieve.sync(CodesRetrieveRegistry.HTTP, "503", client=Client(base_url=address))
    assert isinstance(code, Code), code
    assert code.known


main(*sys.argv[1:])
