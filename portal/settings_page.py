"""Writes docs/settings.md from the table of settings: `python -m portal.settings_page`."""

from portal.environment import BASE_DIR
from portal.settings_table import SETTINGS, Setting

PAGE = BASE_DIR / "docs/settings.md"
_HEAD = """\
# Settings

All settings are environment variables. They are checked at start; every fault is reported at once with its
remedy, and a misspelt `PORTAL_…` name is a fault too. Names that Kubernetes sets for a Service called `portal` are
ignored with one warning.

| name | default | meaning |
| --- | --- | --- |
"""


def settings_page() -> str:
    """Return the text of docs/settings.md."""
    return _HEAD + "".join(f"| `{setting.name}` | {_default(setting)} | {setting.doc} |\n" for setting in SETTINGS)


def _default(setting: Setting) -> str:
    return setting.shown_default or f"`{setting.default}`"


if __name__ == "__main__":
    PAGE.write_text(settings_page(), encoding="utf-8")
