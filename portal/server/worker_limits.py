"""Limits of one worker: threads, deliveries and connections, derived from its number of file descriptors."""

import resource
from dataclasses import dataclass

from portal.server.lanes import SIDE_THREADS

DECISION_THREADS = 4
SMALL_THREADS = 4
WORK_THREADS = 8
INFLATION_THREADS = 4
VERIFICATION_THREADS = 2
MOST_UPLOADS = 1000
MOST_DESCRIPTORS = 65536
#: Standard streams, sockets, locks, event loop, temporary files.
OTHER_DESCRIPTORS = 24
SCARCE_DESCRIPTORS = 256


@dataclass(frozen=True)
class WorkerLimits:
    """Limits of one worker, by the number of files it may open."""

    decisions: int
    small: int
    work: int
    inflation: int
    verification: int
    uploads: int
    connections: int
    side: int


def limits_of(descriptors: int, page_threads: int) -> WorkerLimits:
    """Derive a worker's limits from its number of file descriptors.

    A database connection of a thread takes two or three, a delivery its connection and up to two files. Where they
    are few, connections are limited to what deliveries need: senders then wait to be accepted instead of
    being refused.
    """
    scarce = descriptors < SCARCE_DESCRIPTORS
    decisions, small = (1, 1) if scarce else (DECISION_THREADS, SMALL_THREADS)
    work, side = (1, 2) if scarce else (WORK_THREADS, SIDE_THREADS)
    inflation, verification = (1, 1) if scarce else (INFLATION_THREADS, VERIFICATION_THREADS)
    # Those that verify do not use the database.
    free = descriptors - OTHER_DESCRIPTORS - 2 * (decisions + small + work + inflation + page_threads + side + 4)
    uploads = max(4, min(MOST_UPLOADS, -(-free // 3)))
    return WorkerLimits(decisions, small, work, inflation, verification, uploads, max(4, free - 2 * uploads), side)


def descriptor_limit() -> int:
    """Raise the limit on file descriptors as far as allowed, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
