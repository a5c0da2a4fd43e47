#!/usr/bin/env bash
# Time and peak memory of reading models: BERT-base (440 MB), and chains of 443 and 4,430 Dense layers, whose ratio
# shows whether reading is linear in nodes. The file cache is warm; `cat` of the file is timed beside it.
#   bench/import.sh [GANNET]
set -euo pipefail
gannet=${1:-build/release/gannet}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$gannet" new bert-classifier --layers 12 --hidden 768 --heads 12 -o "$folder/bert-base.onnx" > /dev/null
"$gannet" new mlp --inputs 128 --layers 128x443 -o "$folder/dense-443.onnx" > /dev/null
"$gannet" new mlp --inputs 128 --layers 128x4430 -o "$folder/dense-4430.onnx" > /dev/null

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
seconds() {
  local start end
  start=$(date +%s%N)
  "$@" > /dev/null
  end=$(date +%s%N)
  echo $(((end - start) / 1000)) | awk '{ printf "%.3f\n", $1 / 1e6 }'
}

printf '%-12s %10s %12s %12s %14s\n' model file_MB read_s inspect_s peak_over_file
for model in bert-base dense-443 dense-4430; do
  file=$folder/$model.onnx
  cat "$file" > /dev/null
  read_s=$(for _ in 1 2 3 4 5; do seconds cat "$file"; done | median)
  inspect_s=$(for _ in 1 2 3 4 5; do seconds "$gannet" inspect "$file"; done | median)
  bytes=$(stat -c %s "$file")
  peak=$( (/usr/bin/time -f %M "$gannet" inspect "$file" > /dev/null) 2>&1 || echo 0)
  awk -v m="$model" -v b="$bytes" -v r="$read_s" -v i="$inspect_s" -v p="$peak" \
    'BEGIN { printf "%-12s %10.1f %12s %12s %14.2f\n", m, b / 1e6, r, i, p * 1024 / b }'
done
