# shellcheck shell=bash disable=SC2034,SC2154 # shared by the scripts that source this file after common.sh
# The parts of the cluster that is in the state directory: where each is and whether it runs. Sourced, not run.

state=$state_home/cluster
kafka_state=${KLATSCH_KAFKA_STATE:-$state_home/kafka}
edges=$(cat "$state/edges" 2>/dev/null || echo 3)
# Places for edges at the load balancer; those beyond "edges" are empty until somebody starts an edge there.
slots=$(cat "$state/slots" 2>/dev/null || echo "$edges")
brokers=$(cat "$state/brokers" 2>/dev/null || echo 3)
topic=chat.events.v1

port0() { cat "$state/port" 2>/dev/null || echo "${KLATSCH_PORT:-18100}"; }
url() { echo "http://127.0.0.1:$(port0)"; }
proxy_stats() { echo $(($(port0) + 100)); }
edge_listen() { echo $(($(port0) + $1)); }
edge_admin() { echo $(($(port0) + 100 + $1)); }
edge_pid() { pid_in "$state/edge$1.pid" "cluster-edge-$1"; }
edge_properties() { echo "$state/edge$1.properties"; }
proxy_pid() { pid_in "$state/haproxy.pid" "$state/haproxy.cfg"; }
broker_dir() { echo "$kafka_state/n$1"; }
broker_pid() { pid_in "$(broker_dir "$1")/pid" "$(broker_dir "$1")/server.properties"; }
worker_pid() { pid_in "$state/worker.pid" "fault-worker"; }

pids() {
  local n pid
  for n in $(seq "$brokers"); do ! pid=$(broker_pid "$n") || echo "broker$n $pid"; done
  for n in $(seq "$slots"); do ! pid=$(edge_pid "$n") || echo "edge$n $pid"; done
  ! pid=$(proxy_pid) || echo "haproxy $pid"
}

answers() ( # answers PORT PATH: does GET give 200? In a shell of its own: a failed exec ends it.
  exec 2>/dev/null
  exec 7<>"/dev/tcp/127.0.0.1/$1" || exit 1
  printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&7
  IFS= read -r -t 2 line <&7 && [[ $line == "HTTP/1."?" 200"* ]]
)
