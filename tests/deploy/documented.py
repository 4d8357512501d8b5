"""Every fenced block of the documentation, and who runs it: nothing that can be pasted goes untried (S33)."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]
#: `text` shows something: a block of it is listed below, as one that somebody reads or runs.
SHELL = frozenset({"sh", "bash", "console", ""})
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)

#: Run by the tests in `test_documented_blocks.py` and `test_documented_nginx.py`, wherever they stand.
BY_LANGUAGE = frozenset({"nginx", "systemd", "ini"})
#: Pages whose shell blocks run in `test_documented_blocks.py`, each page from its top to its end.
SHELL_PAGES = ("README.md", "docs/sending-data.md", "docs/retry.md", "docs/operating.md", "docs/sign-in.md")
#: Page and language: the file that runs all such blocks.
ELSEWHERE = {
    ("docs/api.md", "sh"): "tests/portal/test_api_documentation.py",
    ("docs/api.md", "python"): "tests/portal/test_api_documentation.py",
    ("docs/second-approval.md", "sh"): "tests/portal/test_api_documentation.py",
    ("docs/second-approval.md", "python"): "tests/portal/test_api_documentation.py",
    ("docs/catalogue.md", "sh"): "tests/codes/test_documentation_live.py",
    ("docs/catalogue.md", "console"): "tests/codes/test_documentation.py",
    ("docs/catalogue.md", "toml"): "tests/codes/test_documentation.py",
}
#: Page and first line: the file that runs this block.
ONE_ELSEWHERE = {
    ("CONTRIBUTING.md", "portal.server   portal.urls"): "tests/test_contributing.py",
    ("docs/operating.md", "createdb --host=db.example.org"): "tests/feeds/maintenance/test_backup_postgresql.py",
    ("docs/operating.md", "python3 -m venv .venv"): "tests/deploy/test_install.py",
    ("docs/operating.md", "python3 -m pip download"): "tests/deploy/test_install.py",
    ("docs/operating.md", "PIP_NO_INDEX=1"): "tests/deploy/test_install.py",
}
#: Page and first line: why nobody runs this block.
NOT_RUN = {
    ("docs/operating.md", "pip-audit --strict"): "asks a database in the internet, which tests never reach",
    (
        "docs/operating.md",
        ".venv/bin/pip install --no-deps --only-binary=:all: --require-hashes -r constraints-g",
    ): ("installs gunicorn from an index; tests/deploy/test_gunicorn.py runs its second line"),
    ("docs/operating.md", "/srv/hand-over/scanned/"): "what lies in a folder; there is nothing to run",
    ("docs/sign-in.md", "INSTALLED_APPS +="): "needs mozilla-django-oidc, which is none of our packages",
    ("docs/api.md", "Deprecation: @"): "fields of an answer; there is nothing to run",
}


@dataclass(frozen=True)
class Block:
    """One fenced block without its indentation; `line` is where it begins in the page."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_shell(self) -> bool:
        return self.language in SHELL

    def listed_in(self, table: dict[tuple[str, str], str]) -> list[tuple[str, str]]:
        return [(page, begin) for page, begin in table if page == self.page and self.text.startswith(begin)]

    @property
    def runners(self) -> list[str]:
        """Each way in which this block is accounted for; there is to be one."""
        found = [self.language] if self.language in BY_LANGUAGE else []
        if (self.page, self.language) in ELSEWHERE:
            found.append(ELSEWHERE[self.page, self.language])
        found += [ONE_ELSEWHERE[key] for key in self.listed_in(ONE_ELSEWHERE)]
        found += [NOT_RUN[key] for key in self.listed_in(NOT_RUN)]
        if not found and self.is_shell and self.page in SHELL_PAGES:
            found.append("test_documented_blocks.py")
        return found


def blocks() -> list[Block]:
    """All of them, in the order of pages and lines."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            body = textwrap.dedent(match["text"])
            found.append(Block(str(path.relative_to(ROOT)), line, match["language"], body))
    return found


def in_language(language: str) -> list[Block]:
    return [block for block in blocks() if block.language == language]


def shell_of(page: str) -> list[Block]:
    """What a reader of the page would type, top to bottom; what others run is left out."""
    return [block for block in blocks() if block.page == page and block.runners == ["test_documented_blocks.py"]]
