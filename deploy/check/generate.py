"""What is made from other files and committed all the same: `check-deploy write` writes it, the check compares."""
import re

from settings import environment, help_text
from tree import REPOSITORY, of_kind

RULES, RULES_OF = "deploy/kubernetes/components/alerts/prometheusrule.yaml", "deploy/monitoring/alerts.yaml"
BOARD, BOARD_OF = "deploy/kubernetes/components/dashboard/dashboard.json", "deploy/monitoring/dashboard.json"
README, BEGIN, END = "deploy/README.md", "<!-- deploy settings -->\n", "<!-- end -->"
# kubectl apply keeps a copy of the object in an annotation, and all annotations may have 256 KiB.
LARGEST = 200_000

RULE_HEAD = """\
# Written by `deploy/local/check-deploy write` from deploy/monitoring/alerts.yaml, whose words these are.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: klatsch-edge
  labels:
    app.kubernetes.io/name: klatsch-edge
    app.kubernetes.io/part-of: klatsch
spec:
"""


def prometheus_rule(tree):
    """The rules' text as it is, two columns to the right."""
    text = tree.text(RULES_OF)
    lines = text[text.index("groups:"):].splitlines()
    return RULE_HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


def flags():
    """(heading, flag, value, help, variable, default) of each, from --help."""
    heading, found = None, []
    for line in help_text().splitlines():
        if re.fullmatch(r"[A-Z][A-Za-z ]*:", line):
            heading = line[:-1]
        elif re.match(r" +(-., )?--", line):
            found.append([heading, line.strip(), ""])
        elif line.startswith("          ") and found:
            found[-1][2] += f" {line.strip()}"
        elif line and not line.startswith(" "):
            heading = None if heading in (None, "Logging") else heading
    for heading, flag, text in found:
        variable = re.search(r"\[env: (\w+)\]", text)
        if variable:
            default = re.search(r"\[default: ([^]]*)\]", text)
            plain = re.sub(r" *\[(env|default): [^]]*\]", "", text).strip()
            yield heading, flag, plain, variable[1], default[1] if default else "–"


def settings_table(tree):
    told = {case: environment(of_kind(objects, "Deployment")[0].pod["containers"][0], objects)
            for case, objects in ((case, tree.objects(case)) for case in ("production", "local"))}
    rows = ["| variable | flag | default | production | what |", "|---|---|---|---|---|"]
    raw = {v["name"]: v.get("value") for o in of_kind(tree.objects("production"), "Deployment")
           for v in o.pod["containers"][0]["env"]}
    last = None
    for heading, flag, text, variable, default in flags():
        if heading != last:
            rows.append(f"| **{heading}** | | | | |")
            last = heading
        value = raw.get(variable) or told["production"].get(variable, "")
        value = "<br>".join(f"`{part}`" for part in value.splitlines())
        cells = [f"`{variable}`", f"`{flag}`", default, value, text]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def made(tree):
    """(path, text as it must be) of all that this module makes."""
    yield RULES, prometheus_rule(tree)
    yield BOARD, tree.text(BOARD_OF)
    before, begin, rest = tree.text(README).partition(BEGIN)
    yield README, before + begin + settings_table(tree) + END + rest.partition(END)[2]


def write(tree):
    for path, text in made(tree):
        (REPOSITORY / path).write_text(text)


def check(tree):
    """The components alerts and dashboard are deploy/monitoring's; the settings table is `klatsch-edge --help`'s."""
    for path, text in made(tree):
        if not tree.exists(path) or tree.text(path) != text:
            yield f"{path} is not what it is made from: deploy/local/check-deploy write"
    for path in (RULES, BOARD):
        if tree.exists(path) and len(tree.text(path)) > LARGEST:
            yield f"{path} is too large for kubectl apply"
