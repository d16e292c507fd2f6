#!/usr/bin/env bash
# A Ceph RGW for tests: a real S3 server on loopback, free ports, its objects in memory.
#
#   rgw.sh start DIR   starts the server and returns when it answers. DIR must not exist yet. Afterwards
#                      `. DIR/environment` sets the TEST_S3_* variables
#   rgw.sh stop DIR    stops the server and removes DIR
#   rgw.sh run DIR     starts the server, and stops it when the standard input ends. That also happens when the
#                      process that started this script is killed
#
# Needs Debian's packages radosgw, ceph-mon, ceph-osd and ceph-common. The cluster has one monitor, one OSD and
# no manager, because the tests need none. The daemons run as the user that starts the script, also as root.
set -euo pipefail
# shellcheck source=test/servers/free-port.sh
source "$(dirname "${BASH_SOURCE[0]}")/free-port.sh"

readonly READY_SECONDS=60
readonly STOP_SECONDS=10
readonly ACCESS_KEY_ID=test-access
readonly SECRET_ACCESS_KEY=test-secret-key

# until_true SECONDS WHAT COMMAND…
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then
      echo "rgw.sh: $what did not start" >&2
      return 1
    fi
    sleep 0.2
  done
}

# launch NAME COMMAND…: runs a daemon as a background job, with -f so that it does not fork and $! is its pid.
launch() {
  local name=$1
  shift
  "$@" -f >"$dir/$name.out" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

configure() {
  local fsid monitor
  fsid=$(cat /proc/sys/kernel/random/uuid)
  monitor="v2:127.0.0.1:$(free_port)"
  cat >"$conf" <<CONF
[global]
fsid = $fsid
mon initial members = a
mon host = [$monitor]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $dir/keyring
run dir = $dir
admin socket = $dir/\$name.asok
log file = $dir/\$name.log
mon cluster log file = $dir/cluster.log
crash dir = $dir
mon data = $dir/mon
osd data = $dir/osd
rgw data = $dir/rgw

# One OSD, which holds each object once.
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000

# 12 GiB, because the OSD would be full after a large upload otherwise. Memory is allocated when bytes arrive.
osd objectstore = memstore
memstore device bytes = 12884901888
CONF
  monmaptool --create --fsid "$fsid" --addv a "[$monitor]" "$dir/monmap" >/dev/null
  ceph-authtool --create-keyring "$dir/keyring" --gen-key --name mon. --cap mon 'allow *' >/dev/null
  local name
  for name in client.admin osd.0; do
    ceph-authtool "$dir/keyring" --gen-key --name "$name" --cap mon 'allow *' --cap osd 'allow *' >/dev/null
  done
}

osd_is_up() {
  ceph -c "$conf" --connect-timeout 5 osd stat | grep -q '1 up'
}

start() {
  if [[ -e $dir ]]; then
    echo "rgw.sh: $dir exists already" >&2
    exit 1
  fi
  mkdir -p "$dir"/{mon,osd,rgw}
  trap give_up EXIT
  configure

  ceph-mon -c "$conf" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring" >"$dir/mon-mkfs.out" 2>&1
  launch mon ceph-mon -c "$conf" -i a
  local osd
  osd=$(cat /proc/sys/kernel/random/uuid)
  ceph -c "$conf" --connect-timeout "$READY_SECONDS" osd new "$osd" >/dev/null
  ceph -c "$conf" osd crush add osd.0 1.0 root=default host=localhost >"$dir/crush.out" 2>&1
  ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd" >"$dir/osd-mkfs.out" 2>&1
  launch osd ceph-osd -c "$conf" -i 0
  until_true "$READY_SECONDS" 'the OSD' osd_is_up

  radosgw-admin -c "$conf" user create --uid=test --display-name=test \
    --access-key="$ACCESS_KEY_ID" --secret-key="$SECRET_ACCESS_KEY" >"$dir/user.out" 2>&1
  local endpoint
  endpoint=127.0.0.1:$(free_port)
  launch rgw radosgw -c "$conf" -n client.admin --rgw-frontends="beast endpoint=$endpoint"
  until_true "$READY_SECONDS" 'the gateway' curl -fs -m 2 "http://$endpoint/"
  cat >"$dir/environment" <<ENVIRONMENT
export TEST_S3_ENDPOINT=http://$endpoint
export TEST_S3_REGION=us-east-1
export TEST_S3_ACCESS_KEY_ID=$ACCESS_KEY_ID
export TEST_S3_SECRET_ACCESS_KEY=$SECRET_ACCESS_KEY
ENVIRONMENT
  trap - EXIT
  echo "Ceph RGW on http://$endpoint"
}

give_up() {
  tail -n 20 "$dir"/*.out >&2 || true
  stop
}

# Succeeds if the pid is still a daemon of this directory. A later process may have the same pid.
is_ours() {
  tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF "$conf"
}

stop() {
  local name pid deadline
  # The gateway first, because it needs the OSD and the monitor.
  for name in rgw osd mon; do
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
  if [[ -e $conf ]]; then rm -rf "$dir"; fi
}

run() {
  start
  trap stop EXIT
  cat >/dev/null
}

if [[ $# != 2 || ! $1 =~ ^(start|stop|run)$ ]]; then
  echo 'usage: rgw.sh start|stop|run DIR' >&2
  exit 2
fi
dir=$(realpath -m "$2")
conf=$dir/ceph.conf
"$1"
