"""The shipped alerts, dashboard and page about metrics speak of metrics that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from feeds.monitoring.maintenance_runs import TASKS, MaintenanceCollector, Run
from feeds.monitoring.metrics import NAMESPACE, Metrics
from feeds.monitoring.snapshot import FeedSnapshot, SnapshotCollector
from feeds.store.spool import SpaceMark
from portal.server.metrics_page import BuildCollector

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboard.json"
PAGE = ROOT / "docs/metrics.md"
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


def families() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of every metric, by its name."""
    folder = Path("/nowhere")
    standing = FeedSnapshot(1, 1, {"Receive": 1}, 1, 1.0, 1, {"FEED": 1.0}, {"FEED": 1.0}, {"stored": 1}, 1.0)
    runs = dict.fromkeys(TASKS, Run(1.0, ok=True, succeeded=1.0))
    collector = SnapshotCollector(folder, SpaceMark(ROOT), most_feeds=1)
    found = [
        *Metrics().registry.collect(),
        *collector._figures(standing),
        *collector._disk(),
        *MaintenanceCollector(folder)._figures(runs),
        *BuildCollector().collect(),
    ]
    return {
        metric.name: (
            metric.type,
            {label for sample in metric.samples for label in sample.labels} - {"le"},
        )
        for metric in found
    }


FAMILIES = families()


def series() -> dict[str, set[str]]:
    """The names that a query can use, each with its labels."""
    names: dict[str, set[str]] = {}
    for name, (kind, labels) in FAMILIES.items():
        if kind == "counter":
            names[f"{name}_total"] = labels
        elif kind == "histogram":
            names |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            names[name] = labels
    return names


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Where each query stands, and the query."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def used(query: str) -> set[str]:
    return set(re.findall(rf"{NAMESPACE}_\w+", query))


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_queries_use_series_and_labels_that_there_are(where: str, query: str) -> None:
    known = series()
    assert used(query) <= known.keys(), where
    own = set().union(*(known[name] for name in used(query))) | {"instance", "job"}
    asked = re.findall(r"(?:by|on|without) \(([^)]*)\)", query)
    asked += re.findall(r"(\w+)=~?\"", query)
    assert {label.strip() for group in asked for label in group.split(",")} <= own, where


def test_label_values_in_queries_can_occur() -> None:
    can = {
        tuple(pair)
        for metric in Metrics().registry.collect()
        for sample in metric.samples
        for pair in sample.labels.items()
    }
    can |= {("task", task) for task in TASKS}
    for where, query in queries():
        for label, value in re.findall(r"(\w+)=~?\"([^\"$]*)\"", query):
            for word in value.split("|") if label != "job" else ():
                assert (label, word) in can, where


def test_alerts_say_what_is_wrong_and_how_bad_it_is() -> None:
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names))
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["description"].endswith(".")
        labels = set(re.findall(r"\$labels\.(\w+)", str(alert["annotations"])))
        known = set().union(*(series()[name] for name in used(alert["expr"]))) | {"instance"}
        assert labels <= known


def test_there_is_an_alert_for_what_matters_most() -> None:
    watched = set().union(*(used(alert["expr"]) for alert in alerts()))
    for name in (
        "deliveries_total",
        "feed_stopped_timestamp_seconds",
        "store_disk_free_bytes",
        "ready",
        "certificate_rule_next_end_timestamp_seconds",
        "store_flush_failures_total",
        "decision_faults_total",
    ):
        assert f"{NAMESPACE}_{name}" in watched


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    every = board["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in every
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places)), "panels lie over each other"
    assert all(0 <= x < 24 for x, _ in places)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) <= variables | {"__rate_interval", "__all"}
    for panel in panels():
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]


def test_the_dashboard_shows_every_metric() -> None:
    shown = set().union(*(used(query) for _, query in queries()))
    for name, (kind, _) in FAMILIES.items():
        names = {"counter": {f"{name}_total"}, "histogram": {f"{name}_bucket"}}.get(kind, {name})
        assert shown & names, name


def test_the_documentation_has_every_metric_with_its_labels_and_no_other() -> None:
    documented = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            for name in re.findall(r"`(\w+)`", cells[0]):
                documented[f"{NAMESPACE}_{name}"] = set(re.findall(r"`(\w+)`", cells[1]))
    expected = {f"{name}_total" if kind == "counter" else name: labels for name, (kind, labels) in FAMILIES.items()}
    assert documented == expected


