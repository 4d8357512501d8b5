# Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0
"""Client of a Stroom portal: collects receipts, downloads them, keeps feeds as files say, and sends data.

portal = Portal("https://portal.example.org", token)
collect(portal, Path("place"), lambda receipt: download(portal, receipt, Path("received")))
apply(portal, plan(portal, read_feeds(Path("feeds"))))
Sender("https://portal.example.org/datafeed", "WEB-ACCESS-EVENTS").send_all(Path("outbox"))
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

from stroom_portal_client.retry import AGAIN, DELETE, after_delivery

__version__ = "1.0.0"
#: A receipt or a feed, as the API gives it.
Item = dict[str, Any]

_API = "/api/v1/"
#: Answers after which the same read may succeed. A write is repeated only where the portal itself says that it
#: changed nothing: a proxy in front cannot know.
_READ_AGAIN = frozenset({408, 429, 502, 503, 504})
_WRITE_AGAIN = frozenset({"busy", "throttled"})
_MOST_AT_ONCE, _PAGE, _BLOCK = 500, 1000, 256 * 1024
_RECEIPT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


class Problem(Exception):
    """An answer of the API that is no success.

    Decide on `code`: docs/api.md lists the words. It is empty where something between us and the portal answered.
    """

    def __init__(self, answer: requests.Response) -> None:
        try:
            found = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        except ValueError:
            found = {}
        body: Item = found if isinstance(found, dict) else {}
        self.status = answer.status_code
        self.code = str(body.get("code", ""))
        self.errors: list[Item] = body.get("errors", [])
        self.request_id = answer.headers.get("X-Request-ID", "")
        wait = answer.headers.get("Retry-After", "")
        self.seconds = int(wait) if wait.isdecimal() and len(wait) < 6 else None
        super().__init__(
            f"{self.status} {self.code} {body.get('detail', answer.reason)} (request {self.request_id})"
        )


class Portal:
    """The REST API of one portal. Transient failures are repeated; the token goes to no other address."""

    def __init__(self, address: str, token: str, *, timeout: float = 60, tries: int = 5) -> None:
        """Create a client; nothing is sent yet.

        Args:
            address: where the portal is, such as `https://portal.example.org`.
            timeout: seconds without a byte after which a request counts as failed.
            tries: of each request.
        """
        self._address, self._timeout, self.tries = address.rstrip("/"), timeout, tries
        self._session = requests.Session()

        def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        self._session.auth = sign  # as a header alone, an entry of ~/.netrc would replace it

    def get(self, link: str, **query: Any) -> Any:
        """Return the JSON of an address: one below /api/v1/, or a link of an earlier answer."""
        return self.call("GET", link, query=query).json()

    def call(
        self,
        method: str,
        link: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request and return its answer.

        Raises:
            Problem: the answer is no success.
            requests.RequestException: there was no answer.
        """
        for pause in self.pauses():
            try:
                answer = self._session.request(
                    method,
                    self._url(link),
                    params=query,
                    json=body,
                    headers=headers,
                    stream=stream,
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout):
                if method != "GET" or pause is None:
                    raise
            else:
                if 200 <= answer.status_code < 300:
                    return answer
                problem = Problem(answer)
                passes = problem.status in _READ_AGAIN if method == "GET" else problem.code in _WRITE_AGAIN
                if not passes or pause is None:
                    raise problem
                if problem.seconds is not None:
                    time.sleep(problem.seconds)
                    continue
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def pauses(self) -> Iterator[float | None]:
        """Yield the seconds to wait after each try, None after the last one."""
        yield from (0.5 * 2**number for number in range(self.tries - 1))
        yield None

    def all_feeds(self, **query: str) -> list[Item]:
        """Return all feeds that the filters select."""
        while True:
            feeds, link = [], f"feeds/?{urlencode({'limit': _PAGE, **query})}"
            while link:
                page = self.get(link)
                feeds += page["results"]
                link = page["next"]
            # A feed that is deleted meanwhile moves those behind it to a page that was read already.
            if len({feed["name"] for feed in feeds}) == page["count"]:
                return feeds

    def _url(self, link: str) -> str:
        """Return the URL of a link on the address that we were given, whatever name the portal has for itself."""
        parts = urlsplit(link)
        path = parts.path if parts.path.startswith(_API) else _API + parts.path.lstrip("/")
        return f"{self._address}{path}" + (f"?{parts.query}" if parts.query else "")


# --- collect and download ---


def collect(portal: Portal, place: Path, take: Callable[[Item], object], *, wait: int = 0, **filters: str) -> int:
    """Hand each receipt that came since the last call to `take`, in the order of their acceptance.

    The file `place` holds the address to go on with. It is written after the receipts of a page were taken, so a
    program that is stopped in between gets that page again: `take` has to accept an `id` that it has seen.

    Args:
        wait: seconds to wait for a receipt where there is none.
        filters: of the list, such as `feed="WEB-ACCESS-EVENTS"`. Only what never changes, so not `status`.

    Returns: number of receipts.
    """
    start = f"receipts/?{urlencode({'ordering': 'received_at', 'limit': _PAGE, **filters})}"
    link, count = place.read_text().strip() if place.exists() else start, 0
    while link:
        page = portal.get(link, **({"wait": wait} if wait else {}))
        for receipt in page["results"]:
            take(receipt)
            count += 1
        _write(place, _without_wait(page["resume"]))
        link = _without_wait(page["next"] or "")
    return count


