"""Dashboard, alert rules and the operator's page speak of figures and alerts that there are."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry

from amazonsender.core.figures import Figures
from delivery.selectors.figures import engine_figures

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "deploy/prometheus/alerts.yml").read_text()
DASHBOARD = (ROOT / "deploy/grafana/amazonsender.json").read_text()
NAME = re.compile(r"\bamazonsender_[a-z0-9_]+")


def measured() -> dict[str, set[str]]:
    """Names of all samples that /metrics can hold, with their labels."""
    names: dict[str, set[str]] = {"amazonsender_database_up": set()}
    registry = CollectorRegistry()
    own = Figures(registry)
    for metric in (own.calls, own.tasks, own.requests):
        for suffix in ("bucket", "count", "sum"):
            names[f"{metric._name}_{suffix}"] = {*metric._labelnames, *(["le"] if suffix == "bucket" else [])}
    names[f"{own.messages._name}_total"] = set(own.messages._labelnames)
    return names | {figure.name: set(figure.labels) for figure in engine_figures()}


@pytest.mark.django_db
def test_rules_and_dashboard_name_figures_and_labels_that_exist() -> None:
    names = measured()
    expressions = [target["expr"] for panel in orjson.loads(DASHBOARD)["panels"] for target in panel["targets"]]

    for name, labels in re.findall(r"\b(amazonsender_[a-z0-9_]+)(\{[^}]*\})?", "\n".join([*expressions, RULES])):
        assert name in names, name
        assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)", labels)) <= names[name]


@pytest.mark.django_db
def test_every_figure_is_on_the_dashboard() -> None:
    shown = set(NAME.findall(DASHBOARD))

    for name in measured():
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        assert any(known.startswith(base) for known in shown), name


def test_every_alert_is_explained_and_every_explanation_has_its_alert() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES)
    page = (ROOT / "docs/operations.md").read_text()
    explained = re.findall(r"(?m)^\| (AmazonSender\w+) \|", page)

    assert len(alerts) > 10
    assert sorted(alerts) == sorted(explained)
    assert all(RULES.count(word) == len(alerts) for word in ("expr:", "severity:", "summary:"))
