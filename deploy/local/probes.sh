# shellcheck shell=bash disable=SC2154 # shared by the scripts that source this file after common.sh and parts.sh
# What the cluster says about itself: leaders, controller, replicas, readiness. Sourced, not run.

kafka() { "$here/kafka-local" "$@"; }
cluster() { "$here/cluster" "$@"; }

# ask_kafka ARGS...: kcat, which answers in milliseconds where Kafka's own tools start a JVM each time.
ask_kafka() {
  local with=()
  command -v kcat >/dev/null || die "no 'kcat': asks Kafka and writes broken records; apt-get install kcat"
  [ ! -f "$state/secure" ] || with=(-F "$kafka_state/clients/admin.librdkafka.properties")
  timeout 15 kcat -b "$(kafka boot)" -q ${with[@]+"${with[@]}"} "$@"
}

# The active controller's number: who became the leader of the metadata quorum in the highest epoch. Kafka names no
# controller to clients but a broker by chance.
controller() {
  local became='Completed transition to Leader(localVoterNode=VoterNode(voterKey=ReplicaKey(id='
  cat "$kafka_state"/n*/log.old "$kafka_state"/n*/log 2>/dev/null |
    sed -n "s/.*$became\([0-9]*\),.*, epoch=\([0-9]*\), epochStartOffset.*/\2 \1/p" | sort -n | sed -n '$s/.* //p'
}

# by_leadership: the brokers that lead a partition of the topic, the one that leads most first.
by_leadership() {
  ask_kafka -L -m 5 -t "$topic" | sed -n 's/^ *partition [0-9]*, leader \([0-9]\).*/\1/p' | sort | uniq -c | sort -rn -k 1,1 -s |
    awk '{ print $2 }'
}

# busiest: the one that leads most and is not the active controller.
busiest() {
  local c n; c=$(controller)
  for n in $(by_leadership); do
    [ "$n" = "$c" ] || { echo "$n"; return; }
  done
  die "no broker but the controller leads a partition of $topic"
}

# unsettled: what is not as it should be, one reason; nothing when all is well.
unsettled() {
  local n out
  for n in $(seq "$brokers"); do
    broker_pid "$n" >/dev/null || { echo "broker $n is dead"; return; }
  done
  kafka status >/dev/null || { echo "a broker is not ready"; return; }
  out=$(ask_kafka -L -m 5 2>/dev/null) || { echo "Kafka does not answer"; return; }
  awk -v brokers="$brokers" '
    /^  broker / { up++ }
    /^    partition / {
      split($0, half, /, isrs: /); sub(/.*, replicas: /, "", half[1]); sub(/, .*[^0-9,].*/, "", half[2])
      if ($0 !~ /leader [0-9]/) bad = "a partition has no leader"
      else if (split(half[1], a, ",") != split(half[2], b, ",")) bad = "a replica is not in sync"
    }
    END { if (up < brokers) bad = "a broker is fenced"; if (bad) print bad }' <<<"$out" | grep . && return
  for n in $(seq "$edges"); do
    answers "$(edge_admin "$n")" /readyz || { echo "edge $n is not ready"; return; }
  done
  answers "$(port0)" / || echo "HAProxy finds no edge"
}

cmd_settled() {
  local why='' deadline=$((SECONDS + 60))
  while [ $SECONDS -lt $deadline ]; do
    why=$(unsettled)
    [ -n "$why" ] || { now; return 0; }
    sleep 0.2
  done
  die "not settled after 60 s: $why"
}
