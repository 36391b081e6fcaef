#!/usr/bin/env python3
"""compose.py RENDERED BALANCER EDGE: what docker compose itself does not ask of docker-compose.kafka.yml.

RENDERED is what `docker compose config --format json` prints, BALANCER the balancer's configuration, EDGE the edge's binary.
Prints each fault; exit 1 if there is one.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy/edge.Dockerfile").read_text()
LOCAL_BROKERS = (ROOT / "deploy/local/kafka-config.sh").read_text()
STRIMZI = ROOT / "deploy/kubernetes/components/strimzi"
REPLICATION = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "auto.create.topics.enable": "false",
}
DEAD_BROKER = [
    "broker.session.timeout.ms", "broker.heartbeat.interval.ms", "controller.quorum.fetch.timeout.ms",
    "controller.quorum.election.timeout.ms",
]
faults = []


def fault(what):
    faults.append(what)


def want(holds, what):
    if not holds:
        fault(what)


def seconds(text):
    """What Go writes for a time: 1m30s."""
    return sum(float(n) * {"h": 3600, "m": 60, "s": 1}[unit] for n, unit in re.findall(r"([\d.]+)([hms])", text or ""))


def every_service(services):
    for name, service in services.items():
        image = service.get("image", "")
        tag = image.rpartition(":")[2] if ":" in image.rpartition("/")[2] else ""
        want("@sha256:" in image or re.match(r"v?\d+\.\d+\.\d+", tag), f"{name}: image {image!r} is not pinned to a version")
        limit = service.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory")
        want(limit, f"{name}: no memory limit")
        for port in service.get("ports", []):
            want(port.get("host_ip") == "127.0.0.1", f"{name}: port {port.get('published')} is open to more than this machine")
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                want(pathlib.Path(volume["source"]).exists(), f"{name}: mounts {volume['source']}, which is not there")
                want(volume.get("read_only"), f"{name}: may write to {volume['source']}")
        once = service.get("restart") == "no"
        want(once or service.get("healthcheck", {}).get("test"), f"{name}: no health check")
        for other, on in service.get("depends_on", {}).items():
            healthy = on["condition"] != "service_healthy" or services[other].get("healthcheck")
            want(healthy, f"{name}: waits until {other} is healthy, which nobody checks")


def brokers(services):
    """Environment variables are the image's way to write server.properties: `_` is a dot, `__` an underscore."""
    nodes = {name: service["environment"] for name, service in services.items() if "KAFKA_NODE_ID" in service.get("environment", {})}
    want(len(nodes) == 3, f"{len(nodes)} brokers, not 3")
    voters, clusters = set(), set()
    published = {}
    for name, environment in nodes.items():
        of = {key.removeprefix("KAFKA_").lower().replace("__", "\0").replace("_", ".").replace("\0", "_"): str(value)
              for key, value in environment.items() if key.startswith("KAFKA_")}
        voters.add(of.get("controller.quorum.voters"))
        clusters.add(environment.get("CLUSTER_ID"))
        for key, value in REPLICATION.items():
            want(of.get(key) == value, f"{name}: {key} is {of.get(key)}, not {value}")
        for key in DEAD_BROKER:
            local = re.search(rf"^{re.escape(key)}=(\d+)$", LOCAL_BROKERS, re.M).group(1)
            want(of.get(key) == local, f"{name}: {key} is {of.get(key)}; the local cluster's is {local}")
        want(f"{environment['KAFKA_NODE_ID']}@{name}:9093" in of.get("controller.quorum.voters", ""), f"{name} is not among the voters")
        told = dict(part.split("://") for part in of.get("advertised.listeners", "").split(",") if "://" in part)
        want(told.get("PLAINTEXT") == f"{name}:19092", f"{name} tells edges that it is at {told.get('PLAINTEXT')}")
        ports = {port["target"]: port["published"] for port in services[name].get("ports", [])}
        want(told.get("HOST") == f"localhost:{ports.get(9092)}", f"{name} tells the host {told.get('HOST')}, but its port is {ports.get(9092)}")
        data = {volume["target"]: volume["source"] for volume in services[name].get("volumes", [])}
        want(of.get("log.dirs") in data, f"{name}: log.dirs is {of.get('log.dirs')}, which no volume keeps")
        published.setdefault(data.get(of.get("log.dirs")), []).append(name)
    want(len(voters) == 1, "the brokers disagree on who votes")
    want(len(clusters) == 1 and re.fullmatch(r"[A-Za-z0-9_-]{22}", next(iter(clusters)) or ""), "CLUSTER_ID is not one of 22 base64url digits")
    want(all(len(names) == 1 for names in published.values()), f"two brokers share a volume: {published}")
    return ",".join(f"{name}:19092" for name in sorted(nodes))


