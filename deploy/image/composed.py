"""What docker-compose.kafka.yml describes, run without an engine: every name is an address on loopback, a broker is the image's own
program (KafkaDockerWrapper, which turns the variables into server.properties) on this machine's Java, an edge is the real image in
podman, and the balancer's configuration has one line for each edge where it has a template."""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Two runs at once do not meet.
NET = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}."
ADDRESSES = {"kafka-1": f"{NET}1", "kafka-2": f"{NET}2", "kafka-3": f"{NET}3", "balancer": f"{NET}20"}
EDGES = {1: f"{NET}11", 2: f"{NET}12", 3: f"{NET}13"}


def here(text):
    """Names of services as addresses."""
    for name, address in ADDRESSES.items():
        text = re.sub(rf"\b{name}\b", address, text)
    return text


def fetch(url, data=None, seconds=10):
    with urllib.request.urlopen(url, data=data, timeout=seconds) as answer:
        return answer.read().decode()


def until(what, holds, process=(), seconds=90):
    """Until it holds; fails when one of the processes ends, or time is up."""
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        assert all(one.poll() is None for one in process), f"ended while waiting for {what}"
        assert time.monotonic() < end, f"{seconds} s without {what}"
        time.sleep(0.05)


class Composed:
    """The services, as docker compose renders them; `with` ends all that was started."""

    def __init__(self, rendered, podman, image, work):
        self.services, self.podman, self.image, self.work = json.loads(rendered)["services"], podman, image, pathlib.Path(work)
        self.processes = []
        libs = subprocess.run([ROOT / "deploy/local/kafka-local", "jars"], capture_output=True, text=True, check=True).stdout.strip()
        self.java = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", f"{libs}/*"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def tool(self, name, *args, environment=None):
        quiet = f"-Dlog4j2.configurationFile={ROOT}/deploy/local/kafka/log4j2-tools.properties"
        done = subprocess.run(
            [*self.java[:-2], quiet, *self.java[-2:], name, *args], capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, **(environment or {})},
        )
        assert done.returncode == 0, f"{name} {' '.join(args)}:\n{(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    def start(self, name, command):
        with open(self.work / f"{name}.log", "w", encoding="utf-8") as log:
            # It ends with this process, however that ends.
            self.processes.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        return self.processes[-1]

    def broker(self, name):
        """The image's start: variables become server.properties, the directory is formatted, Kafka runs."""
        home = self.work / name
        for part in ["image", "mounted", "final"]:
            (home / part).mkdir(parents=True)
        for file in ["server.properties", "log4j2.yaml", "tools-log4j2.yaml"]:
            (home / "image" / file).write_text("")
        environment = {key: here(str(value)) for key, value in self.services[name]["environment"].items()}
        listeners = environment["KAFKA_LISTENERS"].replace("://:", f"://{ADDRESSES[name]}:")
        environment.update(KAFKA_LISTENERS=listeners, KAFKA_LOG_DIRS=str(home / "data"))
        self.tool(
            "kafka.docker.KafkaDockerWrapper", "setup", "--default-configs-dir", str(home / "image"), "--mounted-configs-dir",
            str(home / "mounted"), "--final-configs-dir", str(home / "final"), environment=environment,
        )
        quiet = f"-Dlog4j2.configurationFile={ROOT}/deploy/local/kafka/log4j2.properties"
        heap = environment["KAFKA_HEAP_OPTS"].split()
        return self.start(name, [*self.java[:-2], *heap, quiet, *self.java[-2:], "kafka.Kafka", str(home / "final/server.properties")])

    def brokers(self):
        """Three of them, as one cluster."""
        names = [name for name in ADDRESSES if name.startswith("kafka-")]
        started = {name: self.broker(name) for name in names}
        for name, process in started.items():
            until(name, lambda: "Kafka Server started" in (self.work / f"{name}.log").read_text(), [process])
        boot = f"{NET}1:19092"
        described = self.tool("org.apache.kafka.tools.MetadataQuorumCommand", "--bootstrap-server", boot, "describe", "--status")
        assert len(re.findall(r'"id": ?\d|\bid: ?\d', described)) >= 3 or "1,2,3" in described.replace(" ", ""), described

    def topic(self):
        """The job makes the topic, and a second time leaves it; it is what an edge with --create-topic makes."""
        words = [here(word) for word in self.services["topics"]["command"]]
        assert words[0] == "/opt/kafka/bin/kafka-topics.sh", words[0]
        for _ in range(2):
            self.tool("org.apache.kafka.tools.TopicCommand", *words[1:])
        self.edge("maker", f"{NET}19", KLATSCH_TOPIC="made.by.an.edge", KLATSCH_CREATE_TOPIC="true")
        self.podman.until_healthy("maker")
        told = self.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", f"{NET}1:19092", "--describe")
        about = {}
        for line in told.splitlines():
            if found := re.match(r"Topic: (\S+)\s+TopicId: \S+\s+(PartitionCount: \d+)\s+(ReplicationFactor: \d+)\s+Configs: (\S*)", line):
                about[found.group(1)] = (found.group(2), found.group(3), sorted(found.group(4).split(",")))
        by_job, by_edge = about["chat.events.v1"], about["made.by.an.edge"]
        assert by_job == by_edge, f"the job's: {by_job}\nan edge's: {by_edge}"
        assert self.podman.ends("maker", "TERM") == 0
        return ", ".join(by_job[2])

    def edge(self, name, address, **more):
        environment = {key: here(str(value)) for key, value in self.services["edge"]["environment"].items()}
        environment.update(KLATSCH_LISTEN=f"{address}:8080", KLATSCH_ADMIN=f"{address}:9090", KLATSCH_INSTANCE=name, KLATSCH_MAX_CONNECTIONS=1000)
        environment.update(more)
        return self.podman.run(name, self.image, environment, network="host")

    def edges(self):
        """Three, with the environment as it stands there; they find nothing to warn of."""
        for number, address in EDGES.items():
            self.edge(f"edge-{number}", address)
        for number in EDGES:
            self.podman.until_healthy(f"edge-{number}")
            said = self.podman.logs(f"edge-{number}")
            assert not re.search(r'"level":"(WARN|ERROR)"', said), said[-2000:]

    def balancer(self):
        """It finds all three, and every edge has what is published through it."""
        source = next(v["source"] for v in self.services["balancer"]["volumes"] if v["target"].endswith("haproxy.cfg"))
        text = pathlib.Path(source).read_text(encoding="utf-8")
        servers = "\n".join(f"  server edge{number} {address}:8080" for number, address in EDGES.items())
        text, replaced = re.subn(r"^  server-template .*$", servers, text, flags=re.M)
        assert replaced == 1
        text = re.sub(r"bind :", f"bind {ADDRESSES['balancer']}:", text)
        # As many connections as this machine has files for.
        text = re.sub(r"maxconn \d+", "maxconn 4000", text)
        (self.work / "haproxy.cfg").write_text(text)
        process = self.start("haproxy", ["haproxy", "-db", "-f", str(self.work / "haproxy.cfg")])
        probe, self.door = (f"http://{ADDRESSES['balancer']}:{port}" for port in [8404, 8080])
        up = re.compile(r'^haproxy_server_check_status\{.*state="L7OK"\} 1', re.M)
        until("all edges behind the balancer", lambda: len(up.findall(fetch(f"{probe}/metrics"))) == 3, [process])
        assert fetch(f"{probe}/readyz")
        message = json.loads(fetch(f"{self.door}/rooms/compose/messages", b"hello"))
        for address in EDGES.values():
            url = f"http://{address}:8080/rooms/compose/messages?limit=1"
            until(f"the message at {address}", lambda: "hello" in fetch(url))
        return message.get("message-id") or message.get("id") or str(message)[:60]

    def drains(self):
        """One of them is asked to end, as `--scale edge=2` would; nobody who reads by the balancer notices."""
        self.podman("kill", "--signal", "TERM", "edge-2")
        for _ in range(100):
            assert "hello" in fetch(f"{self.door}/rooms/compose/messages?limit=1")
        code = int(self.podman("wait", "edge-2").stdout)
        assert code == 0, f"exit code {code}"
