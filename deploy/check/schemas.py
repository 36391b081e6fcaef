"""Every object against the schema of its kind: Kubernetes' own, the oldest and the newest version that is promised; custom
resources' by their operators."""
import functools
import json
import os
import pathlib
import re

import jsonschema
import kubernetes_validate
import referencing.jsonschema
import referencing.retrieval

KUBERNETES = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
VERSIONS = ["1.32.0", "1.36.0"]
CUSTOM = pathlib.Path(os.environ.get("KLATSCH_SCHEMAS", ""))
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def directory(version):
    return KUBERNETES / f"v{version}-local-strict"


def registry(version):
    @referencing.retrieval.to_cached_resource(from_contents=referencing.jsonschema.DRAFT202012.create_resource)
    def definitions(uri):
        return (directory(version) / uri.rpartition("/")[2]).read_text()

    return referencing.Registry(retrieve=definitions)


REGISTRIES = {version: registry(version) for version in VERSIONS}


@functools.cache
def validators(api_version, kind):
    """None of them: nobody knows such a kind."""
    group, _, version = api_version.rpartition("/")
    custom = CUSTOM / f"{group}_{version}_{kind}.json"
    if custom.exists():
        return [jsonschema.Draft202012Validator(json.loads(custom.read_text()))]
    builtin = f"{kind.lower()}{'-' + group.split('.')[0] if group else ''}-{version}.json"
    files = [(directory(of) / builtin, REGISTRIES[of]) for of in VERSIONS]
    if not all(file.exists() for file, _ in files):
        return []
    return [jsonschema.Draft202012Validator(json.loads(file.read_text()), registry=known) for file, known in files]


def faults_of(one):
    found = [] if validators(one["apiVersion"], one.kind) else [f"{one}: {one['apiVersion']} has no such kind"]
    for error in (error for valid in validators(one["apiVersion"], one.kind) for error in valid.iter_errors(dict(one))):
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