def _without_wait(link: str) -> str:
    return re.sub(r"wait=\d+&|[?&]wait=\d+$", "", link)


class Damaged(Exception):
    """The downloaded bytes are not those that the receipt describes."""


def download(portal: Portal, receipt: Item, folder: Path) -> Path:
    """Download the content of a receipt into a file called like its id, and return the file.

    The file has this name only once it is whole and its SHA-256 is that of the receipt. Until then it is called
    `.part`, and the next call continues it.

    Raises:
        Damaged: the bytes have another SHA-256; they were removed.
        Problem: the portal refused.
        requests.RequestException: the connection broke each time.
    """
    if not _RECEIPT_ID.fullmatch(receipt["id"]):
        raise ValueError(f"{receipt['id']!r} is no receipt id")
    whole: Path = folder / receipt["id"]
    part = whole.with_name(f"{whole.name}.part")
    folder.mkdir(parents=True, exist_ok=True)
    if whole.exists():
        return whole
    for pause in portal.pauses():
        try:
            _fetch_rest(portal, receipt, part)
            break
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            if pause is None:
                raise
            time.sleep(pause)
    with part.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
        os.fsync(file.fileno())
    if digest.hexdigest() != receipt["sha256"]:
        part.unlink()
        raise Damaged(f"{receipt['id']} has the SHA-256 {digest.hexdigest()}, not {receipt['sha256']}")
    part.replace(whole)
    return whole


def _fetch_rest(portal: Portal, receipt: Item, part: Path) -> None:
    """Fetch what a part lacks; all of it where the portal does not continue it."""
    have = part.stat().st_size if part.exists() else 0
    if have >= receipt["bytes"] and part.exists():
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers.update({"Range": f"bytes={have}-", "If-Range": f'"{receipt["sha256"]}"'})
    with portal.call("GET", f"receipts/{receipt['id']}/content", headers=headers, stream=True) as answer:
        goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if goes_on else "wb") as file:
            for block in answer.iter_content(_BLOCK):
                file.write(block)
    if part.stat().st_size < receipt["bytes"]:
        raise requests.ConnectionError("the content ended early")


# --- feeds as files say ---


@dataclass(frozen=True)
class Change:
    """What differs in one feed: keys with their present and their wanted values."""

    name: str
    etag: str
    old: Item
    new: Item


@dataclass(frozen=True)
class Plan:
    """What has to be done so that the portal's feeds are as wanted. Empty if they are."""

    create: list[Item]
    change: list[Change]
    delete: list[Item]

    def __bool__(self) -> bool:
        return bool(self.create or self.change or self.delete)

    def __str__(self) -> str:
        lines = [f"+ {feed['name']}" for feed in self.create]
        for one in self.change:
            lines += [f"~ {one.name} {key}: {one.old[key]!r} -> {one.new[key]!r}" for key in one.new]
        return "\n".join([*lines, *(f"- {feed['name']}" for feed in self.delete)])


def read_feeds(path: Path) -> list[Item]:
    """Read wanted feeds from a JSON file, or from all of a folder: an object each, or lists of them.

    `feeds/export/?format=json` gives such a list. Keys that are left out stay as they are.

    Raises:
        ValueError: a file is no such JSON, or a feed is named twice.
    """
    feeds: list[Item] = []
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        found = json.loads(file.read_text(encoding="utf-8"))
        feeds += found if isinstance(found, list) else [found]
    names = [feed.get("name") for feed in feeds if isinstance(feed, dict)]
    if len(set(names)) < len(feeds) or not all(names):
        raise ValueError(f"{path}: each feed is an object with a name of its own")
    return feeds


def plan(portal: Portal, wanted: Iterable[Item], *, label: str = "") -> Plan:
    """Compare the feeds of a portal with those that are wanted. Nothing is changed.

    Args:
        label: feeds that have this label and are not wanted are deleted; without it none is. Every wanted feed
            needs the label, so that it can be found once it is no longer wanted.

    Raises:
        ValueError: a wanted feed lacks the label, or none is wanted at all.
    """
    by_name = {feed["name"]: feed for feed in wanted}
    if not by_name:
        raise ValueError("no feeds are wanted: an empty folder must not delete everything")
    if label and (without := [name for name, feed in by_name.items() if label not in feed.get("labels", ())]):
        raise ValueError(f"without the label {label}: {', '.join(without)}")
    present = {feed["name"]: feed for feed in portal.all_feeds()}
    changes = []
    for name in sorted(by_name.keys() & present.keys()):
        old, new = present[name], by_name[name]
        keys = [key for key in new if _plain(key, new[key]) != _plain(key, old.get(key))]
        if keys:
            changes.append(
                Change(name, old["etag"], {key: old.get(key) for key in keys}, {key: new[key] for key in keys})
            )
    extra = [feed for name, feed in present.items() if label and label in feed["labels"] and name not in by_name]
    return Plan([by_name[name] for name in sorted(by_name.keys() - present.keys())], changes, extra)


