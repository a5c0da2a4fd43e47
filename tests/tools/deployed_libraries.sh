#!/bin/sh
# Fails where the program or library given needs the libraries that only a compiler or a tokenizer may need, or oneDNN, which is
# loaded when a model asks for it; or where it is larger, stripped, than so many bytes:
#
#   deployed_libraries.sh PROGRAM [BYTES]
set -eu
libraries=$(ldd "$1")
if printf '%s\n' "$libraries" | grep -Ei 'llvm|onnx|protobuf|icu|dnnl|opencl'; then
  echo "$1 needs libraries of the compiler or of tokenizers, or oneDNN" >&2
  exit 1
fi
printf '%s\n' "$libraries" | grep -q libstdc++
[ -n "${2:-}" ] || exit 0
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$1"
bytes=$(wc -c < "$stripped")
if [ "$bytes" -ge "$2" ]; then
  echo "$1 has $bytes bytes stripped, $2 or more" >&2
  exit 1
fi
