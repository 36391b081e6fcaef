"""What a reviewer looks for in the manifests of a WebSocket server, and what Pod Security `restricted` refuses."""
import re

from tree import of_kind

RUNS_AS = 65532
VOLUMES = {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "csi", "persistentVolumeClaim", "ephemeral"}
EDGE_RIGHTS = {("topic", "chat.events.v1", "literal"): {"Describe", "DescribeConfigs", "Read", "Write"},
               ("group", "klatsch-edge-", "prefix"): {"Describe"}}


def mebibytes(quantity):
    number, unit = re.fullmatch(r"(\d+)([A-Z]i)?", quantity).groups()
    return int(number) * {"Mi": 1, "Gi": 1024}[unit]


def restricted(pod):
    """Pod Security `restricted`, as far as it concerns a Linux pod."""
    security = pod.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{field} is not restricted"
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volume {volume['name']} is of a kind that is not restricted"
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container.get("securityContext", {})
        name = container["name"]
        both = {**security, **own}
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") != RUNS_AS or both.get("runAsGroup") != RUNS_AS:
            yield f"{name} does not run as {RUNS_AS} and never as root"
        if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile RuntimeDefault"
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{name} may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name} does not drop all capabilities"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name} can write to its root file system"
        if any("hostPort" in port for port in container["ports"]):
            yield f"{name} takes a port of the node"
    yield from (f"sysctl {sysctl['name']} is not safe" for sysctl in security.get("sysctls", [])
                if not re.match(r"net\.ipv4\.(tcp_keepalive_|tcp_fin_timeout|ip_local_port_range|tcp_[rw]mem)", sysctl["name"]))


def probes(container):
    want = {"startupProbe": ("/startupz", 2, 60), "readinessProbe": ("/readyz", 5, 2), "livenessProbe": ("/livez", 10, 6)}
    for name, (path, period, failures) in want.items():
        probe = container.get(name, {})
        get = probe.get("httpGet", {})
        got = (get.get("path"), probe.get("periodSeconds"), probe.get("failureThreshold"))
        if got != (path, period, failures) or get.get("port") != "admin":
            yield f"{name} is {got} and not {path} every {period} s, {failures} times"


def resources(container):
    has = container.get("resources", {})
    requests, limits = has.get("requests", {}), has.get("limits", {})
    if "cpu" in limits:
        yield "a CPU limit: being throttled looks like missed heart-beats"
    if not {"cpu", "memory", "ephemeral-storage"} <= requests.keys() or not {"memory", "ephemeral-storage"} <= limits.keys():
        yield "requests or limits are missing"
    elif mebibytes(limits["memory"]) * 2 != mebibytes(requests["memory"]) * 3:
        yield "the memory limit is not one and a half times the request"


def deployment(d, version):
    pod, spec = d.pod, d.spec
    edge = pod["containers"][0]
    yield from restricted(pod)
    yield from probes(edge)
    yield from resources(edge)
    if edge.get("lifecycle", {}).get("preStop") != {"sleep": {"seconds": 10}}:
        yield "preStop does not sleep for 10 s without a shell"
    for field, want in (("automountServiceAccountToken", False), ("enableServiceLinks", False)):
        if pod.get(field) is not want:
            yield f"{field} is not {str(want).lower()}"
    rolling = spec.get("strategy", {}).get("rollingUpdate")
    if rolling != {"maxSurge": "100%", "maxUnavailable": 0} and not (
            rolling == {"maxSurge": 1, "maxUnavailable": 0} and spec.get("minReadySeconds", 0) > 130):
        yield "strategy: clients would be moved more than once"
    if spec.get("minReadySeconds", 0) < 15:
        yield "minReadySeconds is less than 15"
    if "revisionHistoryLimit" not in spec:
        yield "no revisionHistoryLimit"
    spread = {c["topologyKey"]: c for c in pod.get("topologySpreadConstraints", [])}
    for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname"):
        constraint = spread.get(key, {})
        if constraint.get("whenUnsatisfiable") != "ScheduleAnyway" or constraint.get("matchLabelKeys") != ["pod-template-hash"]:
            yield f"is not spread over {key} by version, as far as there is room"
    if not re.search(rf"@sha256:[0-9a-f]{{64}}$|:{re.escape(version)}$", edge["image"]):
        yield f"image {edge['image']} is neither a digest nor version {version}"


