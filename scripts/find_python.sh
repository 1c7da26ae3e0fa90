#!/usr/bin/env bash
# Prints the path of the oldest or the newest Python from 3.10 to 3.14 on this machine.
#
#   scripts/find_python.sh oldest|newest
#
# Looked at: $PYTHON, or python3; python3.10 to python3.14 on the PATH; the interpreters of pyenv,
# whose commands on the PATH work only for the chosen version. Only what really runs counts.
set -euo pipefail

case ${1-} in
  oldest) pick=head ;;
  newest) pick=tail ;;
  *)
    echo "usage: scripts/find_python.sh oldest|newest" >&2
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

# The stable sort keeps the order above among equals. A pre-release is nobody's newest Python.
# Printed is the interpreter itself: what stands on the PATH may work in this folder only.
found=$(candidates | while IFS= read -r candidate; do
  "$candidate" -I -c '
import sys
import venv
if (3, 10) <= sys.version_info < (3, 15) and sys.version_info.releaselevel == "final":
    print(sys.version_info[1], sys.executable)
' 2>/dev/null </dev/null || true
done | sort -s -n -k 1,1)
if [ -z "$found" ]; then
  echo "find_python: there is no Python from 3.10 to 3.14 on the PATH" >&2
  exit 1
fi
if [ "$pick" = head ]; then
  found=${found%%$'\n'*}
else
  # Of several equal ones again the first.
  newest=$(tail -n 1 <<<"$found")
  found=$(grep -m 1 "^${newest%% *} " <<<"$found")
fi
printf '%s\n' "${found#* }"
