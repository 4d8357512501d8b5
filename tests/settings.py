"""Settings for tests: a throw-away data dir, a quick password hasher, plain static files."""

import atexit
import os
import shutil
import tempfile

# Each worker of a parallel run has a folder of its own, not the one that it inherits from the process that started
# it; a folder that a test names for a process of its own stays.
_inherited = os.environ.get("PYTEST_XDIST_WORKER") and os.environ.get("PORTAL_DATA_DIR") == os.environ.get(
    "RUN_FOLDER"
)
if "PORTAL_DATA_DIR" not in os.environ or _inherited:
    os.environ["PORTAL_DATA_DIR"] = tempfile.mkdtemp(prefix="portal-test-")
    os.environ.setdefault("RUN_FOLDER", os.environ["PORTAL_DATA_DIR"])
    atexit.register(shutil.rmtree, os.environ["PORTAL_DATA_DIR"], ignore_errors=True)

from portal.settings import *  # noqa: E402, F403  # a settings module is made to be extended this way

# A file: the receiver's threads each have their own connection, and memory is not shared as a file's WAL is.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]  # noqa: F405
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405  # whitenoise warns about a missing folder
