"""Other people's programs, each on what it is made for."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile

COMPOSE = "docker-compose.kafka.yml"
DOCKERFILE = "deploy/edge.Dockerfile"
BALANCERS = ["deploy/local/haproxy.cfg", "deploy/compose/haproxy.cfg"]
# What deploy/local/cluster writes into the first one.
FILLED = {"@PORT@": "18100", "@STATS@": "18200", "@SERVERS@": "  server e1 127.0.0.1:18101 port 18201"}
MONITORING = "deploy/monitoring"
# No CPU limit, and a version that never changes behind its tag: both on purpose.
SCORE_IGNORES = ["container-resources", "container-image-pull-policy"]
YAMLLINT = ("{extends: default, rules: {document-start: disable, line-length: {max: 160}, comments: {min-spaces-from-content: 1}, "
            "truthy: {check-keys: false}, indentation: {indent-sequences: consistent}, braces: {max-spaces-inside: 1}}}")


class Missing(Exception):
    """A program that is not there."""


def run(tree, *words, given=None):
    """The lines that a program complains with; none if it is content."""
    if not shutil.which(str(words[0])):
        raise Missing(words[0])
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, input=given, cwd=tree.root, check=False)
    if not done.returncode:
        return []
    lines = [line.replace(f"{tree.root}/", "") for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines or [f"{words[0]} ended with {done.returncode}"]


def needs(tree, *paths):
    """Faults for those that are not there."""
    return [f"{path} is not there" for path in paths if not tree.exists(path)]


def kube_score(tree):
    """kube-score's best practice for every case."""
    for case in tree.cases:
        ignored = [word for test in SCORE_IGNORES for word in ("--ignore-test", test)]
        lines = run(tree, "kube-score", "score", "--kubernetes-version", "v1.36", "--output-format", "ci", *ignored, "-", given=tree.rendered(case))
        yield from (f"{case}: {line}" for line in lines if line.startswith(("[CRITICAL]", "kube-score")))


def compose(tree):
    """docker compose reads the compose file with all its profiles; deploy/check/compose.py holds it against the rest."""
    if not tree.exists(COMPOSE):
        yield from needs(tree, COMPOSE)
        return
    # Its wrapper swallows the exit code; the program itself lies beside it.
    program = pathlib.Path(sysconfig.get_path("purelib")) / "compose/docker-compose"
    words = [program, "-f", COMPOSE, "--project-directory", tree.root, "--profile", "*", "config"]
    wrong = run(tree, *words, "-q")
    yield from wrong
    if wrong:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as rendered:
        rendered.write(subprocess.run([*map(str, words), "--format", "json"], capture_output=True, text=True, check=True, cwd=tree.root).stdout)
        rendered.flush()
        yield from run(tree, sys.executable, "-B", "deploy/check/compose.py", rendered.name, tree.root / BALANCERS[1], os.environ["KLATSCH_EDGE"])


def dockerfile(tree):
    """hadolint reads the image's file."""
    yield from run(tree, "hadolint", "--no-color", DOCKERFILE) if tree.exists(DOCKERFILE) else needs(tree, DOCKERFILE)


def haproxy(tree):
    """haproxy -c reads the balancers' configurations, the template of `make cluster` among them."""
    for path in BALANCERS:
        if not tree.exists(path):
            yield from needs(tree, path)
            continue
        text = tree.text(path)
        for name, value in FILLED.items():
            text = text.replace(name, value)
        if "on-marked-down" in re.sub(r"#.*", "", text):
            yield f"{path}: on-marked-down would cut the sessions of an edge that drains"
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as filled:
            filled.write(text)
            filled.flush()
            yield from (line.replace(filled.name, path) for line in run(tree, "haproxy", "-c", "-f", filled.name))


def promtool(tree):
    """promtool reads the alerts and plays their tests; deploy/check/monitoring has it, and looks at the dashboard and the runbook."""
    if not shutil.which("promtool"):
        raise Missing("promtool")
    yield from needs(tree, f"{MONITORING}/alerts.yaml") or run(tree, tree.root / "deploy/check/monitoring", MONITORING)


def shellcheck(tree):
    """shellcheck reads the scripts under deploy/."""
    scripts = [p for p in (tree.root / "deploy").rglob("*") if p.is_file() and "fault.d" not in p.parts and
               re.match(rb"#!.*bash|# shellcheck shell=bash", p.read_bytes()[:80])]
    yield from run(tree, "shellcheck", "-x", *sorted(p.relative_to(tree.root) for p in scripts))


def yamllint(tree):
    """yamllint reads every YAML file."""
    paths = [path for path in (COMPOSE, "deploy") if tree.exists(path)]
    yield from run(tree, sys.executable, "-m", "yamllint", "--strict", "-f", "parsable", "-d", YAMLLINT, *paths)


def kubectl(tree):
    """kubectl's own kustomize, whichever version this machine has, renders the same objects."""
    if not shutil.which("kubectl"):
        return
    for case in tree.cases:
        theirs = tree.rendered(case, ("kubectl", "kustomize"))
        if theirs != tree.rendered(case):
            yield f"{case}: kubectl kustomize renders something else than kustomize build"
