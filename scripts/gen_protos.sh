#!/usr/bin/env bash
# Generates src/etcd_election/pb from protos/; with --check, only compares the two.
#
# Guaranteed: the output depends on protos/ and on this file alone. The generators are pinned
# below, and other releases of them are refused.
#
#   scripts/gen_protos.sh            replaces the folder src/etcd_election/pb
#   scripts/gen_protos.sh --check    writes nothing; ends with 1 if the folder is not what the
#                                    protos give, and names the files
#   PYTHON=...                       the interpreter that has the generators (python3)
#
# Ends with 2 if it cannot run at all: wrong arguments, no interpreter, not the pinned generators.
#
# Why the packages are renamed. protobuf keeps one registry of message names per process, and
# other etcd libraries register "etcdserverpb.*" too: whoever is imported second would fail. Names
# of messages never travel, so here they live below "etcd_election.". Names of services do travel,
# as the path of every call, so the stubs get etcd's own ones back.
set -euo pipefail
export LC_ALL=C

# Not the newest on purpose: generated code refuses to run with a protobuf or grpcio older than its
# generator: this pin needs protobuf>=6.30, which is the floor of the library's own requirements, and
# a grpcio older than the one required there. A new pin here may be a new floor there.
grpcio_tools_pin=1.72.2
mypy_protobuf_pin=5.1.0
pins="grpcio-tools==$grpcio_tools_pin mypy-protobuf==$mypy_protobuf_pin"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
checked_in=$root/src/etcd_election/pb
PYTHON=${PYTHON:-python3}
export PYTHON

fail() { # fail STATUS LINE...
  local status=$1
  shift
  printf 'gen_protos: %s\n' "$@" >&2
  exit "$status"
}

require() { # require DISTRIBUTION VERSION
  local found
  found=$("$PYTHON" -c '
import sys
from importlib.metadata import PackageNotFoundError, version
try:
    print(version(sys.argv[1]))
except PackageNotFoundError:
    print("none")
' "$1") || fail 2 "cannot run the interpreter '$PYTHON': set PYTHON to one that works"
  if [ "$found" != "$2" ]; then
    fail 2 "needs $1 $2, but '$PYTHON' has: $found" \
      "install both with: '$PYTHON' -m pip install $pins" \
      "or set PYTHON to an interpreter that has both"
  fi
}

# Below etcd_election/pb, so that the generated imports come out right. Inside a package of that
# name "etcdserverpb.X" finds etcd_election.etcdserverpb.X by itself: only the package lines and
# the imports change. Section rules ("// ---- ...") would end up in docstrings.
stage() { # stage FOLDER
  local proto
  mkdir -p "$1/etcd_election/pb"
  for proto in "$root"/protos/*.proto; do
    sed -E \
      -e '/^\/\/ ----/d' \
      -e 's/^package ([a-z0-9]+);/package etcd_election.\1;/' \
      -e 's|^import "([a-z0-9]+\.proto)";|import "etcd_election/pb/\1";|' \
      "$proto" >"$1/etcd_election/pb/${proto##*/}"
  done
}

# protoc looks for plugins on the PATH, where those of $PYTHON need not be.
plugin() { # plugin FILE FUNCTION
  cat >"$1" <<EOF
#!/bin/sh
exec "\$PYTHON" -c 'from mypy_protobuf.main import $2; $2()'
EOF
  chmod +x "$1"
}

compile() { # compile STAGE OUT
  plugin "$1/protoc-gen-mypy" main
  plugin "$1/protoc-gen-mypy_grpc" grpc
  "$PYTHON" -m grpc_tools.protoc \
    --proto_path="$1" \
    --plugin=protoc-gen-mypy="$1/protoc-gen-mypy" \
    --plugin=protoc-gen-mypy_grpc="$1/protoc-gen-mypy_grpc" \
    --python_out="$2" --grpc_python_out="$2" \
    --mypy_out=quiet:"$2" --mypy_grpc_out=quiet:"$2" \
    "$1"/etcd_election/pb/*.proto
}

# Strings such as '/etcd_election.etcdserverpb.KV/Range' and 'etcd_election.etcdserverpb.KV'.
restore_service_names() { # restore_service_names FILE
  sed -E "s#'(/?)etcd_election\.([a-z0-9]+\.[A-Z])#'\1\2#g" "$1" >"$1.new"
  mv "$1.new" "$1"
}

generate() { # generate PB, a folder that ends in etcd_election/pb, below WORK/out
  local proto name
  stage "$work/stage"
  mkdir -p "$work/out"
  compile "$work/stage" "$work/out"
  for proto in "$root"/protos/*.proto; do
    name=${proto##*/}
    name=${name%.proto}
    if grep -q '^service ' "$proto"; then
      restore_service_names "$1/${name}_pb2_grpc.py"
    else
      rm "$1/${name}_pb2_grpc.py" "$1/${name}_pb2_grpc.pyi"
    fi
  done
  printf '"""%s"""\n' "etcd's wire contract, made by scripts/gen_protos.sh: not to be edited." \
    >"$1/__init__.py"
}

case "$#:${1-}" in
  0:) check=no ;;
  1:--check) check=yes ;;
  *) fail 2 "usage: scripts/gen_protos.sh [--check]" ;;
esac
require grpcio-tools "$grpcio_tools_pin"
require mypy-protobuf "$mypy_protobuf_pin"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fresh=$work/out/etcd_election/pb
generate "$fresh"

if [ "$check" = no ]; then
  rm -rf "$checked_in"
  mkdir -p "${checked_in%/*}"
  cp -R "$fresh" "$checked_in"
  exit 0
fi

[ -d "$checked_in" ] || fail 1 "there is no src/etcd_election/pb: run scripts/gen_protos.sh"
if ! differences=$(diff -rq -x __pycache__ "$checked_in" "$fresh" 2>&1); then
  differences=${differences//"$checked_in"/src/etcd_election/pb}
  differences=${differences//"$fresh"/what the protos give}
  printf '%s\n' "$differences" >&2
  fail 1 "src/etcd_election/pb is not what protos/ give: run scripts/gen_protos.sh"
fi
