#!/usr/bin/env bash
# gannet-run alone, in a folder with nothing but a compiled file and data, trains to the bits of `gannet tune`; an interrupt ends it
# with the weights that it has:
#
#   deployed_training.sh BUILD_FOLDER
set -euo pipefail
build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir device
cp "$build/gannet-run" device/
settings=(--eval-fraction 0.2 --epochs 3 --batch-size 16 --seed 7)

"$build/gannet" new cnn --image-size 12 --channels 1 --classes 3 --sample-data device/d.npz --samples 96 -o m.onnx > log
for target in "" "--codegen-only"; do
  # shellcheck disable=SC2086
  "$build/gannet" tune m.onnx --train device/d.npz "${settings[@]}" --dropout '*1*=0.1' $target -o tuned.onnx > log
  # shellcheck disable=SC2086
  "$build/gannet" compile m.onnx --train --dropout '*1*=0.1' $target -o device/m.gannet > log
  absent=${target:+GANNET_ONEDNN=/absent/libdnnl.so}
  # shellcheck disable=SC2086
  (cd device && env -i $absent ./gannet-run m.gannet --tune d.npz "${settings[@]}" -o w.safetensors) > log
  grep -q '^wrote w.safetensors$' log
  "$build/gannet" apply-weights m.onnx device/w.safetensors -o applied.onnx > log
  cmp applied.onnx tuned.onnx
done

rm device/w.safetensors
cd device
./gannet-run m.gannet --tune d.npz --eval d.npz --epochs 1000000 -o w.safetensors > log 2> message &
run=$!
for _ in $(seq 600); do
  if grep -q accuracy log; then break; fi
  sleep 0.1
done
kill -INT "$run"
if wait "$run"; then
  echo "an interrupted training succeeded" >&2
  exit 1
fi
grep -Eq '^error: interrupted after update [0-9]+: w.safetensors holds the best weights so far, of update [0-9]+$' message
[ "$(wc -l < message)" = 1 ]
"$build/gannet" apply-weights ../m.onnx w.safetensors -o ../applied.onnx > log
[ "$(find . -type f | wc -l)" = 6 ]
