#!/usr/bin/env bash
# Prints where a Python from 3.10 to 3.14 is on this machine.
#
#   scripts/find_python.sh oldest|newest   a path
#   scripts/find_python.sh 3.12            a path
#   scripts/find_python.sh all             one line "3.N PATH" for each minor version, oldest first
#
# Looked at: $PYTHON, or python3; python3.10 to python3.14 on the PATH; the interpreters of pyenv,
# whose commands on the PATH work only for the chosen version. Only what really runs counts.
set -euo pipefail

case ${1-} in
  oldest | newest | all | 3.1[0-4]) ;;
  *)
    echo "usage: scripts/find_python.sh oldest|newest|all|3.10|...|3.14" >&2
    exit 2
    ;;
esac

candidates() {
  local minor
  printf '%s\n' "${PYTHON:-python3}"
  for minor in 10 11 12 13 14; do
    type -aP "python3.$minor" || true
  done
  if command -v pyenv >/dev/null; then
    printf '%s\n' "$(pyenv root)"/versions/3.*/bin/python3
  fi
}

# Of equal ones the first counts: the stable sort keeps the order above. A pre-release is nobody's
# newest Python.
# Printed is the interpreter itself: what stands on the PATH may work in this folder only.
found=$(candidates | while IFS= read -r candidate; do
  "$candidate" -I -c '
import sys
import venv
if (3, 10) <= sys.version_info < (3, 15) and sys.version_info.releaselevel == "final":
    print("3.%d" % sys.version_info[1], sys.executable)
' 2>/dev/null </dev/null || true
done | sort -t . -s -u -n -k 2,2)
case $1 in
  oldest) found=${found%%$'\n'*} ;;
  newest) found=${found##*$'\n'} ;;
  3.*) found=$(grep -F "$1 " <<<"$found" || true) ;;
esac
if [ -z "$found" ]; then
  echo "find_python: there is no such Python (of 3.10 to 3.14) on the PATH" >&2
  exit 1
fi
if [ "$1" = all ]; then
  printf '%s\n' "$found"
else
  printf '%s\n' "${found#* }"
fi
