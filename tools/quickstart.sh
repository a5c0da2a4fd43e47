#!/usr/bin/env bash
# Installs what is missing, builds Gannet, and shows it at work on models that it makes itself, in build/quickstart.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install-packages.sh
cmake --preset release -DGANNET_TESTS=OFF
cmake --build --preset release --target gannet gannet-run gannet_shared

gannet=$PWD/build/release/gannet
rm -rf build/quickstart
mkdir -p build/quickstart
cd build/quickstart

step() {
  printf '\n$ gannet %s\n' "$*"
  "$gannet" "$@"
}
deploy() {
  printf '\n$ gannet-run %s\n' "$*"
  "$gannet-run" "$@"
}

printf '\nA text classifier, with any batch and any sequence length:\n'
step new bert-classifier --layers 2 --hidden 128 --heads 2 -o classifier.onnx
step inspect classifier.onnx
step run classifier.onnx --shape input_ids=2x16 --shape attention_mask=2x16 --shape token_type_ids=2x16

printf '\nCompiled into one file, which runs at any shape without the compiler:\n'
step compile classifier.onnx -o classifier.gannet
deploy classifier.gannet --shape input_ids=2x16 --shape attention_mask=2x16 --shape token_type_ids=2x16
step bench classifier.gannet --shape input_ids=1x128 --shape attention_mask=1x128 --shape token_type_ids=1x128 --runs 50

printf '\nAn image classifier and a small task that it can learn:\n'
step new cnn --image-size 12 --channels 1 --classes 3 --sample-data task.npz --samples 128 -o cnn.onnx
step tune cnn.onnx --train task.npz --eval-fraction 0.2 -o tuned.onnx
step run tuned.onnx --output outputs

printf '\nThe models, the task and the outputs are in build/quickstart.\n'
