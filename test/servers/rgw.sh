#!/usr/bin/env bash
# A Ceph RGW for tests: a real S3 server on loopback, free ports, its objects in memory.
#
#   rgw.sh start DIR   DIR must not exist yet; ends when it answers. `. DIR/environment` then has the TEST_S3_* variables
#   rgw.sh stop DIR    ends what start began, and removes DIR
#   rgw.sh run DIR     start, and stop when its standard input ends: with whoever started it, however that ends
#
# Debian's packages: radosgw ceph-mon ceph-osd ceph-common. A cluster of one monitor and one OSD, and no manager:
# nothing here needs one. It runs as whoever starts it, root too.
set -euo pipefail

readonly READY_SECONDS=60
readonly STOP_SECONDS=10
readonly ACCESS_KEY_ID=test-access
readonly SECRET_ACCESS_KEY=test-secret-of-nobody

# Below 32768, where Linux takes the ports of outgoing connections from.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# until_true SECONDS WHAT COMMAND…
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then
      echo "rgw.sh: $what did not come up" >&2
      return 1
    fi
    sleep 0.2
  done
}

# launch NAME COMMAND…: in the foreground of a background job, so that its pid is known and not guessed.
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

# One OSD that holds everything once.
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000

# 12 GiB, or a large upload finds the OSD full. Memory is taken as bytes come.
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
    echo "rgw.sh: $dir is there already" >&2
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

# Is this pid still the daemon that was started with this directory, and no later process of the same number?
is_ours() {
  tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF "$conf"
}

stop() {
  local name pid deadline
  # The gateway first, then what it stands on.
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
