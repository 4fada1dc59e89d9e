"""Dashboard, alert rules and the operator's page speak of figures and alerts that there are, in Prometheus's own grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from amazonsender.core.figures import Figures
from delivery.selectors.figures import engine_figures

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "deploy/prometheus/alerts.yml").read_text()
DASHBOARD = (ROOT / "deploy/grafana/amazonsender.json").read_text()
NAME = re.compile(r"\bamazonsender_[a-z0-9_]+")
COUNTERS = ("_total", "_count", "_sum", "_bucket")
OF_COUNTERS = {"rate", "increase", "irate"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(DASHBOARD)["panels"]
    return found


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels() for target in panel.get("targets", [])
    ]


def parts_of(expression: Any) -> Iterator[Any]:
    """An expression and all that it is made of."""
    yield expression
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        part = getattr(expression, name, None)
        if part is not None and not isinstance(part, str | float):
            yield from parts_of(part)
    for part in getattr(expression, "args", None) or ():
        yield from parts_of(part)


def selectors_in(expression: str) -> list[Any]:
    return [
        part for part in parts_of(promql_parser.parse(expression)) if isinstance(part, promql_parser.VectorSelector)
    ]


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
    seen = [selector for expression in expressions() for selector in selectors_in(expression)]

    assert len(seen) > 40
    for selector in seen:
        assert selector.name in names, selector.name
        assert {matcher.name for matcher in selector.matchers.matchers} <= names[selector.name], selector.name


@pytest.mark.django_db
def test_sums_are_grouped_by_labels_that_the_figures_have() -> None:
    names = measured()
    for expression in expressions():
        for part in parts_of(promql_parser.parse(expression)):
            if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
                inner = [one for one in parts_of(part.expr) if isinstance(one, promql_parser.VectorSelector)]
                for selector in inner:
                    assert set(part.modifier.labels) <= names[str(selector.name)], expression


def test_rates_are_of_counters_and_counters_are_only_looked_at_as_rates() -> None:
    for expression in expressions():
        rated: set[str] = set()
        for part in parts_of(promql_parser.parse(expression)):
            if isinstance(part, promql_parser.Call) and part.func.name in OF_COUNTERS:
                rated |= {str(one.name) for one in parts_of(part) if isinstance(one, promql_parser.VectorSelector)}
        counters = {str(one.name) for one in selectors_in(expression) if str(one.name).endswith(COUNTERS)}
        assert rated == counters, expression


@pytest.mark.django_db
def test_every_figure_is_on_the_dashboard() -> None:
    shown = set(NAME.findall(DASHBOARD))

    for name in measured():
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        assert any(known.startswith(base) for known in shown), name


def test_panels_have_places_of_their_own_and_what_grafana_needs() -> None:
    ids = [panel["id"] for panel in panels()]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels())
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(ids) == len(set(ids))
    assert len(cells) == len(set(cells))
    assert max(x for x, _y in cells) < 24
    for panel in panels():
        assert panel["title"]
        references = [target["refId"] for target in panel.get("targets", [])]
        assert len(references) == len(set(references))


def test_every_alert_says_what_prometheus_and_people_need() -> None:
    for rule in rules():
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        told = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = [
            set(part.modifier.labels)
            for part in parts_of(promql_parser.parse(rule["expr"]))
            if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None
        ]
        assert told <= set().union(*kept), rule["alert"]


def test_every_alert_is_explained_and_every_explanation_has_its_alert() -> None:
    alerts = [rule["alert"] for rule in rules()]
    page = (ROOT / "docs/operations.md").read_text()
    explained = re.findall(r"(?m)^\| (AmazonSender\w+) \|", page)

    assert len(alerts) > 10
    assert sorted(alerts) == sorted(explained)