def test_names_follow_the_conventions() -> None:
    for name, (kind, _) in FAMILIES.items():
        assert re.fullmatch(rf"{NAMESPACE}_[a-z_]+", name)
        assert not name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_kilobytes"))
        if kind == "histogram" or "duration" in name:
            assert name.endswith("_seconds")
        if "timestamp" in name:
            assert name.endswith("_timestamp_seconds")


@needs_promtool
def test_promtool_reads_the_alerts_and_the_dashboards_queries(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, (_, query) in enumerate(queries())
    ]
    queries_file = tmp_path / "queries.yml"
    queries_file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    for path in (ALERTS, queries_file):
        done = subprocess.run(
            ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_are_raised_and_kept_quiet(tmp_path: Path) -> None:
    """Made-up series of a bad day and of a good one, a value each minute, judged by Prometheus itself."""
    day = 86_400
    bad = {
        'up{job="stroom-portal"}': "0x400",
        "ready": "0x400",
        "health_checked_timestamp_seconds": "0+60x400",
        "store_disk_free_bytes": "1000x400",
        "store_disk_mark_bytes": "900x400",
        "store_flush_failures_total": "0x370 1x30",
        'deliveries_total{outcome="refused",http_status="500",stroom_status="999"}': "0+1x400",
        'deliveries_total{outcome="refused",http_status="403",stroom_status="310"}': "0x370 0+60x30",
        'decision_faults_total{surface="delivery"}': "0+1x400",
        "certificate_rule_next_end_timestamp_seconds": f"{3 * day}x400",
        'feed_stopped_timestamp_seconds{feed="F"}': f"{2 * day}x400",
        'store_commit_duration_seconds_bucket{le="1.0"}': "0x400",
        'store_commit_duration_seconds_bucket{le="2.5"}': "0+60x400",
        'store_commit_duration_seconds_bucket{le="+Inf"}': "0+60x400",
        "worker_starts_total": "2+1x400",
        'maintenance_ok{task="check"}': "0x400",
        'maintenance_ok{task="export"}': "1x400",
        'maintenance_succeeded_timestamp_seconds{task="backup"}': f"{-3 * day}x400",
        "receipts_oldest_waiting_timestamp_seconds": f"{-2 * day}x400",
    }
    good = {
        'up{job="stroom-portal"}': "1x400",
        "ready": "1x400",
        "health_checked_timestamp_seconds": "0+60x400",
        "store_disk_free_bytes": "9000x400",
        "store_disk_mark_bytes": "900x400",
        "store_flush_failures_total": "0x400",
        "store_receipts": "5x400",
        'deliveries_total{outcome="received",http_status="200",stroom_status="0"}': "0+9x400",
        'deliveries_total{outcome="refused",http_status="406",stroom_status="110"}': "0+2x400",
        "certificate_rule_next_end_timestamp_seconds": f"{20 * day}x400",
        'feed_last_receipt_timestamp_seconds{feed="F"}': "0+60x400",
        'feed_last_receipt_timestamp_seconds{feed="LONG-GONE"}': f"{-9 * day}x400",
        'store_commit_duration_seconds_bucket{le="0.01"}': "0+60x400",
        'store_commit_duration_seconds_bucket{le="+Inf"}': "0+60x400",
        "worker_starts_total": "2x400",
        'maintenance_ok{task="export"}': "1x400",
        'maintenance_succeeded_timestamp_seconds{task="export"}': "0+60x400",
        "receipts_oldest_waiting_timestamp_seconds": "0+60x400",
    }
    # The one left out needs a portal that can be read.
    raised_on_a_bad_day = {alert["alert"] for alert in alerts()} - {"StroomPortalFiguresMissing"}
    assert _raised(tmp_path, bad, "390m") == raised_on_a_bad_day
    for soon_or_late in ("20m", "50m", "390m"):
        assert _raised(tmp_path, good, soon_or_late) == set()
    del good["store_receipts"]
    assert _raised(tmp_path, good, "390m") == {"StroomPortalFiguresMissing"}


def _raised(tmp_path: Path, inputs: dict[str, str], when: str) -> set[str]:
    """Which alerts are raised: those that promtool says are there though none was expected."""
    names = sorted(alert["alert"] for alert in alerts())
    test = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": _full(name), "values": values} for name, values in inputs.items()],
                "alert_rule_test": [{"eval_time": when, "alertname": name, "exp_alerts": []} for name in names],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    found = set(re.findall(r"alertname: ?(\w+)", output))
    assert found or done.returncode == 0, output
    return found


def _full(name: str) -> str:
    """A series of our one portal, from its short name."""
    name, _, labels = name.rstrip("}").partition("{")
    name = name if name == "up" else f"{NAMESPACE}_{name}"
    return f'{name}{{instance="p"{"," if labels else ""}{labels}}}'
