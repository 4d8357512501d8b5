"""Lints the OpenAPI description, generates clients in Python and TypeScript, and runs both against a portal.

    .venv/bin/python .ci/clients/check.py

The tools are pinned and installed here: those of Python into `.venv-clients`, those of Node into `node_modules`.
Where Node is missing, what needs it is left out and said. The portal has another pattern for names of feeds than
the description, which must not matter to a client.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
DESCRIPTION = ROOT / "docs" / "openapi.yaml"
PYTHON = ROOT / ".venv-clients" / "bin"
PATTERN = "^[a-z][a-z.]{2,}$"
MAKE_TOKEN = (
    "from django.contrib.auth.models import User; from portal.models import ApiToken;"
    "print('TOKEN', ApiToken.objects.issue(User.objects.create_superuser('robot'), scopes=['read', 'write'])[1])"
)


def run(*command: str | Path, cwd: Path = HERE, **environment: str) -> str:
    """Run a tool and return what it printed.

    Raises:
        SystemExit: it failed; with all that it printed.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def lint(tools: Path) -> None:
    """Report whatever a linter says: warnings count, exceptions are in its configuration with their reasons."""
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    output = run(
        tools / "redocly", "lint", DESCRIPTION, "--config", HERE / "redocly.yaml", "--format", "json", **quiet
    )
    if '"problems": []' not in output:
        raise SystemExit(output)
    run(tools / "spectral", "lint", DESCRIPTION, "--ruleset", HERE / "spectral.yaml", "--fail-severity", "hint")


def python_client(folder: Path) -> None:
    run(sys.executable, "deploy/install.py", ".venv-clients", ".ci/clients/constraints.txt", cwd=ROOT)
    made = folder / "portal_client"
    path = f"{PYTHON}{os.pathsep}{os.environ['PATH']}"
    generator = (PYTHON / "openapi-python-client", "generate", "--meta", "none")
    run(*generator, "--path", DESCRIPTION, "--output-path", made, PATH=path)
    shutil.copy(HERE / "reconcile.py", folder)
    mypy = (
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        HERE / "mypy.ini",
        "--cache-dir",
        ROOT / ".mypy_cache" / "clients",
    )
    run(*mypy, "--python-executable", PYTHON / "python", "reconcile.py", "portal_client", cwd=folder)


def typescript_client(tools: Path, folder: Path) -> None:
    for name in ("reconcile.ts", "tsconfig.json"):
        shutil.copy(HERE / name, folder)
    (folder / "package.json").write_text('{"type": "module"}\n')
    (folder / "node_modules").symlink_to(tools.parent)
    run(tools / "openapi-typescript", DESCRIPTION, "-o", folder / "schema.d.ts")
    run(tools / "tsc", "--project", folder, cwd=folder)


def node_tools() -> Path | None:
    """Install what package-lock.json lists, unless it is there; None without Node."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("skipped: linters and the client in TypeScript, as node and npm are not installed")
        return None
    stamp = HERE / "node_modules" / ".lock"
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        stamp.write_text(digest)
    return HERE / "node_modules" / ".bin"


def main() -> None:
    sys.path.insert(0, str(ROOT))
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from tests.serving import Serve

    tools = node_tools()
    with tempfile.TemporaryDirectory(prefix="portal-clients-") as name:
        folder = Path(name)
        for part in ("python", "typescript", "data"):
            (folder / part).mkdir()
        serve = Serve(folder / "data", PORTAL_FEED_NAME_PATTERN=PATTERN, PORTAL_WORKERS="1")
        with ThreadPoolExecutor() as pool:
            work = [pool.submit(serve.start), pool.submit(python_client, folder / "python")]
            if tools is not None:
                work += [pool.submit(lint, tools), pool.submit(typescript_client, tools, folder / "typescript")]
        try:
            for one in work:
                one.result()
            token = serve.shell(MAKE_TOKEN).split("TOKEN ")[1].split()[0]
            address = f"http://127.0.0.1:{serve.port}"
            run(PYTHON / "python", "reconcile.py", address, token, cwd=folder / "python")
            if tools is not None:
                run("node", "reconcile.js", address, token, cwd=folder / "typescript")
        finally:
            serve.stop()


if __name__ == "__main__":
    main()