def apply(portal: Portal, what: Plan, *, comment: str = "") -> list[Item]:
    """Do what a plan says, up to 500 feeds at a time, each time all of them or none.

    Returns: the proposals that wait for a second person, where the portal wants one; those feeds are unchanged.

    Raises:
        Problem: `precondition_failed` or `refused_items` if feeds have changed since the plan. Plan again.
    """
    why = {"comment": comment} if comment else {}
    steps = (
        ("POST", "feeds/bulk/", [{**feed, **why} for feed in what.create]),
        ("PATCH", "feeds/", [{"name": one.name, "etag": one.etag, **one.new, **why} for one in what.change]),
        (
            "POST",
            "feeds/bulk/delete/",
            [{"name": feed["name"], "etag": feed["etag"], **why} for feed in what.delete],
        ),
    )
    waiting = []
    for method, link, items in steps:
        for start in range(0, len(items), _MOST_AT_ONCE):
            answer = portal.call(method, link, body=items[start : start + _MOST_AT_ONCE])
            if answer.status_code == 202:
                waiting.append(answer.json())
    return waiting


def _plain(key: str, value: Any) -> Any:
    """Return a value in the form that the portal stores, so that a spelling is no difference."""
    if key != "certificate_rules":
        return value.strip() if isinstance(value, str) else value
    rules = ({"action": "allow", "expires": None, "comment": "", **rule} for rule in value or ())
    return sorted(
        (rule["action"], rule["subject_dn"].strip(), _instant(rule["expires"]), rule["comment"].strip())
        for rule in rules
    )


def _instant(text: str | None) -> str:
    if text is None:
        return ""
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc).isoformat()


# --- send ---


@dataclass(frozen=True)
class Sent:
    """What became of a file: `delete` if the portal has it, `again` after `seconds`, or `hold`."""

    action: str
    seconds: int
    answer: str


class Sender:
    """Sends files to one feed and keeps each that was not taken. It decides as docs/retry.md says."""

    def __init__(
        self,
        address: str,
        feed: str,
        *,
        headers: Mapping[str, str] | None = None,
        certificate: tuple[str, str] | None = None,
        authorities: str | bool = True,
        timeout: float = 60,
    ) -> None:
        """Create a sender; nothing is sent yet.

        Args:
            address: such as `https://portal.example.org/datafeed`.
            headers: further headers, such as `{"Compression": "GZIP"}`.
            certificate: files of the client certificate and of its key.
            authorities: file of the authorities that the portal's certificate is verified with.
        """
        self._address, self._timeout = address, timeout
        self._headers = {**(headers or {}), "Feed": feed}
        self._session = requests.Session()
        self._session.cert, self._session.verify = certificate, authorities

    def send(self, file: Path) -> Sent:
        """Send a file. It is neither changed nor removed."""
        try:
            with file.open("rb") as data:
                answer = self._session.post(
                    self._address, data=data, headers=self._headers, timeout=self._timeout, allow_redirects=False
                )
        except requests.RequestException as fault:
            return Sent(*after_delivery(0), str(fault))
        length = answer.headers.get("Content-Length")
        if length is not None and length != str(len(answer.content)):
            return Sent(*after_delivery(0), "the answer ended early")
        fields = answer.headers
        decision = after_delivery(answer.status_code, fields.get("Stroom-Status"), fields.get("Retry-After"))
        words = answer.text.strip().splitlines() or [""]
        return Sent(
            *decision, f"HTTP {answer.status_code}, Stroom-Status {fields.get('Stroom-Status')}: {words[0]}"
        )

    def send_all(self, outbox: Path) -> int:
        """Send the files of a folder in the order of their names. Move only finished files into it, and run one
        sender for each folder.

        A file that was taken is removed. One that has to wait ends the run: those behind it would wait as well. One
        that cannot be taken as it is moves to `held/`, with the answer in `NAME.why`; move it back once a person
        has changed something.

        Returns: seconds to wait before the next run, 0 if nothing waits.
        """
        for file in sorted(path for path in outbox.iterdir() if path.is_file() and not path.name.startswith(".")):
            sent = self.send(file)
            if sent.action == AGAIN:
                return max(1, sent.seconds)
            if sent.action == DELETE:
                file.unlink()
                continue
            held = outbox / "held"
            held.mkdir(exist_ok=True)
            name = file.name if not (held / file.name).exists() else f"{file.name}.{time.time_ns()}"
            _write(held / f"{name}.why", f"{sent.answer}\n")
            file.rename(held / name)
        return 0


def _write(file: Path, text: str) -> None:
    """Write a file so that after a crash it has its old or its new content."""
    new = file.with_name(f".{file.name}.new")
    with new.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)
