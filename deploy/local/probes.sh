# shellcheck shell=bash disable=SC2154 # shared by the scripts that source this file after common.sh and parts.sh
# What the cluster says about itself: leaders, controller, replicas, readiness. Sourced, not run.

kafka() { "$here/kafka-local" "$@"; }
cluster() { "$here/cluster" "$@"; }

# ask_kafka ARGS...: kcat, which answers in milliseconds where Kafka's own tools start a JVM each time.
ask_kafka() {
  local boot with=()
  command -v kcat >/dev/null || die "no 'kcat': asks Kafka and writes broken records; apt-get install kcat"
  boot=$(kafka boot)
  if [ -f "$state/secure" ]; then
    # As a broker, by certificate: Debian's kcat fails at SCRAM-SHA-512.
    boot=$(awk -F: -v RS='[,\n]' '{ printf "%s%s:%d", sep, $1, $2 + 2; sep = "," }' <<<"$boot")
    with=(-X security.protocol=SSL -X "ssl.ca.location=$kafka_state/certs/ca.crt" -X "ssl.certificate.location=$kafka_state/certs/node.pem"
      -X "ssl.key.location=$kafka_state/certs/node.pem")
  fi
  timeout 15 kcat -b "$boot" -q ${with[@]+"${with[@]}"} "$@"
}

# The active controller's number: who became the leader of the metadata quorum in the highest epoch. Kafka names no
# controller to clients but a broker by chance.
controller() {
  local became='Completed transition to Leader(localVoterNode=VoterNode(voterKey=ReplicaKey(id='
  { cat "$kafka_state"/n*/log.old "$kafka_state"/n*/log 2>/dev/null || true; } | # no log is old before a restart
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
  awk -v brokers="$brokers" -v balanced="$(if [ -f "$state/netns" ]; then echo 1; fi)" '
    /^  broker / { up++ }
    /^    partition / {
      split($0, half, /, isrs: /); sub(/.*, replicas: /, "", half[1]); sub(/, .*[^0-9,].*/, "", half[2])
      if ($0 !~ /leader [0-9]/) bad = "a partition has no leader"
      else if (split(half[1], replicas, ",") != split(half[2], isrs, ",")) bad = "a replica is not in sync"
      else if (balanced && $0 !~ ("leader " replicas[1] ",")) bad = "a broker leads too little"
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

# partitions: how many the topic has; 0 if it is not there.
partitions() { ask_kafka -L -m 5 -t "$topic" | grep -c '^    partition ' || true; }

# log_ends: PARTITION OFFSET of where the next record will be, one a line.
log_ends() {
  local n p which=()
  n=$(partitions)
  for ((p = 0; p < n; p++)); do which+=(-t "$topic:$p:-1"); done
  ask_kafka -Q "${which[@]}" | sed -n 's/.*\[\([0-9]*\)\] offset \([0-9]*\)$/\1 \2/p'
}

# trim_log KEEP: all but the last KEEP records of each partition are deleted.
trim_log() {
  local file=$faults/$fault/offsets.json
  log_ends | awk -v keep="$1" -v topic="$topic" '
    { printf "%s{\"topic\":\"%s\",\"partition\":%d,\"offset\":%d}", (NR > 1 ? "," : "{\"version\":1,\"partitions\":["), topic, $1, ($2 > keep ? $2 - keep : 0) }
    END { print "]}" }' >"$file"
  kafka tool delete-records --offset-json-file "$file" >"$faults/$fault/log" || die "delete-records: $(tail -n 3 "$faults/$fault/log")"
}
