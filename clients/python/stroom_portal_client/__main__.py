# Copyright the authors of Stroom portal. SPDX-License-Identifier: Apache-2.0
"""Command line of the client: `stroom-portal collect | plan | apply | send`.

The address and the token are read from STROOM_PORTAL_URL and STROOM_PORTAL_TOKEN: arguments are visible to others.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import requests

from stroom_portal_client import (
    Damaged,
    Item,
    Plan,
    Portal,
    Problem,
    Sender,
    apply,
    collect,
    download,
    plan,
    read_feeds,
)

#: Exit codes: a plan that is not empty; files that wait for another run.
DIFFERENT, WAITING = 2, 75


def main() -> int:
    """Run one command."""
    options = _parser().parse_args()
    try:
        code: int = options.run(options)
    except (Problem, Damaged, requests.RequestException, ValueError, OSError) as fault:
        print(fault, file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stroom-portal", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("collect", help="download what came since the last run, with the receipt as JSON")
    one.add_argument("folder", type=Path)
    one.add_argument("--feed")
    one.add_argument("--follow", action="store_true", help="go on until stopped")
    one.set_defaults(run=_collect)
    for name, words in (("plan", "print what differs; exit code 2 if something does"), ("apply", "make it so")):
        one = commands.add_parser(name, help=words)
        one.add_argument("feeds", type=Path, help="a JSON file, or a folder of them")
        one.add_argument("--label", default="", help="delete feeds with this label that no file names")
        one.add_argument("--comment", default="", help="reason, kept with the history")
        one.set_defaults(run=_plan if name == "plan" else _apply)
    one = commands.add_parser("send", help="send the files of a folder; exit code 75 if some wait")
    one.add_argument("outbox", type=Path)
    one.add_argument("--feed", required=True)
    one.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    one.add_argument("--cert", help="file of the client certificate")
    one.add_argument("--key", help="file of its key")
    one.add_argument("--follow", action="store_true", help="go on until stopped")
    one.set_defaults(run=_send)
    return parser


def _portal() -> Portal:
    return Portal(os.environ["STROOM_PORTAL_URL"], os.environ["STROOM_PORTAL_TOKEN"])


def _collect(options: argparse.Namespace) -> int:
    portal, folder = _portal(), options.folder
    folder.mkdir(parents=True, exist_ok=True)

    def take(receipt: Item) -> None:
        file = download(portal, receipt, folder)
        file.with_name(f"{file.name}.json").write_text(json.dumps(receipt, indent=2), encoding="utf-8")

    filters = {"feed": options.feed} if options.feed else {}
    while True:
        count = collect(portal, folder / ".place", take, wait=30 if options.follow else 0, **filters)
        print(count, "receipts")
        if not options.follow:
            return 0


def _planned(portal: Portal, options: argparse.Namespace) -> Plan:
    found = plan(portal, read_feeds(options.feeds), label=options.label)
    print(found or "nothing to do")
    return found


def _plan(options: argparse.Namespace) -> int:
    return DIFFERENT if _planned(_portal(), options) else 0


def _apply(options: argparse.Namespace) -> int:
    portal = _portal()
    for proposal in apply(portal, _planned(portal, options), comment=options.comment):
        print("waits for a second person:", proposal["url"])
    return 0


def _send(options: argparse.Namespace) -> int:
    headers = dict(text.split(":", 1) for text in options.header)
    certificate = (options.cert, options.key or options.cert) if options.cert else None
    sender = Sender(
        f"{os.environ['STROOM_PORTAL_URL'].rstrip('/')}/datafeed",
        options.feed,
        headers=headers,
        certificate=certificate,
    )
    pause = 1
    while True:
        seconds = sender.send_all(options.outbox)
        if not options.follow:
            return WAITING if seconds else 0
        pause = min(pause * 2, 3600) if seconds else 1
        time.sleep(max(seconds, pause))


if __name__ == "__main__":
    sys.exit(main())
