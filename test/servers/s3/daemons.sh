# Sourced by the scripts that start S3 servers. Such a script has three modes:
#
#   start DIR   starts the server and returns when it answers. DIR must not exist yet. Afterwards `. DIR/environment`
#               sets the TEST_S3_* variables
#   stop DIR    stops the server and removes DIR
#   run DIR     starts the server, and stops it when the standard input ends. That also happens when the process that
#               started the script is killed
#
# The script defines `start_server`, sets `daemons` to the names of its daemons in the order in which they must stop,
# and calls `s3_server "$@"`. Every command line of a daemon must contain $dir.

readonly READY_SECONDS=60
readonly STOP_SECONDS=10
readonly program=${0##*/}

# until_true SECONDS WHAT COMMAND…
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then
      echo "$program: $what did not start" >&2
      return 1
    fi
    sleep 0.2
  done
}

# launch NAME COMMAND…: runs a daemon as a background job. The command must not fork, so that $! is the daemon's pid.
launch() {
  local name=$1
  shift
  "$@" >"$dir/$name.out" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

# write_environment SERVER ENDPOINT ACCESS_KEY_ID SECRET_ACCESS_KEY
write_environment() {
  cat >"$dir/environment" <<ENVIRONMENT
export TEST_S3_SERVER=$1
export TEST_S3_ENDPOINT=$2
export TEST_S3_REGION=us-east-1
export TEST_S3_ACCESS_KEY_ID=$3
export TEST_S3_SECRET_ACCESS_KEY=$4
ENVIRONMENT
}

start() {
  if [[ -e $dir ]]; then
    echo "$program: $dir exists already" >&2
    exit 1
  fi
  mkdir -p "$dir"
  touch "$dir/made-by-$program"
  trap give_up EXIT
  start_server
  trap - EXIT
}

give_up() {
  tail -n 20 "$dir"/*.out >&2 || true
  stop
}

# Succeeds if the pid is still a daemon of this directory. A later process may have the same pid.
is_ours() {
  tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF "$dir/"
}

stop() {
  local name pid deadline
  for name in "${daemons[@]}"; do
    [[ -e $dir/$name.pid ]] || continue
    pid=$(cat "$dir/$name.pid")
    is_ours "$pid" || continue
    kill -TERM "$pid" || true
    deadline=$((SECONDS + STOP_SECONDS))
    while is_ours "$pid"; do
      if ((SECONDS > deadline)); then kill -KILL "$pid" || true; fi
      sleep 0.1
    done
  done
  if [[ -e $dir/made-by-$program ]]; then rm -rf "$dir"; fi
}

run() {
  start
  trap stop EXIT
  cat >/dev/null
}

s3_server() {
  if [[ $# != 2 || ! $1 =~ ^(start|stop|run)$ ]]; then
    echo "usage: $program start|stop|run DIR" >&2
    exit 2
  fi
  dir=$(realpath -m "$2")
  "$1"
}