def topic(services, boot):
    job = services["topics"]
    words = dict(word.removeprefix("--").partition("=")[::2] for word in job["command"][1:])
    settings = dict(word.partition("=")[2].partition("=")[::2] for word in job["command"] if word.startswith("--config="))
    edge = services["edge"]["environment"]
    for flag, variable in [("topic", "KLATSCH_TOPIC"), ("partitions", "KLATSCH_PARTITIONS"), ("replication-factor", "KLATSCH_REPLICATION_FACTOR")]:
        want(words.get(flag) == str(edge.get(variable)), f"topics: --{flag} is {words.get(flag)}, the edges expect {edge.get(variable)}")
    want(settings.get("min.insync.replicas") == str(edge.get("KLATSCH_MIN_ISR")), "topics: min.insync.replicas is not what the edges expect")
    want({"create", "if-not-exists"} <= set(words), "topics: a second `up` would fail")
    want(words.get("bootstrap-server") == boot == edge.get("KLATSCH_KAFKA"), "topics and edges do not ask the same brokers")
    want(services["edge"]["depends_on"].get("topics", {}).get("condition") == "service_completed_successfully", "edges do not wait for the topic")
    if not STRIMZI.is_dir():
        return
    # The KafkaTopic's spec.config: dotted keys, which occur nowhere else in it.
    texts = [text for text in (file.read_text() for file in STRIMZI.rglob("*.yaml")) if re.search(r"^kind: KafkaTopic$", text, re.M)]
    want(texts, f"{STRIMZI.relative_to(ROOT)} has no KafkaTopic")
    for text in texts:
        resource = next(part for part in text.split("\n---") if "kind: KafkaTopic" in part)
        theirs = {key: value.strip("\"'") for key, value in re.findall(r"^\s+([a-z]+(?:\.[a-z]+)+):\s+(\S+)", resource, re.M)}
        want(theirs == settings, f"KafkaTopic and the topic job differ: {sorted(set(theirs.items()) ^ set(settings.items()))}")


def edges(services, program):
    edge = services["edge"]
    want(not edge.get("ports") and not edge.get("container_name"), "edge: a port or a name of its own forbids --scale")
    want(edge["deploy"].get("replicas") == 3, "edge: not three of them")
    grace = seconds(edge["environment"].get("KLATSCH_GRACE", "30s")) + 20
    want(seconds(edge.get("stop_grace_period")) >= grace, f"edge: stop_grace_period {edge.get('stop_grace_period')} cuts a drain")
    want(edge.get("read_only") and edge.get("cap_drop") == ["ALL"], "edge: may write or has capabilities")
    want("no-new-privileges:true" in edge.get("security_opt", []), "edge: may gain privileges")
    want(edge.get("user") == "65532:65532", f"edge: runs as {edge.get('user')}")
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    want(edge["image"] == f"ghcr.io/klatsch/edge:{version}", f"edge: image {edge['image']} is not this tree's version, {version}")
    image = dict(re.findall(r"(KLATSCH_\w+)=(\S+)", re.search(r"^ENV (.*?)(?<!\\)\n", DOCKERFILE, re.M | re.S).group(1)))
    environment = {key: str(value) for key, value in {**image, **edge["environment"]}.items()}
    known = set(re.findall(r"\[env:\s+(KLATSCH_\w+)", subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout))
    for name in sorted(set(environment) - known):
        fault(f"edge: {name} is no setting of klatsch-edge")
    done = subprocess.run([program, "check-config"], env=environment, capture_output=True, text=True, check=False)
    want(done.returncode == 0, f"edge: check-config: {done.stderr.strip()}")
    return {key: address.rpartition(":")[2] for key, address in environment.items() if key in ("KLATSCH_LISTEN", "KLATSCH_ADMIN")}


def balancer(text, ports):
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    text = "\n".join(lines)
    want("shutdown-sessions" not in text, "balancer: cuts the sockets of an edge that drains them itself")
    template = re.search(r"^server-template \S+ (\d+) edge:(\d+)$", text, re.M)
    want(template and int(template.group(1)) >= 10, "balancer: knows fewer than ten edges")
    want(template and template.group(2) == ports["KLATSCH_LISTEN"], f"balancer: clients go to another port than {ports['KLATSCH_LISTEN']}")
    want(re.search(rf"^default-server .*\bport {ports['KLATSCH_ADMIN']}\b.*\bcheck\b", text, re.M), "balancer: does not ask the admin port")
    want(re.search(r"^default-server .*\bresolvers engine\b.*\binit-addr none\b", text, re.M), "balancer: finds edges only at its start")
    want(re.search(r"^option httpchk GET /readyz$", text, re.M), "balancer: does not ask for readiness")
    times = dict(re.findall(r"^timeout (\S+) (\w+)$", text, re.M))
    want(times.get("tunnel") == "1h", "balancer: WebSockets end before an hour of silence")
    for side in ["client", "server"]:
        # The longest ?wait= is a minute.
        want(seconds(times.get(side, "0s")) >= 75, f"balancer: timeout {side} {times.get(side)} cuts a long poll")


def main(rendered, configuration, program):
    services = json.loads(pathlib.Path(rendered).read_text())["services"]
    every_service(services)
    topic(services, brokers(services))
    balancer(pathlib.Path(configuration).read_text(), edges(services, program))
    for what in faults:
        print(f"docker-compose.kafka.yml: {what}", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