def network(policy):
    if sorted(policy.spec.get("policyTypes", [])) != ["Egress", "Ingress"]:
        yield "does not deny both ways"
    for rule in policy.spec.get("ingress", []):
        if not rule.get("from") or not rule.get("ports"):
            yield "lets anybody in, or on any port"
        for port in rule.get("ports", []):
            admin = [f for f in rule.get("from", []) if f.get("namespaceSelector", {}).get("matchLabels", {})
                     .get("kubernetes.io/metadata.name") != "monitoring"]
            if port["port"] == "admin" and admin:
                yield "lets others than monitoring to the admin port"
    yield from ("lets out to any port" for rule in policy.spec.get("egress", []) if not rule.get("ports"))
    dns = [port for rule in policy.spec.get("egress", []) for port in rule.get("ports", []) if port["port"] == 53]
    if {port.get("protocol") for port in dns} != {"UDP", "TCP"}:
        yield "does not let out to DNS over UDP and TCP"


def scaling(o):
    if o.kind == "ScaledObject":
        behavior = o.spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        if o.spec.get("fallback", {}).get("behavior") != "currentReplicasIfHigher":
            yield "scales in when Prometheus is away"
        if any(t["metadata"].get("ignoreNullValues") != "false" for t in o.spec["triggers"] if t["type"] == "prometheus"):
            yield "takes no answer for no sessions"
    else:
        behavior = o.spec.get("behavior", {})
    down = behavior.get("scaleDown", {})
    if down.get("stabilizationWindowSeconds") != 900 or down.get("policies") != [{"type": "Pods", "value": 1, "periodSeconds": 300}]:
        yield "scales in faster than an edge drains"


def others(o):
    if o.kind == "PodDisruptionBudget" and (o.spec.get("maxUnavailable"), o.spec.get("unhealthyPodEvictionPolicy")) != (1, "AlwaysAllow"):
        yield "nodes are not drained one edge at a time, or an unready edge holds them up"
    if o.kind == "ServiceAccount" and o.get("automountServiceAccountToken") is not False:
        yield "mounts its token"
    if o.kind == "Service":
        if o.spec.get("type", "ClusterIP") != "ClusterIP" or any(port["targetPort"] in ("admin", 9090) for port in o.spec["ports"]):
            yield "leads from outside, or to the admin port"
        if o.spec["ports"][0].get("appProtocol") != "kubernetes.io/ws":
            yield "does not say that it is WebSocket"
    if o.kind == "Namespace" and o["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "does not enforce restricted pods"
    if o.kind == "PodMonitor" and not 0 < o.spec.get("sampleLimit", 0) <= 5000:
        yield "has no sampleLimit"
    if o.kind == "KafkaUser":
        acls = {(a["resource"]["type"], a["resource"]["name"], a["resource"].get("patternType")): set(a["operations"])
                for a in o.spec.get("authorization", {}).get("acls", [])}
        if acls != EDGE_RIGHTS:
            yield f"rights are not exactly those an edge needs: {acls}"
    if o.kind == "HTTPRoute":
        paths = {(m["path"]["type"], m["path"]["value"]) for rule in o.spec["rules"] for m in rule["matches"]}
        if ("Exact", "/ws") not in paths or ("PathPrefix", "/") in paths:
            yield "does not lead to /ws, or leads everywhere"


def check(tree):
    """Probes, drain, Pod Security restricted, spread, rights, scaling; no CPU limit; what is public."""
    version = re.search(r'^version = "(.*)"', tree.text("Cargo.toml"), re.MULTILINE).group(1)
    for case, objects in tree.every():
        for o in objects:
            per_kind = {"Deployment": lambda o: deployment(o, version), "NetworkPolicy": network,
                        "HorizontalPodAutoscaler": scaling, "ScaledObject": scaling}
            yield from (f"{case}: {o}: {fault}" for fault in per_kind.get(o.kind, others)(o))
        for kind in ("Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"):
            if not of_kind(objects, kind):
                yield f"{case}: has no {kind}"
    routes = [o for o in tree.objects("production") if o.kind == "HTTPRoute"]
    if any(rule.get("timeouts", {}).get("request") != "0s" for o in routes for rule in o.spec["rules"]) or not routes:
        yield "production: a route bounds how long a WebSocket may live"
    broker = next(o for o in tree.example() if o.kind == "Kafka").spec["kafka"]
    fast = {"broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 250,
            "controller.quorum.fetch.timeout.ms": 1000, "controller.quorum.election.timeout.ms": 500}
    yield from (f"kafka.yaml: {key} is not {value}: a crashed broker would stall the chat for longer"
                for key, value in fast.items() if broker["config"].get(key) != value)
