#!/usr/bin/env bash
# A versitygw for tests: a real S3 server on loopback, on a free port, whose objects are plain files. Its modes are in
# daemons.sh.
#
# Needs versitygw on the PATH (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0), and a file system with
# extended attributes. Each object is a file with the name of its key, so the limits of file names are limits of keys.
set -euo pipefail
# shellcheck source=test/servers/free-port.sh
source "$(dirname "${BASH_SOURCE[0]}")/../free-port.sh"
# shellcheck source=test/servers/s3/daemons.sh
source "$(dirname "${BASH_SOURCE[0]}")/daemons.sh"

readonly ACCESS_KEY_ID=test-access
readonly SECRET_ACCESS_KEY=test-secret-key
readonly daemons=(versitygw)

start_server() {
  local endpoint
  endpoint=127.0.0.1:$(free_port)
  mkdir "$dir/buckets"
  ROOT_ACCESS_KEY_ID=$ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY=$SECRET_ACCESS_KEY \
    launch versitygw versitygw --port "$endpoint" --health /health --quiet posix "$dir/buckets"
  until_true "$READY_SECONDS" versitygw curl -fs -m 2 "http://$endpoint/health"
  write_environment versitygw "http://$endpoint" "$ACCESS_KEY_ID" "$SECRET_ACCESS_KEY"
  echo "versitygw on http://$endpoint"
}

s3_server "$@"
