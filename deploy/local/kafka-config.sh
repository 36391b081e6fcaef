# shellcheck shell=bash disable=SC2154 # host, state and the functions are kafka-local's
# The settings of kafka-local's nodes. Sourced, not run.
#
# Ports of a node, from its first on: +0 clients, +1 controller, +2 between brokers (--secure), +2+N the listener of its
# own that edge N has (--edges): every address that a broker tells on that listener is on it too, so that whoever cuts
# these ports cuts that edge and nobody else.

edges() { cat "$state/edges" 2>/dev/null || echo 0; }
# edge_port NODE EDGE
edge_port() { echo $(($(client_port "$1") + 2 + $2)); }

write_listeners() { # write_listeners NODE
  local p e client=PLAINTEXT name=PLAINTEXT listeners advertised map
  p=$(client_port "$1")
  if secure; then client=SASL_SSL name=CLIENT; fi
  listeners=$name://$host:$p,CONTROLLER://$host:$((p + 1)) advertised=$name://$host:$p map=$name:$client
  if secure; then
    listeners+=,INTERNAL://$host:$((p + 2)) advertised+=,INTERNAL://$host:$((p + 2))
    map+=,INTERNAL:SSL,CONTROLLER:SSL
    secure_listeners
    secure_jaas client
  else map+=,CONTROLLER:PLAINTEXT; fi
  for e in $(seq "$(edges)"); do
    listeners+=,EDGE$e://$host:$(edge_port "$1" "$e") advertised+=,EDGE$e://$host:$(edge_port "$1" "$e")
    map+=,EDGE$e:$client
    echo "listener.name.edge$e.num.network.threads=1"
    ! secure || secure_jaas "edge$e"
  done
  cat <<P
listeners=$listeners
advertised.listeners=$advertised
inter.broker.listener.name=$(if secure; then echo INTERNAL; else echo PLAINTEXT; fi)
listener.security.protocol.map=$map
P
}

write_config() { # write_config N OF
  local i=$1 n=$2 dir=$state/n$1 voters='' j rf=1 isr=1
  for j in $(seq "$n"); do voters+="${voters:+,}$j@$host:$(($(client_port "$j") + 1))"; done
  if [ "$n" -ge 3 ]; then rf=3 isr=2; fi
  mkdir -p "$dir"
  {
    cat <<P
process.roles=broker,controller
node.id=$i
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
log.dirs=$dir/data
auto.create.topics.enable=false
default.replication.factor=$rf
min.insync.replicas=$isr
offsets.topic.replication.factor=$rf
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$rf
transaction.state.log.min.isr=$isr
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$rf
share.coordinator.state.topic.min.isr=$isr
share.coordinator.state.topic.num.partitions=3
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
log.cleaner.dedupe.buffer.size=2097152
P
    # How fast a dead or frozen broker is noticed: until then it stalls every partition (Kafka's default: 9 s).
    [ -n "${KAFKA_DEFAULTS:-}" ] || cat <<P
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
controller.quorum.fetch.timeout.ms=1000
controller.quorum.election.timeout.ms=500
P
    # Faults are put on it one after the other: after each one, every broker leads what it led before, in seconds.
    [ "$(edges)" = 0 ] || cat <<P
leader.imbalance.check.interval.seconds=5
leader.imbalance.per.broker.percentage=0
P
    write_listeners "$i"
    # The last one wins.
    [ -z "${KLATSCH_KAFKA_SET:-}" ] || printf '%s\n' "$KLATSCH_KAFKA_SET"
  } >"$dir/server.properties"
}
