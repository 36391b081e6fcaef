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

# hash_of FILE...: a short name for their content.
hash_of() { cat "$@" | sha256sum | cut -c 1-12; }
