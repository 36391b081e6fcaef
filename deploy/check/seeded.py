"""Wrong manifests, one mistake each, and the check that must notice it: a check that notices nothing is worth nothing."""
import concurrent.futures
import os
import time

from tree import CASES, Tree

K = "deploy/kubernetes/"
DEPLOYMENT = f"{K}base/deployment.yaml"
ENV = f"{K}base/edge.env"
TOPIC, USER = f"{K}components/strimzi/topic.yaml", f"{K}components/strimzi/user.yaml"
HPA, KEDA = f"{K}components/hpa/", f"{K}components/keda/"
PRODUCTION = f"{K}overlays/production/kustomization.yaml"

# what is wrong | the check that says so | part of what it says | file | text there | text in its place
DEFECTS = [
    ("a misspelt field", "schemas", "minReadySecond", DEPLOYMENT, "minReadySeconds:", "minReadySecond:"),
    ("a number as text", "schemas", "maxUnavailable", f"{K}base/poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: [1]"),
    ("an API version that is gone", "schemas", "no such kind", HPA + "horizontalpodautoscaler.yaml", "autoscaling/v2", "autoscaling/v2beta2"),
    ("Strimzi's API of before 1.0", "schemas", "no such kind", USER, "kafka.strimzi.io/v1", "kafka.strimzi.io/v1beta2"),
    ("Kafka's word in place of Strimzi's", "schemas", "prefixed", USER, "patternType: prefix", "patternType: prefixed"),
    ("a field that KEDA has not", "schemas", "minReplicas", KEDA + "scaledobject.yaml", "minReplicaCount", "minReplicas"),
    ("a path without a type", "schemas", "path", f"{K}base/httproute.yaml", "type: Exact\n            value: /events", "kind: Exact\n            value: /events"),
    ("a label that is none", "schemas", "labels", f"{K}components/podmonitor/podmonitor.yaml", "app.kubernetes.io/part-of: klatsch", "app.kubernetes.io/part-of: of klatsch"),
    ("a resource that is not there", "schemas", "accumulat", f"{K}base/kustomization.yaml", "- service.yaml", "- services.yaml"),
    ("a probe on a port without a name", "references", "readinessProbe", DEPLOYMENT, "path: /readyz\n              port: admin", "path: /readyz\n              port: probes"),
    ("a ConfigMap that nobody makes", "references", "klatsch-config", DEPLOYMENT, "configMapRef:\n                name: klatsch-edge", "configMapRef:\n                name: klatsch-config"),
    ("a Secret's key that is not in it", "references", "user.password", DEPLOYMENT, "key: password", "key: user.password"),
    ("a Secret of another name", "references", "needs Secret", f"{K}components/external-secret/externalsecrets.yaml", "target:\n    name: klatsch-kafka-ca", "target:\n    name: kafka-ca"),
    ("an account that nobody makes", "references", "ServiceAccount", DEPLOYMENT, "serviceAccountName: klatsch-edge", "serviceAccountName: klatsch"),
    ("a Service for other pods", "references", "selects no pod", f"{K}base/service.yaml", "app.kubernetes.io/name: klatsch-edge", "app.kubernetes.io/name: klatsch"),
    ("a route to a port without a Service", "references", "8080", f"{K}base/httproute.yaml", "port: 80", "port: 8080"),
    ("replicas beside a scaler", "references", "set back", HPA + "kustomization.yaml", "op: remove\n        path: /spec/replicas", "op: replace\n        path: /spec/replicas\n        value: 3"),
    ("two scalers at once", "references", "nonexistent key", PRODUCTION, "- ../../components/hpa\n", "- ../../components/hpa\n  - ../../components/keda\n"),
    ("a scaler of nothing", "references", "not there", HPA + "horizontalpodautoscaler.yaml", "kind: Deployment\n    name: klatsch-edge", "kind: Deployment\n    name: edge"),
    ("a volume that nobody mounts", "references", "nothing mounts", DEPLOYMENT, "            - name: issuer\n              mountPath: /etc/klatsch/issuer\n              readOnly: true\n", ""),
    ("no namespace", "references", "no namespace", PRODUCTION, "namespace: klatsch\n", ""),
    ("root", "checklist", "never as root", DEPLOYMENT, "runAsNonRoot: true", "runAsNonRoot: false"),
    ("no seccomp profile", "checklist", "seccomp", DEPLOYMENT, "        seccompProfile:\n          type: RuntimeDefault\n", ""),
    ("a sysctl that restricted refuses", "checklist", "somaxconn", DEPLOYMENT, "        fsGroup: 65532\n", "        fsGroup: 65532\n        sysctls:\n          - name: net.core.somaxconn\n            value: \"4096\"\n"),
    ("a writable root file system", "checklist", "root file system", DEPLOYMENT, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    ("liveness that asks for Kafka", "checklist", "livenessProbe", DEPLOYMENT, "path: /livez", "path: /readyz"),
    ("no startup probe", "checklist", "startupProbe", DEPLOYMENT, "startupProbe:", "x-startupProbe:"),
    ("preStop by a shell that the image has not", "checklist", "preStop", DEPLOYMENT, "sleep:\n                seconds: 10", "exec:\n                command: [sh, -c, sleep 10]"),
    ("a CPU limit", "checklist", "CPU limit", DEPLOYMENT, "            limits:\n", "            limits:\n              cpu: \"2\"\n"),
    ("the latest image", "checklist", "image", DEPLOYMENT, "edge:0.1.0", "edge:latest"),
    ("a PDB that blocks every drain", "checklist", "drained one", f"{K}base/poddisruptionbudget.yaml", "maxUnavailable: 1", "minAvailable: 100%"),
    ("the admin port in the Service", "checklist", "admin port", f"{K}base/service.yaml", "targetPort: http", "targetPort: admin"),
    ("an open admin port", "checklist", "others than monitoring", f"{K}base/networkpolicy.yaml", "kubernetes.io/metadata.name: monitoring", "kubernetes.io/metadata.name: default"),
    ("egress that is not limited", "checklist", "deny both", f"{K}base/networkpolicy.yaml", "    - Ingress\n    - Egress\n", "    - Ingress\n"),
    ("more rights than an edge needs", "checklist", "rights", USER, "          - Write\n", "          - Write\n          - Alter\n"),
    ("a group for everybody", "checklist", "rights", USER, "name: klatsch-edge-\n", "name: '*'\n"),
    ("scaling in at once", "checklist", "scales in faster", HPA + "horizontalpodautoscaler.yaml", "stabilizationWindowSeconds: 900", "stabilizationWindowSeconds: 60"),
    ("no fallback without Prometheus", "checklist", "Prometheus is away", KEDA + "scaledobject.yaml", "    behavior: currentReplicasIfHigher\n", ""),
    ("a WebSocket that ends after 15 s", "checklist", "how long a WebSocket", PRODUCTION, "request: 0s", "request: 15s"),
    ("Kafka's nine seconds", "checklist", "session.timeout", f"{K}components/strimzi/kafka.yaml", "broker.session.timeout.ms: 2000", "broker.session.timeout.ms: 9000"),
    ("a setting that the edge has not", "settings", "KLATSCH_MAX_CLIENTS", ENV, "KLATSCH_MAX_CONNECTIONS", "KLATSCH_MAX_CLIENTS"),
    ("a value that the edge refuses", "settings", "jwt-alg", ENV, "KLATSCH_JWT_ALG=RS256", "KLATSCH_JWT_ALG=RS512"),
    ("a Kafka property that does not exist", "settings", "sasl.user", f"{K}base/client.properties", "sasl.username", "sasl.user"),
    ("a password where nothing is mounted", "settings", "cannot be read", f"{K}base/client.properties", "/etc/klatsch/kafka:password", "/etc/kafka:password"),
    ("a grace shorter than the drain", "settings", "terminationGrace", DEPLOYMENT, "terminationGracePeriodSeconds: 150", "terminationGracePeriodSeconds: 60"),
    ("a drain that cannot end in time", "settings", "longer than the drain", ENV, "KLATSCH_DRAIN_RATE=500", "KLATSCH_DRAIN_RATE=50"),
    ("listening where no probe asks", "settings", "KLATSCH_ADMIN", ENV, "KLATSCH_ADMIN=0.0.0.0:9090", "KLATSCH_ADMIN=0.0.0.0:9091"),
    ("listening to the pod alone", "settings", "outside of the pod", ENV, "KLATSCH_LISTEN=0.0.0.0", "KLATSCH_LISTEN=127.0.0.1"),
    ("scaling out when it is too late", "settings", "full before", HPA + "horizontalpodautoscaler.yaml", "averageValue: 15k", "averageValue: 30k"),
    ("another number of partitions", "topic", "partitions", TOPIC, "partitions: 12", "partitions: 24"),
    ("the producers' clock", "topic", "timestamp", TOPIC, "LogAppendTime", "CreateTime"),
    ("a message that does not fit", "topic", "max.message.bytes", ENV, "KLATSCH_WORKERS=4\n", "KLATSCH_WORKERS=4\nKLATSCH_MAX_BODY=128KiB\n"),
    ("an edited copy of the alerts", "generated", "prometheusrule.yaml", f"{K}components/alerts/prometheusrule.yaml", "spec:\n  groups:", "spec:\n  # by hand\n  groups:"),
    ("no network policy for the pods", "kube-score", "NetworkPolicy", f"{K}base/networkpolicy.yaml", "podSelector:\n    matchLabels:\n      app.kubernetes.io/name: klatsch-edge\n", "podSelector:\n    matchLabels:\n      app.kubernetes.io/name: edge\n"),
    ("an edge that waits for nothing", "compose", "depends on undefined", "docker-compose.kafka.yml", "      topics: {condition: service_completed_successfully}", "      topic: {condition: service_completed_successfully}"),
    ("another topic in the compose file", "topic", "min.insync", "docker-compose.kafka.yml", "min.insync.replicas=2", "min.insync.replicas=1"),
    ("an image without a version", "dockerfile", "DL3006", "deploy/edge.Dockerfile", "FROM ${RUNTIME} AS runtime", "FROM debian AS runtime"),
    ("sessions cut with their server", "haproxy", "on-marked-down", "deploy/compose/haproxy.cfg", "server-template edge 10 edge:8080", "server-template edge 10 edge:8080 on-marked-down shutdown-sessions"),
    ("a balancer's word that does not exist", "haproxy", "timeout", "deploy/local/haproxy.cfg", "  timeout tunnel 1h", "  timeout tunnels 1h"),
    ("an alert that does not parse", "promtool", "parse error", "deploy/monitoring/alerts.yaml", "== 0\n", "== \n"),
    ("an alert without a test", "promtool", "Klatsch", "deploy/monitoring/alerts.test.yaml", "alertname: KlatschDown", "alertname: KlatschLagHigh"),
    ("a key twice", "yamllint", "duplication", f"{K}base/service.yaml", "  type: ClusterIP\n", "  type: ClusterIP\n  type: ClusterIP\n"),
    ("an unquoted variable", "shellcheck", "SC2086", "deploy/local/check-deploy", '-f "$check/strimzi.xml"', "-f $check/strimzi.xml"),
]


def cases_with(path):
    """The rendering that shows what happened to this file: one is enough."""
    component = path.partition("components/")[2].partition("/")[0]
    return [component] if component in CASES else ["production"]


def run(faults):
    """Breaks a copy of the tree in each of these ways; a list of whether each was noticed."""
    started = time.monotonic()

    def noticed(defect):
        name, check, part, path, old, new = defect
        found = faults(check, Tree([(path, old, new)], cases_with(path)))
        seen = any(part in fault for fault in found)
        return seen, "" if seen else f"  {name}: {check} does not say {part!r}, but: {found[:3]}"

    # Most of the time goes into kustomize and other programs.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(noticed, DEFECTS))
    print("".join(f"{line}\n" for _, line in results if line), end="")
    good = [seen for seen, _ in results]
    print(f"{'seeded':<12} {'ok' if all(good) else 'FAILED':<7} {time.monotonic() - started:5.1f} s  {len(good)} mistakes, each noticed by the check that is for it")
    return good
