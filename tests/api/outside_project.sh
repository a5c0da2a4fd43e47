#!/usr/bin/env bash
# A project outside of Gannet's, in C and in C++, that finds the installed library by its CMake package and by pkg-config:
#
#   outside_project.sh BUILD_FOLDER
set -euo pipefail
build=$1
source=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake --install "$build" --component library --prefix "$folder/prefix" > "$folder/install.log"
"$build/gannet" new mlp --layers 8 --inputs 4 --outputs 3 --seed 5 -o "$folder/model.onnx" > /dev/null
"$build/gannet" compile "$folder/model.onnx" -o "$folder/model.gannet" > /dev/null

cmake -S "$source/examples/deploy" -B "$folder/build" -DCMAKE_PREFIX_PATH="$folder/prefix" > "$folder/configure.log"
cmake --build "$folder/build" > "$folder/build.log"
"$folder/build/scores" "$folder/model.gannet" > "$folder/scores"
[ "$(wc -l < "$folder/scores")" = 3 ] || { cat "$folder/scores"; exit 1; }
"$folder/build/describe" "$folder/model.gannet" | grep -q '^input input: type 1 \[batch, 4\]$'
if "$folder/build/describe" "$folder/model.onnx" 2> "$folder/error"; then
  echo "a file that is no artifact was described" >&2
  exit 1
fi
grep -q 'model.onnx: it is no compiled model' "$folder/error"

export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$folder/prefix" -name gannet.pc)")
library=$(pkg-config --variable=libdir gannet)
# shellcheck disable=SC2046
${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror "$source/examples/deploy/scores.c" $(pkg-config --cflags --libs gannet) \
  -Wl,-rpath,"$library" -o "$folder/by_pkg_config"
"$folder/by_pkg_config" "$folder/model.gannet" | cmp - "$folder/scores"

# Nothing but the interface leaves the library.
if nm -D --defined-only "$library/libgannet.so" | grep -v ' [TA] gannet_\| A GANNET_'; then
  echo "libgannet exports more than its interface" >&2
  exit 1
fi
