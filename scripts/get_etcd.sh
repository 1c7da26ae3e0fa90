#!/usr/bin/env bash
# Puts an etcd release into a cache folder and prints the path of the server.
#
#   scripts/get_etcd.sh 3.6.16    that release
#   scripts/get_etcd.sh 3.6       the newest 3.6
#
# Builds the server, and etcdctl beside it, from etcd's Go modules; needs a Go toolchain, which may
# fetch a newer one by itself. What is there already is not built again. Releases from 3.5 on.
#
# The folder is ${XDG_CACHE_HOME:-~/.cache}/etcd-election/etcd-VERSION/; it appears complete or not
# at all. Ends with 1 and says what to do if the release cannot be had, with 2 for wrong arguments.
set -euo pipefail

cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/etcd-election
server=go.etcd.io/etcd/server/v3
control=go.etcd.io/etcd/etcdctl/v3

say() { printf 'get_etcd: %s\n' "$@" >&2; }

by_hand() {
  say "$@" \
    "Get it by hand from the download page of etcd's releases, https://github.com/etcd-io/etcd/releases," \
    "and put the etcd of the archive on your PATH, or set ETCD to its path."
  exit 1
}

wanted=${1-}
if [ "$#" -ne 1 ] || ! [[ $wanted =~ ^[0-9]+\.[0-9]+(\.[0-9]+)?$ ]]; then
  say "usage: scripts/get_etcd.sh VERSION, such as 3.6.16, or 3.6 for the newest of these"
  exit 2
fi
case $wanted in
  3.[5-9] | 3.[5-9].* | 3.[1-9][0-9] | 3.[1-9][0-9].*) ;;
  *) by_hand "etcd $wanted is not built by this script: only since 3.5 is the server a Go module." \
    "For 3.4: the package etcd-server of Debian 12 is a 3.4." ;;
esac

finish() { # finish VERSION
  printf '%s\n' "$cache/etcd-$1/etcd"
  exit 0
}

cached() { # cached MINOR: the newest of it that is there already
  local path
  for path in "$cache/etcd-$1".*/etcd; do
    [ -x "$path" ] && basename "$(dirname "$path")"
  done | sed 's/^etcd-//' | sort -t . -k 3 -n | tail -n 1
}

is_minor=no
if ! [[ $wanted =~ \..*\. ]]; then
  is_minor=yes
elif [ -x "$cache/etcd-$wanted/etcd" ]; then
  finish "$wanted"
fi

if ! command -v go >/dev/null; then
  if [ $is_minor = yes ] && version=$(cached "$wanted") && [ -n "$version" ]; then
    finish "$version"
  fi
  by_hand "etcd $wanted would be built with Go, and there is no 'go' on the PATH."
fi

work=$(mktemp -d)
building=
# shellcheck disable=SC2064
trap 'rm -rf "$work" ${building:+"$building"}' EXIT
cd "$work"
export GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
# Modules of etcd replace others by folders of their repository. "go install" refuses that; as
# requirements of a module of ours they are built from what was released.
go mod init example.invalid/etcd >log 2>&1

if [ $is_minor = yes ]; then
  # Sorted by version; pre-releases are left out.
  if versions=$(go list -m -versions "$server" 2>>log); then
    version=$(tr ' ' '\n' <<<"$versions" | sed -n "s/^v\(${wanted//./\\.}\.[0-9]*\)\$/\1/p" | tail -n 1)
    [ -n "$version" ] || by_hand "there is no etcd $wanted among the releases of $server."
  else
    version=$(cached "$wanted")
    if [ -z "$version" ]; then
      cat log >&2
      by_hand "the releases of $server cannot be listed."
    fi
    say "the releases cannot be listed; taking $version, which is here already"
  fi
  [ ! -x "$cache/etcd-$version/etcd" ] || finish "$version"
else
  version=$wanted
fi

say "building etcd $version"
mkdir -p "$cache"
building=$(mktemp -d "$cache/.building.XXXXXX")
{
  go get "$server@v$version" "$control@v$version" &&
    go build -trimpath -ldflags '-s -w' -o "$building/etcd" "$server" &&
    go build -trimpath -ldflags '-s -w' -o "$building/etcdctl" "$control"
} >>log 2>&1 || {
  tail -n 30 log >&2
  by_hand "etcd $version could not be built."
}
chmod 755 "$building"
# Another run may have been quicker; its result is as good.
[ -e "$cache/etcd-$version" ] || mv "$building" "$cache/etcd-$version"
finish "$version"
