#!/usr/bin/env bash
# A Ceph RGW for tests: a real S3 server on loopback, free ports, its objects in memory. Its modes are in daemons.sh.
#
# Needs Debian's packages radosgw, ceph-mon, ceph-osd and ceph-common. The cluster has one monitor, one OSD and
# no manager, because the tests need none. The daemons run as the user that starts the script, also as root.
set -euo pipefail
# shellcheck source=test/servers/free-port.sh
source "$(dirname "${BASH_SOURCE[0]}")/../free-port.sh"
# shellcheck source=test/servers/s3/daemons.sh
source "$(dirname "${BASH_SOURCE[0]}")/daemons.sh"

readonly ACCESS_KEY_ID=test-access
readonly SECRET_ACCESS_KEY=test-secret-key
# The gateway stops first, because it needs the OSD and the monitor.
readonly daemons=(rgw osd mon)

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

start_server() {
  conf=$dir/ceph.conf
  mkdir "$dir"/{mon,osd,rgw}
  configure

  ceph-mon -c "$conf" -i a --mkfs --monmap "$dir/monmap" --keyring "$dir/keyring" >"$dir/mon-mkfs.out" 2>&1
  launch mon ceph-mon -f -c "$conf" -i a
  local osd
  osd=$(cat /proc/sys/kernel/random/uuid)
  ceph -c "$conf" --connect-timeout "$READY_SECONDS" osd new "$osd" >/dev/null
  ceph -c "$conf" osd crush add osd.0 1.0 root=default host=localhost >"$dir/crush.out" 2>&1
  ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd" >"$dir/osd-mkfs.out" 2>&1
  launch osd ceph-osd -f -c "$conf" -i 0
  until_true "$READY_SECONDS" 'the OSD' osd_is_up

  radosgw-admin -c "$conf" user create --uid=test --display-name=test \
    --access-key="$ACCESS_KEY_ID" --secret-key="$SECRET_ACCESS_KEY" >"$dir/user.out" 2>&1
  local endpoint
  endpoint=127.0.0.1:$(free_port)
  launch rgw radosgw -f -c "$conf" -n client.admin --rgw-frontends="beast endpoint=$endpoint"
  until_true "$READY_SECONDS" 'the gateway' curl -fs -m 2 "http://$endpoint/"
  write_environment rgw "http://$endpoint" "$ACCESS_KEY_ID" "$SECRET_ACCESS_KEY"
  echo "Ceph RGW on http://$endpoint"
}

s3_server "$@"
