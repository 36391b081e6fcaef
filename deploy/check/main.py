"""check-deploy: runs the checks and says what they find. See deploy/local/check-deploy."""
import os
import sys
import time

import checklist
import generate
import outside
import references
import schemas
import seeded
import settings
import topic
from tree import Broken, Tree

CHECKS = {
    "schemas": schemas.check,
    "references": references.check,
    "checklist": checklist.check,
    "settings": settings.check,
    "topic": topic.check,
    "generated": generate.check,
    "kubectl": outside.kubectl,
    "kube-score": outside.kube_score,
    "compose": outside.compose,
    "dockerfile": outside.dockerfile,
    "haproxy": outside.haproxy,
    "promtool": outside.promtool,
    "shellcheck": outside.shellcheck,
    "yamllint": outside.yamllint,
}


def faults(check, tree):
    """A list; what cannot even be read is a fault too."""
    try:
        return list(CHECKS[check](tree))
    except Broken as broken:
        return [str(broken)]


def one(name, tree):
    """Runs a check, prints what it found; true if that was nothing."""
    started = time.monotonic()
    try:
        found = faults(name, tree)
    except outside.Missing as missing:
        if os.environ.get("CI") != "true":
            print(f"SKIPPED check-deploy {name}: no '{missing}'; make tools says how to get it")
            return True
        found = [f"no '{missing}'; make tools says how to get it"]
    print(f"{name:<12} {'ok' if not found else 'FAILED':<7} {time.monotonic() - started:5.1f} s  {CHECKS[name].__doc__}", flush=True)
    for fault in found:
        print(f"  {fault}")
    return not found


def main(wanted):
    if wanted == ["list"]:
        print("\n".join([*CHECKS, "seeded"]))
        return 0
    if wanted == ["write"]:
        generate.write(Tree())
        return 0
    unknown = [name for name in wanted if name not in (*CHECKS, "seeded")]
    if unknown:
        print(f"check-deploy: no check {', '.join(unknown)}; `list` names them", file=sys.stderr)
        return 64
    tree = Tree()
    good = [one(name, tree) for name in CHECKS if not wanted or name in wanted]
    if all(good) and (not wanted or "seeded" in wanted):
        good += seeded.run(faults)
    print(f"test result: {'ok' if all(good) else 'FAILED'}. {sum(good)} passed; {len(good) - sum(good)} failed; 0 ignored")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
