"""Bodies arrive whole or not at all, and what is stored is what was sent (R7, R8, R9, R11, R18)."""

import gzip
import hashlib
import io
import multiprocessing
import os
import random
import signal
import socket
import tempfile
import threading
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from benchmarks.soak import stage
from benchmarks.soak.trial import Run
from feeds.store.archive import read_archive
from feeds.store.compression import Gunzip, StreamInvalid
from feeds.store.ids import data_path
from feeds.store.zip_directory import read_directory, read_entry
from tests.deploy.authority import Certificates
from tests.deploy.portal import OPEN as DEPLOYED_FEED
from tests.deploy.portal import Portal as DeployedPortal
from tests.deploy.proxy import NGINX, Nginx, talk
from tests.live import parse, read_all, request
from tests.reliability.portal import Portal
from tests.reliability.senders import Parcel, deliver, parcel, zipped

MEBIBYTE = 1024 * 1024
LARGEST = 64 * MEBIBYTE
CASES_OF_A_TASK = 5000


def cut_bodies(run: Run) -> None:
    """R7: requests that end somewhere before their end."""
    with stage.portal(run) as portal:
        portal.start("supervisor")
        while run.more():
            data = parcel(run.chance, 20_000).request()
            with portal.connect() as connection:
                connection.sendall(data[: run.chance.randrange(len(data))])
                if run.chance.random() < 0.7:
                    connection.shutdown(socket.SHUT_WR)
                    seen = read_all(connection)
                    if b"HTTP/1.1 200" in seen:
                        run.note_wrong(seen)
            run.count()
        deadline = time.monotonic() + 10
        while portal.files() and time.monotonic() < deadline:
            time.sleep(0.1)
        run.note_wrong(*portal.files(), *portal.rows())
        portal.kill()
        stage.judge(run, portal, {})


def send_and_compare(run: Run) -> None:
    """R8: directly, and through nginx with and without buffering."""
    with ExitStack() as stack:
        portal = stack.enter_context(DeployedPortal(Path(tempfile.mkdtemp(dir=run.folder))))
        ways = {"direct": partial(send_directly, portal.port)}
        if NGINX is not None:
            certificates = Certificates.make(Path(tempfile.mkdtemp(dir=run.folder)))
            buffered = ((r"proxy_request_buffering off;", "proxy_request_buffering on;"),)
            for name, changes in (("nginx", ()), ("nginx buffering", buffered)):
                folder = Path(tempfile.mkdtemp(dir=run.folder))
                nginx = stack.enter_context(Nginx(folder, certificates, portal.upstream, changes))
                ways[name] = partial(send_through, nginx)
        block = run.chance.randbytes(LARGEST)
        sent = 0
        while run.more():
            size = some_size(run.chance)
            start = run.chance.randrange(LARGEST - size + 1)
            name = run.chance.choice(list(ways))
            body = block[start : start + size]
            answered = ways[name](body, run.chance)
            sent += size
            run.note_wrong(*difference(portal.folder / "store", answered, body, name))
            run.count()
        run.figures["ways"] = ", ".join(ways)
        run.figures["sent"] = f"{sent / 1e9:.1f} GB"


def some_size(chance: random.Random) -> int:
    """From nothing to 64 MiB; small ones more often, as each byte costs time."""
    if chance.random() < 0.01:
        return chance.choice([LARGEST, LARGEST - 1, chance.randrange(LARGEST)])
    around = 2 ** chance.randrange(22)
    return int(chance.choice([around - 1, around, around + 1, chance.randrange(around + 1)]))


def send_directly(port: int, body: bytes, chance: random.Random) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(delivery(body, chance))
        answer = parse(read_all(connection))
    return answer.status, answer.text.strip()


def send_through(nginx: Nginx, body: bytes, chance: random.Random) -> tuple[int, str]:
    (answer,) = talk(nginx.connect(), delivery(body, chance))
    return answer.status, answer.body.decode().strip()


