"""The files under check, copied so that they can be broken, and what kustomize makes of them."""
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COPIED = ["Cargo.toml", "docker-compose.kafka.yml", "deploy", "services/edge/src/log/kafka/topic.rs"]
# base with one component each; production has the rest.
CASES = {
    "hpa": ["strimzi", "hpa"],
    "keda": ["strimzi", "keda"],
    "podmonitor": ["strimzi", "podmonitor"],
    "alerts": ["strimzi", "alerts"],
    "dashboard": ["strimzi", "dashboard"],
    "ingress": ["strimzi", "ingress"],
    "external-secret": ["external-secret"],
}
OVERLAYS = ["local", "production"]
PATHS = {**{name: f"overlays/{name}" for name in OVERLAYS}, **{name: f"cases/{name}" for name in CASES}}

# A bare "=" is a word to Kubernetes and an operator to YAML 1.1.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


class Broken(Exception):
    """What cannot be read or rendered; the text is for people."""


class Tree:
    """A copy of the deployment's files. `edits` are (path, old, new), for the first such text. `only`: these cases."""

    def __init__(self, edits=(), only=None):
        self.cases = {name: path for name, path in PATHS.items() if only is None or name in only}
        self._directory = tempfile.TemporaryDirectory(prefix="klatsch-deploy-")
        self.root = pathlib.Path(self._directory.name)
        for name in COPIED:
            source, target = REPOSITORY / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("plots", "__pycache__"))
            elif source.exists():
                shutil.copy2(source, target)
        for path, old, new in edits:
            file = self.root / path
            text = file.read_text()
            if old not in text:
                raise Broken(f"{path} has no {old!r}")
            file.write_text(text.replace(old, new, 1))
        self.kubernetes = self.root / "deploy/kubernetes"
        self.components = sorted(path.name for path in (self.kubernetes / "components").iterdir())
        for name, components in CASES.items():
            case = self.kubernetes / "cases" / name
            case.mkdir(parents=True)
            lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "namespace: klatsch",
                     "resources:", "  - ../../base", "components:", *(f"  - ../../components/{c}" for c in components)]
            (case / "kustomization.yaml").write_text("\n".join(lines) + "\n")

    def text(self, path):
        return (self.root / path).read_text()

    def exists(self, path):
        return (self.root / path).exists()

    @functools.cache
    def rendered(self, case, program=("kustomize", "build")):
        """The YAML text of a case."""
        made = subprocess.run([*program, self.kubernetes / PATHS[case]], capture_output=True, text=True, check=False,
                              env={**os.environ, "HOME": str(self.root)})
        if made.returncode:
            raise Broken(f"{case}: {' '.join(program)}: {made.stderr.strip().replace(str(self.root), '')}")
        return made.stdout

    @functools.cache
    def objects(self, case):
        """Its objects."""
        return [Object(document) for document in yaml.safe_load_all(self.rendered(case)) if document]

    def every(self):
        """(case, objects) of all cases."""
        return [(case, self.objects(case)) for case in self.cases]

    def example(self):
        """The Kafka that nobody applies."""
        text = self.text("deploy/kubernetes/components/strimzi/kafka.yaml")
        return [Object(document) for document in yaml.safe_load_all(text) if document]


class Object(dict):
    """A Kubernetes object."""

    @property
    def kind(self):
        return self["kind"]

    @property
    def name(self):
        return self["metadata"]["name"]

    @property
    def spec(self):
        return self.get("spec") or {}

    @property
    def pod(self):
        return self.spec["template"]["spec"]

    def __str__(self):
        return f"{self.kind} {self.name}"


def of_kind(objects, *kinds):
    return [o for o in objects if o.kind in kinds]
