"""Every object against the schema of its kind: Kubernetes' own for 1.36, custom resources' by their operators."""
import functools
import json
import os
import pathlib
import re

import jsonschema
import kubernetes_validate
import referencing.jsonschema
import referencing.retrieval

KUBERNETES = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema/v1.36.0-local-strict"
CUSTOM = pathlib.Path(os.environ.get("KLATSCH_SCHEMAS", ""))
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


@referencing.retrieval.to_cached_resource(from_contents=referencing.jsonschema.DRAFT202012.create_resource)
def definitions(uri):
    return (KUBERNETES / uri.rpartition("/")[2]).read_text()


REGISTRY = referencing.Registry(retrieve=definitions)


@functools.cache
def validator(api_version, kind):
    """None: nobody knows such a kind."""
    group, _, version = api_version.rpartition("/")
    builtin = KUBERNETES / f"{kind.lower()}{'-' + group.split('.')[0] if group else ''}-{version}.json"
    custom = CUSTOM / f"{group}_{version}_{kind}.json"
    file = custom if custom.exists() else builtin
    if not file.exists():
        return None
    return jsonschema.Draft202012Validator(json.loads(file.read_text()), registry=REGISTRY)


def faults_of(one):
    valid = validator(one["apiVersion"], one.kind)
    if not valid:
        return [f"{one}: {one['apiVersion']} has no such kind"]
    found = []
    for error in valid.iter_errors(dict(one)):
        error = jsonschema.exceptions.best_match([error])
        where = "".join(f"/{part}" for part in error.absolute_path) or "/"
        found.append(f"{one}: {where}: {error.message[:200]}")
    meta = one["metadata"]
    if not NAME.fullmatch(meta["name"]):
        found.append(f"{one}: not a name that Kubernetes takes")
    for where in ("labels", "annotations"):
        for key, value in (meta.get(where) or {}).items():
            if not isinstance(value, str) or (where == "labels" and value and not LABEL.fullmatch(value)):
                found.append(f"{one}: {where} {key}: {value!r} is not one")
    return found


def check(tree):
    """Unknown kinds, fields, values; names and labels."""
    yield from (f"kafka.yaml: {fault}" for one in tree.example() for fault in faults_of(one))
    for case, objects in tree.every():
        yield from (f"{case}: {fault}" for one in objects for fault in faults_of(one))
