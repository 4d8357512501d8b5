"""The findings of a soak as one Markdown table."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.soak.trial import MOST_SHOWN, Finding

HEAD = ("demand", "what was done", "count", "wrong", "figures", "wanted", "verdict")


def as_table(findings: Sequence[Finding], *, seed: int, minutes: float, of: int) -> str:
    """The table with a line about the run, and what was wrong below it."""
    took = sum(finding.seconds for finding in findings) / 60
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}, Python {platform.python_version()}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}; seed {seed}, {took:.0f} of {minutes:g} minutes, "
        f"{len(findings)} of {of} trials.",
        "",
        row(HEAD),
        row(["---"] * len(HEAD)),
        *(row(cells(finding)) for finding in sorted(findings, key=lambda finding: finding.trial.name)),
    ]
    for finding in findings:
        if finding.failed:
            messages = [*finding.wrong[:MOST_SHOWN], *(f"not as wanted: {missed}" for missed in finding.missed)]
            lines += [
                "",
                f"{finding.trial.name} FAILED:",
                "",
                *(f"* {' '.join(text.split())}" for text in messages),
            ]
    return "\n".join(lines)


def cells(finding: Finding) -> list[str]:
    trial = finding.trial
    figures = [f"{name} {value}" for name, value in finding.figures]
    return [
        trial.name,
        trial.what,
        f"{finding.done:,} {trial.unit}",
        str(len(finding.wrong)),
        "; ".join([*figures, f"{finding.seconds:.0f} s"]),
        trial.wanted,
        finding.verdict,
    ]


def row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"
