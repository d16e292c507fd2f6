#!/usr/bin/env bash
# A stock Postgres for tests: Debian's own binaries and default settings, JIT included, on a free port of loopback.
#
#   postgres.sh start DIR   creates and starts the server, and returns when it answers. DIR must not exist yet.
#                           Afterwards `. DIR/environment` sets TEST_DATABASE_URL
#   postgres.sh stop DIR    stops the server and removes DIR
#
# Needs Debian's package postgresql-15, or another major version. POSTGRES_BIN names the directory of other
# binaries. Postgres refuses to run as root, so root runs it as the user postgres, which that package creates.
set -euo pipefail
# shellcheck source=test/servers/free-port.sh
source "$(dirname "${BASH_SOURCE[0]}")/free-port.sh"

readonly PASSWORD=test-password

# Only settings that make the tests faster, or that count connections. All others are as Debian has them.
readonly SETTINGS="
listen_addresses = '127.0.0.1'
# The rows need not survive a crash of the machine.
fsync = off
synchronous_commit = off
full_page_writes = off
# Every test file can have one or two pools.
max_connections = 300
"

find_binaries() {
  local newest
  newest=$(printf '%s\n' "${POSTGRES_BIN:-}" /usr/lib/postgresql/*/bin | grep . | sort -V | tail -n 1)
  if [[ -n ${POSTGRES_BIN:-} ]]; then newest=$POSTGRES_BIN; fi
  if [[ ! -x $newest/postgres ]]; then
    echo 'postgres.sh: no Postgres is installed (Debian: apt-get install postgresql-15)' >&2
    exit 1
  fi
  echo "$newest"
}

as_owner() {
  if ((EUID == 0)); then
    (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@")
  else
    "$@"
  fi
}

start() {
  if [[ -e $dir ]]; then
    echo "postgres.sh: $dir exists already" >&2
    exit 1
  fi
  local bin port
  bin=$(find_binaries)
  port=$(free_port)
  mkdir -p "$dir"
  trap 'tail -n 20 "$dir"/*.log >&2 || true; stop' EXIT
  echo "$bin" >"$dir/bin"
  echo "$PASSWORD" >"$dir/password"
  if ((EUID == 0)); then chown -R postgres:postgres "$dir"; fi
  as_owner "$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=scram-sha-256 --pwfile="$dir/password" \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log"
  printf '%s\nport = %s\nunix_socket_directories = %s\n' "$SETTINGS" "$port" "'$dir'" >>"$dir/data/postgresql.conf"
  as_owner "$bin/pg_ctl" start --pgdata="$dir/data" --log="$dir/server.log" --wait --timeout=60 >/dev/null
  echo "export TEST_DATABASE_URL=postgres://postgres:$PASSWORD@127.0.0.1:$port/postgres" >"$dir/environment"
  trap - EXIT
  echo "$("$bin/postgres" --version) on port $port"
}

stop() {
  [[ -e $dir/bin ]] || return 0
  local bin
  bin=$(<"$dir/bin")
  if [[ -e $dir/data/postmaster.pid ]]; then
    as_owner "$bin/pg_ctl" stop --pgdata="$dir/data" --mode=immediate --wait >/dev/null
  fi
  rm -rf "$dir"
}

if [[ $# != 2 || ! $1 =~ ^(start|stop)$ ]]; then
  echo 'usage: postgres.sh start|stop DIR' >&2
  exit 2
fi
dir=$(realpath -m "$2")
"$1"
