#!/usr/bin/env bash
# An OpenStack Swift for tests: its S3 API on loopback, free ports, one directory as the only device. Its modes are in
# daemons.sh.
#
# Needs Debian's packages swift-proxy, swift-account, swift-container, swift-object and memcached, and a file system
# with extended attributes. Debian's /etc/swift/swift.conf is used as it is. There is one replica, so the tests need no
# replicators, auditors and updaters. The daemons run as the user that starts the script, also as root.
set -euo pipefail
# shellcheck source=test/servers/free-port.sh
source "$(dirname "${BASH_SOURCE[0]}")/../free-port.sh"
# shellcheck source=test/servers/s3/daemons.sh
source "$(dirname "${BASH_SOURCE[0]}")/daemons.sh"

# With tempauth, the access key is ACCOUNT:USER.
readonly ACCESS_KEY_ID=test:tester
readonly SECRET_ACCESS_KEY=test-secret-key
readonly daemons=(proxy object container account memcached)

# write_config KIND PORT: the [DEFAULT] section, which all servers share.
write_config() {
  cat >"$dir/$1-server.conf" <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $2
# No forks: the process that was launched is the only one to stop.
workers = 0
user = $(id -un)
swift_dir = $dir
devices = $dir/devices
mount_check = false
fallocate_reserve = 0
log_level = WARNING
CONF
}

# write_storage_config KIND PORT
write_storage_config() {
  write_config "$1" "$2"
  cat >>"$dir/$1-server.conf" <<CONF
[pipeline:main]
pipeline = $1-server

[app:$1-server]
use = egg:swift#$1
CONF
  swift-ring-builder "$dir/$1.builder" create 1 1 1 >/dev/null
  swift-ring-builder "$dir/$1.builder" add "r1z1-127.0.0.1:$2/device" 1 >/dev/null
  # It warns with code 1 that one device is little.
  swift-ring-builder "$dir/$1.builder" rebalance >"$dir/$1-ring.out" || (($? == 1))
}

# write_proxy_config PORT CACHE_PORT
write_proxy_config() {
  write_config proxy "$1"
  cat >>"$dir/proxy-server.conf" <<CONF
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats cache bulk s3api tempauth slo dlo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$2

[filter:tempauth]
use = egg:swift#tempauth
user_${ACCESS_KEY_ID/:/_} = $SECRET_ACCESS_KEY .admin

[filter:s3api]
use = egg:swift#s3api

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo

[filter:bulk]
use = egg:swift#bulk

[filter:listing_formats]
use = egg:swift#listing_formats

[filter:healthcheck]
use = egg:swift#healthcheck

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:catch_errors]
use = egg:swift#catch_errors
CONF
}

start_server() {
  local port kind
  local -A ports=()
  mkdir -p "$dir/devices/device"
  for kind in account container object; do
    ports[$kind]=$(free_port)
    write_storage_config "$kind" "${ports[$kind]}"
    launch "$kind" "swift-$kind-server" "$dir/$kind-server.conf" -v
  done
  ports[memcached]=$(free_port)
  # The file in its arguments shows that the process is of this directory.
  launch memcached memcached -l 127.0.0.1 -p "${ports[memcached]}" -u "$(id -un)" -P "$dir/memcached.pid"
  for kind in "${!ports[@]}"; do until_true "$READY_SECONDS" "$kind" port_is_open "${ports[$kind]}"; done
  port=$(free_port)
  write_proxy_config "$port" "${ports[memcached]}"
  launch proxy swift-proxy-server "$dir/proxy-server.conf" -v
  until_true "$READY_SECONDS" 'the proxy' curl -fs -m 2 "http://127.0.0.1:$port/healthcheck"
  write_environment swift "http://127.0.0.1:$port" "$ACCESS_KEY_ID" "$SECRET_ACCESS_KEY"
  echo "OpenStack Swift on http://127.0.0.1:$port"
}

port_is_open() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1")
}

s3_server "$@"
