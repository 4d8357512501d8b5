"""A portal whose every text is hostile: what senders, editors and administrators can write, in every column.

One object of each kind holds all payloads in each of its texts, for the pages about one object; further objects,
fewer than a page of a list shows, hold a handful each. Columns are found in the models, so that a new one is in at
once.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.urls import reverse

from codes.models import LocalNote, Meaning
from codes.notes import MAX_LENGTH
from feeds.changes.apply import FeedChange, RuleValues
from feeds.changes.approval_items import ProposalItem
from feeds.changes.snapshots import FeedState, state_of
from feeds.history import commented
from feeds.models import (
    MAX_LABEL,
    CertificateRule,
    Feed,
    HourlyCount,
    PendingImport,
    Proposal,
    Receipt,
    ReceiptFeed,
    ReceiptRule,
    ReceiptRuleMatch,
    RefusalSample,
    RetentionPolicy,
    SavedView,
)
from portal.models import ApiToken, AuditRecord
from tests.hostile import PAYLOADS, bundle, handfuls, texts

Text = Callable[[str], str]
OWN_SOURCE = "hostile-source"
#: Columns of text that nobody outside can fill: digests, prefixes and what the portal itself computes.
OWN_WORDS = frozenset({"password", "prefix", "digest", "previous", "sha256", "path", "at", "old", "new"})


def one_of_all(code: str) -> str:
    return bundle(code)


def a_handful(number: int) -> Text:
    return lambda code: handfuls(code)[number]


def handfuls_of_all() -> list[Text]:
    return [a_handful(number) for number in range(len(handfuls("x")))]


def code_of(model: type[models.Model], column: str) -> str:
    return re.sub("[^a-z]", "", f"{model._meta.model_name}{column}".lower())


def text_columns(model: type[models.Model]) -> Iterator[Any]:
    """Columns that hold free text."""
    for column in model._meta.concrete_fields:
        free = isinstance(column, models.CharField | models.TextField) and not column.choices
        if free and not column.primary_key and column.name not in OWN_WORDS:
            yield column


def values_of(model: type[models.Model], text: Text, **fixed: Any) -> dict[str, Any]:
    """Hostile text for each column of text, but for those that are given."""
    columns = (column for column in text_columns(model) if column.name not in fixed)
    return {column.name: _fit(text(code_of(model, column.name)), column) for column in columns} | fixed


def _fit(text: str, column: Any) -> str:
    """As much of it as the column takes; SQLite takes all."""
    if connection.vendor == "sqlite" or column.max_length is None or len(text) <= column.max_length:
        return text
    whole = text[: column.max_length + 1].rpartition("\n")[0]
    return whole or text[: column.max_length]


def fill() -> dict[str, str]:
    """Fill the database, where the catalogue is loaded already; return addresses of pages, by name."""
    user = User.objects.create(**values_of(User, one_of_all), is_staff=True, is_superuser=True)
    Group.objects.create(**values_of(Group, one_of_all))
    pages = _feeds(user)
    pages |= _deliveries()
    pages |= _records(user)
    pages |= _receipt_rules(user)
    pages |= _notes()
    return pages


# --- feeds, their rules, their past ---


def _feed(text: Text, **fixed: Any) -> Feed:
    return Feed(**values_of(Feed, text, labels=[text("feedlabels")], **fixed))


def _feeds(user: User) -> dict[str, str]:
    with _as(user), commented(bundle("comment")):
        feed = _kept(_feed(one_of_all, certificate_policy="restricted"), user)
        rule = _kept(CertificateRule(feed=feed, **values_of(CertificateRule, one_of_all)), user)
        rule.comment = bundle("rulelater")
        _kept(rule, user)
        _kept(CertificateRule(feed=feed, action="deny", subject_dn="CN=a"), user).delete()
        feed.owner = bundle("ownerlater")
        _kept(feed, user)
        gone = _kept(_feed(lambda code: "gone " + bundle(code)), user)
        _kept(CertificateRule(feed=gone, **values_of(CertificateRule, one_of_all)), user)
        gone_key = gone.pk
        gone.delete()
    others = Feed.objects.bulk_create(map(_feed, handfuls_of_all()))
    soon = datetime.now(UTC) + timedelta(days=3)
    CertificateRule.objects.bulk_create(
        CertificateRule(feed=other, expires=soon, **values_of(CertificateRule, text))
        for text, other in zip(handfuls_of_all(), others, strict=True)
    )
    key = feed.pk
    earliest = Feed.history.filter(id=key).last().history_date
    return {
        "feeds": reverse("admin:feeds_feed_changelist"),
        "feed": reverse("admin:feeds_feed_change", args=[key]),
        "feed to read": reverse("admin:feeds_feed_read", args=[key]),
        "clone": f"{reverse('admin:feeds_feed_add')}?copy={key}",
        "all columns": f"{reverse('admin:feeds_feed_changelist')}?columns=classification&columns=description",
        "feed history": reverse("admin:feeds_feed_history", args=[key]),
        "feed deletion": reverse("admin:feeds_feed_delete", args=[key]),
        "revert": f"{reverse('admin:feeds_feed_revert', args=[key])}?at={earliest.isoformat().replace('+', '%2B')}",
        "deleted feeds": reverse("admin:feeds_feed_deleted"),
        "restore": reverse("admin:feeds_feed_restore", args=[gone_key]),
    }


def _kept(row: Any, user: User) -> Any:
    """Saved, with a history row in the name of the user."""
    row._history_user = user
    row.save()
    return row


@contextmanager
def _as(user: User) -> Iterator[None]:
    """Changes inside have come from a hostile address by a hostile request."""
    from simple_history.models import HistoricalRecords

    request = type("Request", (), {})()
    request.user, request.request_id, request.client_address = user, bundle("requestid"), bundle("address")
    HistoricalRecords.context.request = request
    try:
        yield
    finally:
        del HistoricalRecords.context.request


def fill_proposals(user: User) -> dict[str, str]:
    """What waits for a second person and what was decided, where the setting is on that they need."""
    feed = Feed.objects.get(name=_fit(bundle("feedname"), Feed._meta.get_field("name")))
    after = state_of(feed)
    rules = [RuleValues("allow", bundle("proposedrule"), None, bundle("proposedcomment"))]
    change = FeedState(after.name, FeedChange({**after.change.values, "owner": bundle("proposedowner")}, rules))
    items = [
        ProposalItem("change", feed.pk, feed.version, after, change, bundle("itemcomment")).as_record(),
        ProposalItem("create", None, None, None, after, "").as_record(),
    ]
    texts_of = values_of(Proposal, one_of_all, items=items, digest="x")
    ready = Proposal.objects.create(**texts_of, proposed_by=user)
    decided = Proposal.objects.create(
        **texts_of, state="declined", proposed_by=user, decided_by=user, decided_at=datetime.now(UTC)
    )
    return {
        "proposals": reverse("admin:feeds_proposal_changelist"),
        "proposal": ready.get_absolute_url(),
        "decided proposal": decided.get_absolute_url(),
    }


# --- what senders say ---


def _trace(text: Text) -> list[dict[str, Any]]:
    return [{"step": 2, "outcome": "stop", "explanation": text("trace")}]


def _headers(text: Text) -> dict[str, str]:
    return {text("headername"): text("headervalue"), "Feed": text("headerfeed")}


def _sample(text: Text, **fixed: Any) -> RefusalSample:
    now = datetime.now(UTC)
    fixed = {"at": now, "http_status": 406, "stroom_status": 110, **fixed}
    return RefusalSample(**values_of(RefusalSample, text, headers=_headers(text), trace=_trace(text), **fixed))


def _receipt(text: Text) -> Receipt:
    groups = [{"name": text("groupname"), "feed": text("groupfeed"), "dropped": False}]
    fixed = {"headers": _headers(text), "groups": groups, "notes": [text("receiptnote")]}
    unique = {"sha256": uuid.uuid4().hex, "bytes": 1, "path": "x", "received_at": datetime.now(UTC)}
    return Receipt(**values_of(Receipt, text, **fixed, **unique))


def _deliveries() -> dict[str, str]:
    feed = Feed.objects.get(owner=_fit(bundle("ownerlater"), Feed._meta.get_field("owner")))
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    every: list[Text] = [one_of_all, *handfuls_of_all()]
    counted = {"hour": hour, "outcome": "refused", "http_status": 406, "stroom_status": 110, "count": 5}
    HourlyCount.objects.bulk_create(
        HourlyCount(**values_of(HourlyCount, text, known=known, **counted))
        for text in every[1:]
        for known in (True, False)
    )
    # The feed's own page and the first page tell of its refusals and of certificates that end.
    ends = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    named = {"feed": feed.name, "receipt_id": "named"}
    samples = [*map(_sample, every), _sample(one_of_all, **named)]
    for sample in samples:
        sample.headers["RemoteCertExpiry"] = ends
    RefusalSample.objects.bulk_create(samples)
    receipts = [_receipt(text) for text in every]
    for receipt in receipts:
        receipt.headers["RemoteCertExpiry"] = ends
    Receipt.objects.bulk_create(receipts)
    Receipt.objects.filter(pk=receipts[0].pk).update(feed=feed.name)
    ReceiptFeed.objects.create(receipt=receipts[0], feed=feed.name)
    return {
        "counts": reverse("admin:feeds_hourlycount_changelist"),
        "refused now": reverse("admin:feeds_refusalsample_now"),
        "samples": reverse("admin:feeds_refusalsample_changelist"),
        "sample": reverse("admin:feeds_refusalsample_change", args=[samples[0].pk]),
        "test of a sample": f"{reverse('admin:feeds_feed_test')}?sample={samples[0].pk}",
        "receipts": reverse("admin:feeds_receipt_changelist"),
        "receipt": reverse("admin:feeds_receipt_change", args=[receipts[0].pk]),
        "first page": reverse("admin:index"),
        "home": reverse("home"),
    }


# --- users, tokens, policies, the audit record, an upload ---


def _records(user: User) -> dict[str, str]:
    with _as(user), commented(bundle("policycomment")):
        policy = _kept(RetentionPolicy(**values_of(RetentionPolicy, one_of_all)), user)
    RetentionPolicy.objects.bulk_create(
        RetentionPolicy(**values_of(RetentionPolicy, text)) for text in handfuls_of_all()
    )
    SavedView.objects.create(**values_of(SavedView, one_of_all, user=user))
    token = ApiToken.objects.create(**values_of(ApiToken, one_of_all, user=user, prefix="sp_", digest="x"))
    ApiToken.objects.bulk_create(
        ApiToken(**values_of(ApiToken, text, user=user, prefix="sp_", digest=str(number)))
        for number, text in enumerate(handfuls_of_all())
    )
    group = Group.objects.get(name=_fit(bundle("groupname"), Group._meta.get_field("name")))
    for row in (policy, token, group, user):
        LogEntry.objects.create(
            user=user,
            content_type=ContentType.objects.get_for_model(row),
            action_flag=CHANGE,
            **values_of(LogEntry, one_of_all, object_id=str(row.pk)),
        )
    entry = _audit()
    pending = PendingImport.objects.create(user=user, filename=_name_of_file(), content=upload())
    return {
        "policies": reverse("admin:feeds_retentionpolicy_changelist"),
        "policy": reverse("admin:feeds_retentionpolicy_change", args=[policy.pk]),
        "policy history": reverse("admin:feeds_retentionpolicy_history", args=[policy.pk]),
        "policy deletion": reverse("admin:feeds_retentionpolicy_delete", args=[policy.pk]),
        "tokens": reverse("admin:portal_apitoken_changelist"),
        "token": reverse("admin:portal_apitoken_change", args=[token.pk]),
        "token deletion": reverse("admin:portal_apitoken_delete", args=[token.pk]),
        "token history": reverse("admin:portal_apitoken_history", args=[token.pk]),
        "new token": reverse("admin:portal_apitoken_add"),
        "users": reverse("admin:auth_user_changelist"),
        "user": reverse("admin:auth_user_change", args=[user.pk]),
        "user history": reverse("admin:auth_user_history", args=[user.pk]),
        "user deletion": reverse("admin:auth_user_delete", args=[user.pk]),
        "user password": reverse("admin:auth_user_password_change", args=[user.pk]),
        "groups": reverse("admin:auth_group_changelist"),
        "group": reverse("admin:auth_group_change", args=[group.pk]),
        "group history": reverse("admin:auth_group_history", args=[group.pk]),
        "group deletion": reverse("admin:auth_group_delete", args=[group.pk]),
        "audit record": reverse("admin:portal_auditrecord_changelist"),
        "audit entry": reverse("admin:portal_auditrecord_change", args=[entry.pk]),
        "import preview": reverse("admin:feeds_feed_import_confirm", args=[pending.pk]),
    }


def _receipt_rules(user: User) -> dict[str, str]:
    """One rule with every payload, in its conditions those that may stand there; a change of it waits."""
    printable = [value for value in texts("rulecondition") if value.isprintable() and value.strip()]
    conditions = [{"field": "system", "operator": "one_of", "values": printable}]
    with _as(user):
        rule = _kept(
            ReceiptRule(
                **values_of(ReceiptRule, one_of_all, pending={"name": bundle("rulepending")}),
                conditions=conditions,
                position=1,
                pending_by=user,
            ),
            user,
        )
    ReceiptRule.objects.bulk_create(
        ReceiptRule(**values_of(ReceiptRule, text), position=number)
        for number, text in enumerate(handfuls_of_all(), 2)
    )
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    match = values_of(ReceiptRuleMatch, one_of_all, rule=rule, hour=hour, applied=False, count=3)
    ReceiptRuleMatch.objects.create(**match)
    return {
        "receipt rules": reverse("admin:feeds_receiptrule_changelist"),
        "receipt rule": reverse("admin:feeds_receiptrule_change", args=[rule.pk]),
        "receipt rule deletion": reverse("admin:feeds_receiptrule_delete", args=[rule.pk]),
    }


def _name_of_file() -> str:
    return _fit(bundle("filename"), PendingImport._meta.get_field("filename"))


def _audit() -> AuditRecord:
    """Entries as they would stand there; the chain is not looked at here."""
    last = AuditRecord.objects.order_by("-number").first()
    number = last.number if last else 0

    def entry(text: Text, place: int) -> AuditRecord:
        states = {
            "old": json.dumps({text("auditold"): text("auditold")}, ensure_ascii=False),
            "new": text("auditnew"),
        }
        own = {
            "number": number + place,
            "digest": f"{place:064}",
            "previous": "0",
            "at": "2026-02-24T18:10:27.192000Z",
        }
        return AuditRecord(**values_of(AuditRecord, text, **own), **states)

    rows = [entry(text, place) for place, text in enumerate([one_of_all, *handfuls_of_all()], 1)]
    AuditRecord.objects.bulk_create(rows)
    return AuditRecord.objects.get(number=number + 1)


def upload() -> bytes:
    """A file of feeds: one hostile value, key, rule or name for each payload, all at fault; then good ones."""
    items = [
        {
            "name": texts("importname")[number],
            "owner": texts("importowner")[number],
            texts("importkey")[number]: 1,
            "status": texts("importstatus")[number],
            "certificate_rules": [{"action": "allow", "subject_dn": texts("importdn")[number]}],
        }
        for number in range(len(PAYLOADS))
    ]
    changes = [
        {
            "name": f"GOOD-NAME-{number}",
            "owner": texts("importchange")[number],
            "labels": [label for label in texts("importlabel")[number : number + 1] if len(label) <= MAX_LABEL],
        }
        for number in range(len(PAYLOADS))
    ]
    return json.dumps([*items, *changes]).encode()


# --- the catalogue ---

NOTED = ("http/404/ietf", "http/403/ietf", "stroom/110/stroom")


def _notes() -> dict[str, str]:
    """Each note has as many payloads as fit; other meanings have one each, for the list."""
    parts: list[list[str]] = [[]]
    for text in texts("note"):
        if sum(map(len, parts[-1])) + len(text) + 2 * len(parts[-1]) > MAX_LENGTH - 100:
            parts.append([])
        parts[-1].append(text)
    notes = [
        LocalNote.objects.create(meaning_id=meaning, text="\n\n".join(part))
        for meaning, part in zip(NOTED, parts, strict=False)
    ]
    free = Meaning.objects.exclude(key__in=NOTED).order_by("key")[: len(PAYLOADS)]
    LocalNote.objects.bulk_create(
        LocalNote(meaning=meaning, text=texts("note")[number]) for number, meaning in enumerate(free)
    )
    pages = {"notes": reverse("admin:codes_localnote_changelist")}
    for note in notes:
        pages[f"note {note.meaning_id}"] = reverse("admin:codes_localnote_change", args=[note.pk])
        pages[f"note history {note.meaning_id}"] = reverse("admin:codes_localnote_history", args=[note.pk])
        pages[f"code {note.meaning_id}"] = "/codes/" + note.meaning_id.rpartition("/")[0] + "/"
    return pages


def own_source(folder: Path) -> None:
    """A document of the site in the data dir, hostile wherever the format takes text."""
    text = f"""
[source]
slug = "{OWN_SOURCE}"
title = {_toml("sourcetitle")}
kind = "local API"
date = {_toml("sourcedate")}
url = ""
licence = {_toml("sourcelicence")}
seed = {_toml("sourceseed")}
checksum = ""
rank = 50
summary = {_toml("sourcesummary")}

[[entry]]
registry = "http"
code = 409
owner = "ietf"
name = {_toml("entryname")}
summary = {_toml("entrysummary")}
rfcs = [{{ document = {_toml("entryrfc")}, section = {_toml("entrysection")} }}]
local_note = {_toml("entrynote")}
lines = [1, 2]
claims = []
"""
    target = folder / "catalogue" / "sources"
    target.mkdir(parents=True, exist_ok=True)
    (target / "hostile.toml").write_text(text)


def _toml(code: str) -> str:
    """As a TOML text; JSON's spelling is one."""
    return json.dumps(bundle(code), ensure_ascii=False).replace("\x7f", "")