def delivery(body: bytes, chance: random.Random) -> bytes:
    """With a length or in chunks of some size, by POST or PUT."""
    method = chance.choice(["POST", "PUT"])
    chunk = chance.choice([0, 0, chance.randrange(1000, 1_000_000)])
    lines = [f"{method} /datafeed HTTP/1.1", "Host: localhost", "Connection: close", f"Feed: {DEPLOYED_FEED}"]
    lines.append("Transfer-Encoding: chunked" if chunk else f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode()
    if not chunk:
        return head + body
    pieces = (body[at : at + chunk] for at in range(0, len(body), chunk))
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def difference(store: Path, answered: tuple[int, str], body: bytes, way: str) -> Iterator[str]:
    """Return the faults of a stored delivery, and remove it; empty ones are acknowledged and not stored."""
    status, receipt_id = answered
    if status != 200:
        yield f"{way}, {len(body)} bytes: {status}"
        return
    path = store / data_path(receipt_id)
    if not body:
        if path.exists():
            yield f"{way}: nothing was sent and something stored"
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != hashlib.sha256(body).digest():
            yield f"{way}, {len(body)} bytes: stored differently"
    path.unlink()


# Damaged compressed data, compared with zlib and zipfile.

Content = bytes | list[tuple[str, bytes]] | None
Reader = Callable[[bytes], Content]


def damage_compressed(run: Run) -> None:
    """R9: two processes, one kind after the other in each task."""
    harmless = stricter = 0
    pool = multiprocessing.get_context("fork").Pool(os.cpu_count() or 1, initializer=end_quietly)
    try:
        tasks = ((run.chance.randrange(10**9), str(run.folder)) for _ in range(-(-run.goal // CASES_OF_A_TASK)))
        for taken, refused, wrong in pool.imap_unordered(damaged_cases, tasks):
            harmless += taken
            stricter += refused
            run.note_wrong(*wrong)
            run.count(CASES_OF_A_TASK)
            if not run.more():
                break
    finally:
        pool.terminate()
        pool.join()
    run.figures["accepted, content as the other reader has it"] = f"{harmless:,}"
    run.figures["refused though the other reads something"] = f"{stricter:,}"


def end_quietly() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def damaged_cases(task: tuple[int, str], cases: int = CASES_OF_A_TASK) -> tuple[int, int, list[str]]:
    """Of one seed: how many were accepted, how many only we refused, and on which we are wrong."""
    seed, folder = task
    chance = random.Random(seed)
    wrong: list[str] = []
    accepted = stricter = 0
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        our_zip = partial(ours_of_zip, Path(file.name))
        kinds: list[tuple[Reader, Reader, bytes]] = [
            (ours_of_gzip, zlibs, sample_gzip(chance)),
            (ours_of_gzip, zlibs, sample_gzip(chance) * 2 + bytes(chance.randrange(40))),
            (our_zip, zipfiles, sample_zip(chance)),
        ]
        for ours, theirs, good in kinds:
            if ours(good) is None or ours(good) != theirs(good):
                wrong.append(f"good data is not read as by others: {good.hex()}")
        for _ in range(cases):
            ours, theirs, good = chance.choice(kinds)
            data = damaged(good, chance)
            read, other = ours(data), theirs(data)
            accepted += read is not None
            stricter += read is None and other is not None
            if read is not None and not is_harmless(read, other, ours(good)):
                wrong.append(f"accepted although it is damaged: {data.hex()}")
    return accepted, stricter, wrong


def is_harmless(read: Content, other: Content, good: Content) -> bool:
    """Of a ZIP a version or a time may be changed, of which another reader may be afraid; never its content."""
    return read == other or (other is None and isinstance(read, list) and read == good)


def sample_gzip(chance: random.Random) -> bytes:
    return gzip.compress(chance.randbytes(40) + b"a line of the log\n" * chance.randrange(20), mtime=0)


def sample_zip(chance: random.Random) -> bytes:
    entries = [("1.meta", b"Feed:X\nSystem: S\n"), ("1.dat", chance.randbytes(60)), ("2.dat", b"line\n" * 30)]
    return zipped(*entries, stored=chance.random() < 0.5)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Flipped bits, changed, cut, moved, doubled or inserted bytes: one damage or several."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        if not changed:
            break
        at, to = sorted(chance.randrange(len(changed) + 1) for _ in range(2))
        match chance.randrange(8):
            case 0 | 1 | 2:
                place = chance.randrange(len(changed) * 8)
                changed[place // 8] ^= 1 << place % 8
            case 3:
                changed[chance.randrange(len(changed))] = chance.choice([0, 1, 0xFF, chance.randrange(256)])
            case 4:
                del changed[at:]
            case 5:
                del changed[at:to]
            case 6:
                changed[at:at] = chance.choice([bytes(4), b"PK\x05\x06", b"\x1f\x8b\x08\x00", chance.randbytes(3)])
            case 7:
                changed[at:at] = changed[at:to]
    return bytes(changed)


def ours_of_gzip(data: bytes) -> Content:
    """Return what the portal reads; None where it refuses."""
    reader = Gunzip()
    try:
        content = b"".join(reader.feed(data))
        reader.finish()
    except StreamInvalid:
        return None
    return content


def zlibs(data: bytes) -> Content:
    """Return what zlib reads: one member after another, and zeros after the last."""
    content = b""
    while True:
        reader = zlib.decompressobj(31)
        try:
            content += reader.decompress(data)
        except zlib.error:
            return None
        if not reader.eof:
            return None
        data = reader.unused_data
        if not data.strip(b"\0"):
            return content


def ours_of_zip(path: Path, data: bytes) -> Content:
    path.write_bytes(data)
    try:
        read_archive(path)
        with path.open("rb") as file:
            entries = [entry for entry in read_directory(file) if not entry.is_folder]
            return [(entry.name, b"".join(read_entry(file, entry))) for entry in entries]
    except StreamInvalid:
        return None


def zipfiles(data: bytes) -> Content:
    """Return what Python's own reader finds."""
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            return [(name, archive.read(name)) for name in names]
    return None


# Duplicates, and archives for several feeds.


def resend(run: Run) -> None:
    """R11: the sender's connection breaks before it can read its answer, and it sends again."""
    resent: list[str] = []
    with stage.portal(run) as portal:
        portal.start("supervisor")
        while run.more():
            sent = parcel(run.chance, 5000)
            guid = run.chance.random() < 0.5
            if guid:
                sent = Parcel({**sent.headers, "GUID": f"guid-{run.done}"}, sent.body, sent.chunked)
            with portal.connect() as connection:
                connection.sendall(sent.request())
                connection.settimeout(5)
                connection.recv(1)  # it was answered, and the answer is not read to its end
            # A sender that packs again sends other bytes under the same GUID.
            again = Parcel(sent.headers, gzip.compress(b"packed again")) if guid and "GZIP" in str(sent) else sent
            answer = deliver(portal, again)
            if answer is None or answer.outcome != (200, 0):
                run.note_wrong(f"the second delivery was answered {answer}")
            else:
                resent.append(answer.text.strip())
            run.count()
        portal.stop()
        database = portal.database()
        marked = dict(database.execute("SELECT receipt_id, duplicate_of FROM feeds_receipt"))
        database.close()
        run.note_wrong(*(f"{name} is not marked" for name in resent if not marked.get(name)))
        if len(marked) != 2 * run.done:
            run.note_wrong(f"{2 * run.done} deliveries, {len(marked)} stored")
        stage.judge(run, portal, {})


#: The feeds that a portal of the tests has, and what each does with a delivery.
FATES = {
    "OPEN-FEED": (0, "Receive"),
    "OTHER-FEED": (0, "Receive"),
    "DROP-FEED": (0, "Drop"),
    "REJECT-FEED": (110, "Reject"),
    "NO-SUCH-FEED": (110, "Reject"),
    "GUARDED-FEED": (300, "Reject"),
}
MOSTLY_GOOD = ["OPEN-FEED", "OPEN-FEED", "OTHER-FEED", "DROP-FEED", *FATES]
HTTP = {0: 200, 110: 406, 300: 401}


def send_archives(run: Run) -> None:
    """R18: archives of any mixture of feeds are stored whole, dropped whole or refused whole."""
    stored = 0
    with stage.portal(run) as portal:
        portal.start("supervisor")
        lock = threading.Lock()

        def sender(chance: random.Random) -> None:
            nonlocal stored
            while True:
                with lock:
                    if not run.more():
                        return
                    run.count()
                wrong, kept = send_one(portal, chance)
                with lock:
                    run.note_wrong(*wrong)
                    stored += kept

        seeds = [run.chance.randrange(10**9) for _ in range(4)]
        threads = [threading.Thread(target=sender, args=(random.Random(seed),), daemon=True) for seed in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        portal.stop()
        if len(portal.rows()) != stored:
            run.note_wrong(f"{len(portal.rows())} rows for {stored} archives that must be stored")
        stage.judge(run, portal, {})
    run.figures["stored"] = f"{stored:,}"


def send_one(portal: Portal, chance: random.Random) -> tuple[list[str], bool]:
    """Send an archive; what is wrong with the answer and what was stored, and whether it must be stored."""
    named = [
        chance.choice([None, "OPEN-FEED", "OTHER-FEED", "DROP-FEED", *FATES]) for _ in range(chance.randrange(5))
    ]
    asked = chance.choice(["OPEN-FEED", "OPEN-FEED", "OTHER-FEED", "DROP-FEED", *FATES])
    entries: list[tuple[str, bytes]] = []
    for number, feed in enumerate(named):
        entries.append((f"{number}.dat", chance.randbytes(20)))
        if feed is not None:
            entries.append((f"{number}.meta", f"Feed:{feed}\n".encode()))
    chance.shuffle(entries)
    body = zipped(*entries)
    feeds = [feed or asked for feed in named]
    codes = [FATES[feed][0] for feed in feeds if FATES[feed][0]]
    expected = FATES[asked][0] or (min(codes) if codes else 0)
    keeps = not expected and any(FATES[feed][1] == "Receive" for feed in feeds)
    data = request("/datafeed", {"Feed": asked, "Compression": "ZIP"}, body, chunked=chance.random() < 0.5)
    with portal.connect() as connection:
        connection.sendall(data)
        answer = parse(read_all(connection))
    what = f"{asked} with {named}: {answer.outcome}"
    if answer.outcome != (HTTP[expected], expected):
        return [what], keeps
    if expected:
        return [], False
    path = portal.store / data_path(answer.text.strip())
    if path.exists() != keeps or (keeps and path.read_bytes() != body):
        return [f"{what}, {'not stored as sent' if keeps else 'stored although all is dropped'}"], keeps
    return [], keeps
