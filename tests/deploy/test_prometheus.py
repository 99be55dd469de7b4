"""Scrape configuration, alerts and dashboard, with a real Prometheus."""

import re
import subprocess

import yaml

from tests.deploy.places import DEPLOY, answered, dashboard_queries, found

FOLDER = DEPLOY / "prometheus"


def promtool(*arguments: str) -> str:
    result = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_the_scrape_configuration_is_valid() -> None:
    assert promtool("check", "config", "prometheus.yml") == ""


def test_every_alert_fires_when_it_must_and_is_silent_when_all_is_well() -> None:
    assert promtool("test", "rules", "alerts.test.yml") == ""


def test_every_query_of_the_dashboard_has_an_answer_during_a_run(scraped: str) -> None:
    empty = [it for it in dashboard_queries() if not answered(scraped, it)]
    assert empty == []


def test_every_alert_asks_for_metrics_that_are_there(scraped: str) -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    asked = {name for it in found(rules, "expr") for name in re.findall(r"\bingestor_\w+", str(it))}
    assert asked
    assert [it for it in sorted(asked) if not answered(scraped, it)] == []
