#!/usr/bin/env bash
# Files of --codegen-only give, where there is no oneDNN, the bits that they give where there is one; other files say what
# they miss:
#
#   without_onednn.sh BUILD_FOLDER
set -euo pipefail
build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# What the file $1 computes, in the folder $2.
outputs() {
  "$build/gannet-run" "$1" --seed 3 --output "$2" > "$2.log"
}

for model in "mlp --inputs 6 --units 8 --outputs 3" "cnn --image-size 12 --channels 1 --classes 3" "bert-classifier" "dcgan-generator"; do
  # shellcheck disable=SC2086
  "$build/gannet" new $model -o model.onnx > new.log
  "$build/gannet" compile model.onnx --codegen-only -o generated.gannet > compile.log
  grep -q 'needs no oneDNN$' compile.log
  outputs generated.gannet with
  GANNET_ONEDNN=/absent/libdnnl.so outputs generated.gannet without
  diff -r with without
  rm -r with without
done

"$build/gannet" new bert-classifier -o model.onnx > new.log
"$build/gannet" compile model.onnx -o model.gannet > compile.log
grep -q 'needs oneDNN$' compile.log
"$build/gannet" inspect model.gannet | grep -q 'needs oneDNN$'
if GANNET_ONEDNN=/absent/libdnnl.so outputs model.gannet absent 2> message; then
  echo "a file that needs oneDNN ran without it" >&2
  exit 1
fi
[ "$(wc -l < message)" = 1 ]
grep -q '^error: model.gannet: oneDNN is needed and cannot be loaded: /absent/libdnnl.so: .*--codegen-only' message
libc=$(ldd "$build/gannet-run" | awk '/libc\.so/ {print $3}')
if GANNET_ONEDNN=$libc outputs model.gannet other 2> message; then exit 1; fi
grep -q "cannot be loaded: $libc: it has no dnnl_version" message
