"""What promtool does not look at in deploy/monitoring.

monitoring.py faults DIR DOCS   prints each fault of the alerts and the dashboard; exit 1 if there is one
monitoring.py rules DIR         the dashboard's expressions as recording rules, which promtool can parse
"""

import json
import pathlib
import re
import sys

import yaml

ANNOTATIONS = {"summary", "description", "runbook_url"}
VARIABLES = ["datasource", "namespace", "pod"]


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions(dashboard):
    """Each panel's title and expressions, with something in the place of Grafana's variables."""
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "1m")
            yield panel["title"], re.sub(r"\$(namespace|pod)\b", ".*", expr)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def faults_of_alerts(where, docs):
    alerts = [rule for group in yaml.safe_load((where / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
    cases = [
        (test["alertname"], bool(test["exp_alerts"]))
        for case in yaml.safe_load((where / "alerts.test.yaml").read_text())["tests"]
        for test in case["alert_rule_test"]
    ]
    for alert in alerts:
        name = alert["alert"]
        if not name.startswith("Klatsch"):
            yield f"{name}: its name does not begin with Klatsch"
        if (name, True) not in cases:
            yield f"{name}: no test in which it fires"
        if (name, False) not in cases:
            yield f"{name}: no test in which it stays quiet"
        if alert.get("labels", {}).get("severity") not in ("critical", "warning"):
            yield f"{name}: no severity"
        annotations = alert.get("annotations", {})
        if set(annotations) != ANNOTATIONS:
            yield f"{name}: its annotations are {sorted(annotations)}"
        page, _, anchor = annotations.get("runbook_url", "").rpartition("#")
        page = docs / page.rpartition("/")[2]
        if not page.is_file() or anchor not in anchors(page):
            yield f"{name}: {annotations.get('runbook_url')} leads nowhere"
        if anchor != name.lower():
            yield f"{name}: its runbook entry is {anchor}"
    names = {alert["alert"] for alert in alerts}
    yield from (f"{name}: tested, and there is no such alert" for name in sorted({name for name, _ in cases} - names))
    entries = anchors(docs / "RUNBOOK.md")
    yield from (f"{a}: in the runbook, and there is no such alert" for a in sorted(entries) if a.startswith("klatsch") and a not in {n.lower() for n in names})


def faults_of_dashboard(where):
    dashboard = json.loads((where / "dashboard.json").read_text())
    names = [variable["name"] for variable in dashboard["templating"]["list"]]
    if names != VARIABLES:
        yield f"dashboard: its variables are {names}"
    ids = [panel["id"] for panel in panels(dashboard)]
    if len(ids) != len(set(ids)):
        yield "dashboard: two panels have one id"
    taken = {}
    for panel in dashboard["panels"]:
        title, at = panel["title"], panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if taken.setdefault((x, y), title) != title or x >= 24:
                    yield f"dashboard: {title} lies over {taken[(x, y)]} or beyond the edge"
                    break
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            yield f"dashboard: {title} has no description"
        if not panel.get("targets"):
            yield f"dashboard: {title} shows nothing"
        for target in panel.get("targets", []):
            if target["datasource"]["uid"] != "${datasource}":
                yield f"dashboard: {title} asks a data source of its own"
            if "$namespace" not in target["expr"] or "$pod" not in target["expr"]:
                yield f"dashboard: {title} does not heed the variables"


def main():
    where = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "rules":
        dashboard = json.loads((where / "dashboard.json").read_text())
        rules = [
            {"record": f"panel:{n}", "expr": expr, "labels": {"title": title}}
            for n, (title, expr) in enumerate(expressions(dashboard))
        ]
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout, sort_keys=False)
        return 0
    faults = [*faults_of_alerts(where, pathlib.Path(sys.argv[3])), *faults_of_dashboard(where)]
    for fault in faults:
        print(f"monitoring: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
