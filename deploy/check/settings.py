"""What the manifests tell the edge: names it knows, values it takes, numbers that fit the ones around them."""
import os
import pathlib
import re
import subprocess
import tempfile

from checklist import mebibytes
from tree import REPOSITORY, of_kind

EDGE = os.environ.get("KLATSCH_EDGE", "")
DATA = REPOSITORY / "services/edge/tests/data"
# What stands for files that a cluster has and the tree does not.
FILES = {"password": "secret", "ca.crt": (DATA / "test-only-rsa.certificate.pem").read_text(),
         "issuer.pem": (DATA / "test-only-rsa.public.pem").read_text()}
FIELDS = {"metadata.name": "klatsch-edge-0", "metadata.uid": "0b1f6c1e-7d0a-4f7e-9d1c-2f6a1c9f0e11",
          "metadata.labels['topology.kubernetes.io/zone']": ""}


def help_text():
    return subprocess.run([EDGE, "--help"], capture_output=True, text=True, check=True, env={"COLUMNS": "120"}).stdout


def known():
    return set(re.findall(r"env:\s+(KLATSCH_[A-Z_]+)", help_text())) | {"KLATSCH_LOG_MEMORY"}


def environment(container, objects):
    """As the kubelet makes it."""
    maps = {o.name: o["data"] for o in of_kind(objects, "ConfigMap")}
    made = {}
    for source in container.get("envFrom", []):
        made |= maps[source["configMapRef"]["name"]]
    for variable in container.get("env", []):
        value = variable.get("value")
        if value is None:
            value = FIELDS[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        made[variable["name"]] = re.sub(r"\$\(([A-Z_]+)\)", lambda m: made.get(m[1], m[0]), value)
    return made


def mount(root, pod, container, objects):
    """Lays what the pod mounts under `root`."""
    maps = {o.name: o["data"] for o in of_kind(objects, "ConfigMap")}
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for wanted in container.get("volumeMounts", []):
        volume = volumes[wanted["name"]]
        source = volume.get("configMap") or volume["secret"]
        content = maps.get(source.get("name"), FILES)
        if "items" in source:
            content = {item["path"]: content[item["key"]] for item in source["items"]}
        directory = pathlib.Path(f"{root}{wanted['mountPath']}")
        directory.mkdir(parents=True)
        for name, text in content.items():
            (directory / name).write_text(text.replace("/etc/klatsch/", f"{root}/etc/klatsch/"))


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def arithmetic(d, environment, ports):
    grace = seconds(environment.get("KLATSCH_GRACE", "30s"))
    stop = d.pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    whole = d.pod.get("terminationGracePeriodSeconds", 30)
    if whole < stop + grace + 10 + 10:
        yield f"terminationGracePeriodSeconds {whole} is less than {stop} preStop, {grace:.0f} grace, 10 to flush and 10 to spare"
    # Who is left 5 s before the end is closed at once.
    most, rate = int(environment.get("KLATSCH_MAX_CONNECTIONS", 20000)), int(environment.get("KLATSCH_DRAIN_RATE", 500))
    if most / rate > grace - 5:
        yield f"{most} sessions at {rate} a second take longer than the drain's {grace - 5:.0f} s"
    for name, port in (("KLATSCH_LISTEN", "http"), ("KLATSCH_ADMIN", "admin")):
        told = environment.get(name, "").rpartition(":")[2]
        if told != str(ports.get(port)):
            yield f"{name} is {environment.get(name)} and port {port} {ports.get(port)}"
        if not environment.get(name, "").startswith(("0.0.0.0:", "[::]:")):
            yield f"{name} is {environment.get(name)}: nobody outside of the pod reaches it"


def accepted(d, environment, objects):
    container = d.pod["containers"][0]
    with tempfile.TemporaryDirectory(prefix="klatsch-pod-") as root:
        mount(root, d.pod, container, objects)
        told = {name: value.replace("/etc/klatsch/", f"{root}/etc/klatsch/") for name, value in environment.items()}
        asked = subprocess.run([EDGE, "check-config"], capture_output=True, text=True, check=False, env=told)
        if asked.returncode:
            yield f"the edge refuses it: {' '.join(asked.stderr.replace(root, '').split())}"


def check(tree):
    """The edge itself reads each overlay's settings, with its files; drain, ports and grace agree."""
    names = known()
    for case, objects in tree.every():
        for d in of_kind(objects, "Deployment"):
            container = d.pod["containers"][0]
            told = environment(container, objects)
            unknown = [name for name in told if name.startswith("KLATSCH_") and name not in names]
            yield from (f"{case}: {d}: klatsch-edge has no {name}" for name in unknown)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            yield from (f"{case}: {d}: {fault}" for fault in arithmetic(d, told, ports))
            yield from (f"{case}: {d}: {fault}" for fault in accepted(d, told, objects))
            yield from (f"{case}: {d}: {fault}" for fault in sizes(container, told, objects))


def sizes(container, told, objects):
    """Sessions fit into the memory, and another edge comes before one is full."""
    most = int(told.get("KLATSCH_MAX_CONNECTIONS", 20000))
    limit = mebibytes(container["resources"]["limits"]["memory"])
    # deploy/README.md, Sizes: what a connection takes, the kernel included; the tail, replays, and 200 MB beside.
    if most * 4563 / 2**20 + 64 + 64 + 200 > limit:
        yield f"{most} sessions do not fit into {limit} MiB"
    scaled_at = [m["pods"]["target"]["averageValue"] for o in of_kind(objects, "HorizontalPodAutoscaler")
                 for m in o.spec["metrics"] if m["type"] == "Pods"]
    scaled_at += [t["metadata"]["threshold"] for o in of_kind(objects, "ScaledObject")
                  for t in o.spec["triggers"] if t["type"] == "prometheus"]
    yield from (f"an edge is full before another one comes at {text} sessions" for text in scaled_at
                if int(text.replace("k", "000")) > 0.8 * most)
