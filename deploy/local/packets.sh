# shellcheck shell=bash disable=SC2154 # shared by the faults that source this file
# Packets that get lost, inside the cluster's own network namespace and nowhere else: one nft table for each fault.
# They are dropped where they arrive, so that the sender takes them for sent.

need_netns() {
  local pid=''
  [ ! -f "$state/netns" ] || pid=$(netns_pid) || true
  if [ -z "$pid" ] || ! in_netns "$pid"; then die "$fault needs a namespace: deploy/local/cluster up --netns"; fi
  command -v nft >/dev/null || die "no 'nft': drops packets; apt-get install nftables"
}

# edge_listeners EDGE [BROKER]: the ports on which the brokers (or that one) serve that edge alone, with commas.
edge_listeners() {
  local n first out=''
  first=$(cat "$kafka_state/port")
  [[ $1 == [1-9] && $1 -le $edges && ${2:-1} == [1-9] && ${2:-1} -le $brokers ]] || die "$fault: no edge $1, or no broker ${2:-}"
  for n in $(if [ -n "${2:-}" ]; then echo "$2"; else seq "$brokers"; fi); do out+="${out:+, }$((first + 10 * (n - 1) + 2 + $1))"; done
  echo "$out"
}

packet_table() { echo "klatsch_${fault//-/_}"; }

drop_packets() { filter_packets drop "$@"; } # drop_packets RULE...: packets that match one of these are dropped from now on

# reset_connections RULE...: every connection on which such a packet arrives within a second is broken, and both ends told.
reset_connections() {
  filter_packets "reject with tcp reset" "$@"
  sleep 1
  pass_packets
}

filter_packets() { # filter_packets WHAT RULE...
  local table rule rules='' what=$1; shift
  need_netns
  table=$(packet_table)
  for rule in "$@"; do rules+="    $rule counter $what"$'\n'; done
  # In one transaction: made if it is not there, thrown away, made anew.
  nft -f - <<T
table inet $table
delete table inet $table
table inet $table {
  chain arriving {
    type filter hook input priority 0;
$rules  }
}
T
}

pass_packets() {
  need_netns
  ! nft list table inet "$(packet_table)" >/dev/null 2>&1 || nft delete table inet "$(packet_table)"
}
