"""Names that no API server resolves and that a typing mistake would leave hanging."""
from tree import of_kind

# Made by people, as deploy/README.md tells them.
BY_HAND = {("ConfigMap", "klatsch-issuer"), ("Secret", "klatsch-tls")}


def made(objects):
    """(kind, name) of all that is there once controllers have done their work, with the keys where they are known."""
    there = {}
    for o in objects:
        there[o.kind, o.name] = set(o["data"]) if o.kind == "ConfigMap" else None
        if o.kind == "KafkaUser":
            there["Secret", o.name] = {"password", "sasl.jaas.config"}
        if o.kind in ("KafkaUser", "KafkaTopic"):
            there["Secret", f"{o['metadata']['labels']['strimzi.io/cluster']}-cluster-ca-cert"] = {"ca.crt", "ca.p12", "ca.password"}
        if o.kind == "ExternalSecret":
            there["Secret", o.spec.get("target", {}).get("name", o.name)] = {d["secretKey"] for d in o.spec["data"]}
    return there


def pod_references(pod):
    """(kind, name, keys) that a pod cannot start without."""
    for volume in pod.get("volumes", []):
        for kind, source, key in (("ConfigMap", volume.get("configMap"), "name"), ("Secret", volume.get("secret"), "secretName")):
            if source:
                yield kind, source[key], [item["key"] for item in source.get("items", [])]
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if key in source:
                    yield kind, source[key]["name"], []
        for variable in container.get("env", []):
            for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                source = variable.get("valueFrom", {}).get(key)
                if source:
                    yield kind, source["name"], [source["key"]]


def in_pods(deployments, there):
    for d in deployments:
        pod = d.pod
        account = pod.get("serviceAccountName", "default")
        if ("ServiceAccount", account) not in there:
            yield f"{d}: runs as ServiceAccount {account}, which nothing makes"
        priority = pod.get("priorityClassName")
        if priority and ("PriorityClass", priority) not in there:
            yield f"{d}: has PriorityClass {priority}, which nothing makes"
        for kind, name, keys in pod_references(pod):
            if (kind, name) in BY_HAND:
                continue
            if (kind, name) not in there:
                yield f"{d}: needs {kind} {name}, which nothing makes"
            elif there[kind, name] is not None:
                yield from (f"{d}: needs {key} of {kind} {name}, which has none" for key in keys if key not in there[kind, name])
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        mounted = {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])}
        yield from (f"{d}: mounts volume {name}, which the pod has not" for name in mounted - volumes)
        yield from (f"{d}: has volume {name}, which nothing mounts" for name in volumes - mounted)
        for container in pod["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if port not in ports:
                    yield f"{d}: {probe} asks port {port}, which the container has not"
        selected, labels = d.spec["selector"]["matchLabels"], d.spec["template"]["metadata"]["labels"]
        if not selected.items() <= labels.items():
            yield f"{d}: does not select its own pods"


def selector(o):
    if o.kind == "Service":
        return o.spec.get("selector") or {}
    return (o.spec.get("podSelector") or o.spec["selector"])["matchLabels"]


def wanted_ports(o):
    if o.kind == "Service":
        return [port["targetPort"] for port in o.spec["ports"]]
    if o.kind == "PodMonitor":
        return [endpoint["port"] for endpoint in o.spec["podMetricsEndpoints"]]
    return [port["port"] for rule in o.spec.get("ingress", []) for port in rule.get("ports", [])]


def to_pods(objects, deployments):
    for o in of_kind(objects, "Service", "PodMonitor", "NetworkPolicy", "PodDisruptionBudget"):
        hit = [d for d in deployments if selector(o).items() <= d.spec["template"]["metadata"]["labels"].items()]
        if not hit:
            yield f"{o}: selects no pod"
        names = {port["name"] for d in hit for c in d.pod["containers"] for port in c["ports"]}
        if o.kind != "PodDisruptionBudget":
            yield from (f"{o}: port {port} is none of the pods'" for port in wanted_ports(o) if hit and port not in names)


def to_services(objects):
    services = {o.name: o.spec["ports"] for o in of_kind(objects, "Service")}
    for route in of_kind(objects, "HTTPRoute"):
        for backend in (b for rule in route.spec["rules"] for b in rule["backendRefs"]):
            if backend["port"] not in [port["port"] for port in services.get(backend["name"], [])]:
                yield f"{route}: leads to {backend['name']}:{backend['port']}, which is no Service"
    for ingress in of_kind(objects, "Ingress"):
        for backend in (p["backend"]["service"] for rule in ingress.spec["rules"] for p in rule["http"]["paths"]):
            if backend["port"].get("name") not in [port["name"] for port in services.get(backend["name"], [])]:
                yield f"{ingress}: leads to {backend['name']}:{backend['port']}, which is no Service"
        for tls in ingress.spec.get("tls", []):
            if ("Secret", tls["secretName"]) not in BY_HAND:
                yield f"{ingress}: needs Secret {tls['secretName']}, which nobody is told to make"


def scaled(objects, there):
    scalers = of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    for o in scalers:
        target = o.spec["scaleTargetRef"]
        if (target["kind"], target["name"]) not in there:
            yield f"{o}: scales {target['kind']} {target['name']}, which is not there"
        for d in of_kind(objects, "Deployment"):
            if d.name == target["name"] and "replicas" in d.spec:
                yield f"{d}: has replicas, which each apply would set back from what {o} chose"
    if len(scalers) > 1:
        yield f"{scalers[0]} and {scalers[1]} scale the same pods"


def check(tree):
    """ConfigMaps, Secrets, accounts, volumes, ports, selectors, targets; a namespace and labels for all."""
    for case, objects in tree.every():
        there, deployments = made(objects), of_kind(objects, "Deployment")
        faults = [*in_pods(deployments, there), *to_pods(objects, deployments), *to_services(objects), *scaled(objects, there)]
        for o in objects:
            if o.kind not in ("Namespace", "PriorityClass") and o["metadata"].get("namespace") != "klatsch":
                faults.append(f"{o}: lies in no namespace, or in another one")
            if o["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") != "klatsch":
                faults.append(f"{o}: has no label app.kubernetes.io/part-of: klatsch")
        yield from (f"{case}: {fault}" for fault in faults)
    by_hand = "".join(tree.text(path) for path in ("deploy/README.md",))
    yield from (f"deploy/README.md does not say how {kind} {name} is made" for kind, name in BY_HAND if name not in by_hand)
