"""Every example for the shell in docs/catalogue.md is run against the real server."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codes import loading
from tests.codes.test_documentation import blocks
from tests.live import Live, running


@pytest.fixture
def live(tmp_path: Path, transactional_db: None, settings: Any) -> Iterator[Live]:
    loading.load()
    settings.STORE_DIR = tmp_path / "store"
    with running(tmp_path) as server:
        yield server


@pytest.mark.server
def test_every_example_for_the_shell_works(live: Live, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('write-out = "%{stderr}CALL %{http_code} %{url_effective}\\n"\n')
    for script in blocks("sh"):
        done = subprocess.run(
            ["bash", "-xeuo", "pipefail", "-c", script],
            cwd=tmp_path,
            env={**os.environ, "PORTAL": f"http://127.0.0.1:{live.port}", "CURL_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for status, url in re.findall(r"^CALL (\d+) (\S+)$", done.stderr, re.MULTILINE):
            meant = re.search(r"/try/http/(\d+)/", url)
            expected = (
                meant[1]
                if meant
                else {"/try/stroom/310/hostname": "403", "/datafeed": "406"}.get(
                    url.partition(str(live.port))[2], "200"
                )
            )
            assert status == expected, url
