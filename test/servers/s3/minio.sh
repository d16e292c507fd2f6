#!/usr/bin/env bash
# A MinIO for tests: a real S3 server on loopback, on a free port, with one directory as its disk. Its modes are in
# daemons.sh.
#
# Needs minio on the PATH. The tests were run on the last months of MinIO under the Apache License:
# go install github.com/minio/minio@v0.0.0-20210407225602-2899cc92b45f
set -euo pipefail
# shellcheck source=test/servers/free-port.sh
source "$(dirname "${BASH_SOURCE[0]}")/../free-port.sh"
# shellcheck source=test/servers/s3/daemons.sh
source "$(dirname "${BASH_SOURCE[0]}")/daemons.sh"

readonly ACCESS_KEY_ID=test-access
readonly SECRET_ACCESS_KEY=test-secret-key
readonly daemons=(minio)

start_server() {
  local endpoint
  endpoint=127.0.0.1:$(free_port)
  mkdir "$dir/disk"
  MINIO_ROOT_USER=$ACCESS_KEY_ID MINIO_ROOT_PASSWORD=$SECRET_ACCESS_KEY MINIO_BROWSER=off \
    launch minio minio --config-dir "$dir/config" server --quiet --address "$endpoint" "$dir/disk"
  until_true "$READY_SECONDS" minio curl -fs -m 2 "http://$endpoint/minio/health/live"
  write_environment minio "http://$endpoint" "$ACCESS_KEY_ID" "$SECRET_ACCESS_KEY"
  echo "minio on http://$endpoint"
}

s3_server "$@"
