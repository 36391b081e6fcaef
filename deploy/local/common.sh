# shellcheck shell=bash
# What the scripts of this directory share. Sourced, not run: bash, Linux.

# shellcheck disable=SC2034 # used by the scripts that source this file
{
  cache=${KLATSCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/klatsch}
  state_home=${KLATSCH_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/klatsch}
  me=$(basename "$0")
}

# Debian keeps servers, HAProxy among them, where only root looks.
PATH=$PATH:/usr/sbin:/sbin

say() { echo "$me: $*" >&2; }
die() { say "$*"; exit 1; }

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# lock FILE: waits until no other run works on the same state. The file is removed by "down", so a lock on a file that
# is no longer the one at that path is worth nothing: look again.
lock() {
  local file=$1 tries
  mkdir -p "$(dirname "$file")"
  for ((tries = 0; tries < 100; tries++)); do
    exec 9>"$file"
    flock -w 180 9 || die "another run works on ${file%.lock}"
    [ "$(stat -Lc %i /proc/$$/fd/9)" != "$(stat -c %i "$file" 2>/dev/null)" ] || return 0
  done
  die "cannot lock $file"
}

proc_state() { sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null; }

# pid_in PIDFILE ARGUMENT: that pid, if the process really has this argument (pids are reused).
pid_in() {
  local pid args tries
  pid=$(cat "$1" 2>/dev/null) || return 1
  for ((tries = 0; tries < 100; tries++)); do
    args=$({ tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null) || return 1
    [ -z "$args" ] || break
    # No arguments: it has ended and not been waited for, or is in the middle of an exec.
    case $(proc_state "$pid") in Z | X | '') return 1 ;; esac
    sleep 0.01
  done
  grep -qxF -- "$2" <<<"$args" && echo "$pid"
}

# daemon PIDFILE LOG COMMAND...: starts it so that neither a Ctrl-C at the caller's terminal (setsid) nor an open file
# ties it to the caller: a lock or a pipe of the caller would be held for as long as the daemon runs.
daemon() {
  local pidfile=$1 log=$2 pid; shift 2
  (
    for fd in /proc/"$BASHPID"/fd/*; do
      fd=${fd##*/}
      [ "$fd" -le 2 ] || eval "exec $fd>&-"
    done
    exec setsid "$@"
  ) >"$log" 2>&1 </dev/null &
  pid=$!
  echo $pid >"$pidfile"
  # Until the exec has happened the process does not look like what it will be.
  until ! kill -0 $pid 2>/dev/null || [ "$(readlink "/proc/$pid/exe")" != "$(readlink "/proc/$$/exe")" ]; do sleep 0.01; done
}

# end_process PID_FUNCTION ARGUMENT SIGNAL SECONDS: true when it is gone.
end_process() {
  local pid t; pid=$("$1" "$2") || return 0
  [ "$3" = KILL ] || kill -CONT "$pid" 2>/dev/null || true
  kill "-$3" "$pid" 2>/dev/null || true
  for ((t = 0; t < $4 * 20; t++)); do "$1" "$2" >/dev/null || return 0; sleep 0.05; done
  return 1
}

# ---- the namespace of "cluster up --netns" ---------------------------------------------------------------------

# A network and a mount namespace, kept by a process that does nothing else: when it and what runs inside have ended,
# interfaces, packet filters and mounts are gone too, whoever killed what.
netns_pid() { pid_in "$state_home/netns.pid" "klatsch-netns $state_home"; }
in_netns() { [ "$(readlink /proc/self/ns/net)" = "$(readlink "/proc/$1/ns/net")" ]; } # in_netns PID: are we where it is?

# exec_in_netns PID COMMAND...: goes on as that command there, in the same directory.
exec_in_netns() {
  local pid=$1 user=(); shift
  [ "$(readlink /proc/self/ns/user)" = "$(readlink "/proc/$pid/ns/user")" ] || user=(--user --preserve-credentials)
  exec nsenter --target "$pid" ${user[@]+"${user[@]}"} --net --mount env -C "$PWD" "$@"
}

# enter_netns "$@": goes on as the same script inside, if the cluster has a namespace and we are not in it.
enter_netns() {
  local pid; pid=$(netns_pid) || return 0
  in_netns "$pid" || exec_in_netns "$pid" "$0" "$@"
}

# make_netns: as root, or as root of a user namespace. Packets are as large as on an Ethernet: with loopback's 64 KiB
# the kernel would let a client that reads nothing have megabytes.
make_netns() {
  local t as=(--map-root-user)
  [ "$(id -u)" != 0 ] || as=()
  command -v ip >/dev/null || die "no 'ip': sets up the network namespace; apt-get install iproute2"
  mkdir -p "$state_home"
  # shellcheck disable=SC2016 # the inner shell's
  daemon "$state_home/netns.pid" "$state_home/netns.log" unshare ${as[@]+"${as[@]}"} --net --mount \
    bash -c 'ip link set lo mtu 1500 up && exec -a "klatsch-netns $0" sleep infinity' "$state_home"
  for ((t = 0; t < 100; t++)); do
    ! netns_pid >/dev/null || return 0
    sleep 0.05
  done
  cat "$state_home/netns.log" >&2
  die "no network namespace: --netns needs root, or a kernel that lets users make user namespaces"
}

# end_netns: ends what still runs inside, the keeper last; not us and who waits for us, if we are inside too.
end_netns() {
  local keeper pid inode t ours=' '; keeper=$(netns_pid) || { rm -f "$state_home"/netns.{pid,log}; return 0; }
  inode=$(readlink "/proc/$keeper/ns/net")
  pid=$BASHPID
  while [ "${pid:-0}" -gt 1 ]; do
    ours+="$pid "
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null || true)
  done
  for ((t = 0; t < 100; t++)); do
    local left=0
    for pid in /proc/[0-9]*; do
      [ "$(readlink "$pid/ns/net" 2>/dev/null)" = "$inode" ] || continue
      pid=${pid#/proc/}
      [[ $pid != "$keeper" && $ours != *" $pid "* ]] || continue
      kill -KILL "$pid" 2>/dev/null || true
      left=1
    done
    [ $left = 1 ] || break
    sleep 0.05
  done
  end_process netns_pid - KILL 10 || die "the namespace's keeper does not die"
  rm -f "$state_home"/netns.{pid,log}
}

# hash_of FILE...: a short name for their content.
hash_of() { cat "$@" | sha256sum | cut -c 1-12; }

# keep DIRECTORY FUNCTION: makes it by that function, in a directory of its own first, unless it is there. Two runs at once:
# the first one to rename wins, both made the same.
keep() {
  local to=$1 part
  [ ! -f "$to/.complete" ] || return 0
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/.$me.XXXXXX")
  "$2" "$part" >&2 </dev/null || { rm -rf "$part"; die "cannot make $to"; }
  touch "$part/.complete"
  mv -T "$part" "$to" 2>/dev/null || [ -f "$to/.complete" ] || die "cannot move $part to $to"
  rm -rf "$part"
}
