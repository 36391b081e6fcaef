"""One topic, told in four places: Strimzi's KafkaTopic, what an edge creates and checks, its settings, the compose file."""
import re
import shlex

import yaml

from settings import environment
from tree import Broken, of_kind

CODE = "services/edge/src/log/kafka/topic.rs"
KIB = {"KiB": 1024, "MiB": 1024 * 1024}


def size(text):
    number, unit = re.fullmatch(r"(\d+)([KM]iB)?", text).groups()
    return int(number) * KIB.get(unit, 1)


def by_the_edge(code, told):
    """What `--create-topic` would write, with these settings."""
    body = re.search(r"\nfn create\(.*?\n}\n", code, re.DOTALL)
    pairs = re.findall(r'\("([a-z.]+)", (?:"([^"]*)"|&(\w+))\)', body[0] if body else "")
    if len(pairs) < 8:
        raise Broken(f"{CODE}: fn create is not what this check reads")
    copies = int(told.get("KLATSCH_REPLICATION_FACTOR", 3))
    computed = {
        "max_bytes": size(told.get("KLATSCH_MAX_BODY", "64KiB")) + size(told.get("KLATSCH_MAX_HEADERS", "16KiB")) + 4096,
        "min_isr": int(told.get("KLATSCH_MIN_ISR", max(1, copies - 1))),
    }
    config = {key: text or str(computed[name]) for key, text, name in pairs}
    return told.get("KLATSCH_TOPIC", "chat.events.v1"), int(told.get("KLATSCH_PARTITIONS", 12)), copies, config


def by_strimzi(o):
    # YAML's false is Kafka's false.
    config = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in o.spec["config"].items()}
    return o.spec.get("topicName", o.name), o.spec["partitions"], o.spec["replicas"], config


def by_compose(text):
    """From the arguments of kafka-topics.sh in the service `topics` or `topic`."""
    services = yaml.safe_load(text)["services"]
    job = next((services[name] for name in ("topics", "topic") if name in services), None)
    if not job:
        raise Broken("docker-compose.kafka.yml has no service that makes the topic")
    parts = [job.get("entrypoint") or [], job.get("command") or []]
    words = [word for part in parts for argument in ([part] if isinstance(part, str) else part) for word in shlex.split(argument)]
    flags, config = {}, {}
    for word, after in zip(words, [*words[1:], ""]):
        name, _, value = word.partition("=")
        if word == "--config":
            key, _, setting = after.partition("=")
            config[key] = setting
        elif name == "--config":
            key, _, setting = value.partition("=")
            config[key] = setting
        elif name.startswith("--"):
            flags[name] = value or after
    return flags.get("--topic"), int(flags.get("--partitions", 0)), int(flags.get("--replication-factor", 0)), config


def differences(of, one, other):
    for what, a, b in zip(("name", "partitions", "replicas"), one, other):
        if a != b:
            yield f"{of}: {what} is {b}, and {a} for the edge"
    for key in sorted({*one[3], *other[3]}):
        if one[3].get(key) != other[3].get(key):
            yield f"{of}: {key} is {other[3].get(key)}, and {one[3].get(key)} for the edge"


def check(tree):
    """KafkaTopic, the compose file's topic job and an edge that creates its topic make the same one."""
    code = tree.text(CODE)
    for case, objects in tree.every():
        for topic in of_kind(objects, "KafkaTopic"):
            for d in of_kind(objects, "Deployment"):
                edge = by_the_edge(code, environment(d.pod["containers"][0], objects))
                yield from (f"{case}: {fault}" for fault in differences(str(topic), edge, by_strimzi(topic)))
    compose = "docker-compose.kafka.yml"
    yield from differences(compose, by_the_edge(code, {}), by_compose(tree.text(compose)))
