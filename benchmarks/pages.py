"""Workloads of the catalogue's pages and API: P6 and P7."""

import gzip
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import load
from benchmarks.portal import ROOT, free_port, running
from benchmarks.table import Row, alternate
from benchmarks.wire import Missing

#: What a browser sends with a page; its answers are kept under a key of their own, so it meets an empty cache.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Cookie": "csrftoken=benchmark; theme=dark",
}
WARM = ("/codes/http/503/", "/codes/", "/api/v1/codes/http/503/")
COLD = (
    "/codes/http/503/",
    "/codes/",
    "/codes/?q=timeout",
    "/codes/disagreements/",
    "/codes/compare/?codes=502,504",
    "/codes/lookup/?http=406&stroom=110",
    "/api/v1/codes/http/503/",
)


def warm() -> Iterator[Row]:
    """P6: answers in the forms that browsers ask for, compared with nginx and the same bytes.

    The browser asks first: no request in another form may have filled the cache for it.
    """
    with running(PORTAL_ANONYMOUS_RATE="0") as portal:
        for path in WARM:
            packed, tag = fetch(portal.port, path, BROWSER)
            with nginx_serving(page=gzip.decompress(packed), packed=packed) as nginx:
                confirmed = {"If-None-Match": fetch(nginx, "/packed")[1]}
                forms = {
                    "gzip": (BROWSER, {}, 200),
                    "304": ({**BROWSER, "If-None-Match": tag}, confirmed, 304),
                }
                for form, (headers, file_headers, status) in forms.items():
                    ours = load.request("GET", path, headers)
                    theirs = load.request("GET", "/packed", file_headers)
                    rate, bare = alternate(
                        lambda ours=ours, status=status: load.run(portal.port, ours, status=status).rate,  # type: ignore[misc]
                        lambda theirs=theirs, status=status, nginx=nginx: (
                            load.run(  # type: ignore[misc]
                                nginx, theirs, status=status
                            ).rate
                        ),
                        rounds=3,
                    )
                    yield Row("P6", f"{path}, {form}", f"{rate:,.0f}/s", f"{bare:,.0f}/s nginx", rate / bare, 0.6)


def cold() -> Iterator[Row]:
    """P7: processor time of a page that is made, by Django alone."""
    with running(PORTAL_ANONYMOUS_RATE="0") as portal:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.cold", *COLD],
            cwd=ROOT,
            env=portal.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    for path, milliseconds in json.loads(done.stdout).items():
        yield Row("P7", f"cold {path}", f"{milliseconds:.2f} ms CPU", "", milliseconds, 3, " ms", at_most=True)


def fetch(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    # The host that the load asks for: pages name it, so another one has another tag.
    connection.request("GET", path, headers={"Host": "127.0.0.1", **(headers or {})})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} was answered {answer.status}")
    return body, answer.headers.get("ETag", "")


@contextmanager
def nginx_serving(**files: bytes) -> Iterator[int]:
    """A throw-away nginx with these files, as the limit for pages.

    Raises:
        Missing: nginx is not installed.
    """
    program = shutil.which("nginx")
    if program is None:
        raise Missing("nginx is not installed")
    folder = Path(tempfile.mkdtemp(prefix="portal-bench-nginx-"))
    for name, content in files.items():
        (folder / name).write_bytes(content)
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"worker_processes 2; pid {folder}/pid; error_log {folder}/error.log; daemon off;\n"
        "events {}\nhttp { access_log off; keepalive_requests 1000000; "
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; "
        f"uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; "
        f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    folder.chmod(0o755)
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    time.sleep(0.5)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
