#!/bin/sh
# Fails where the program or library given needs the libraries that only a compiler or a tokenizer may need, or oneDNN, which is
# loaded when a model asks for it:
#
#   deployed_libraries.sh PROGRAM
set -eu
libraries=$(ldd "$1")
if printf '%s\n' "$libraries" | grep -Ei 'llvm|onnx|protobuf|icu|dnnl|opencl'; then
  echo "$1 needs libraries of the compiler or of tokenizers, or oneDNN" >&2
  exit 1
fi
printf '%s\n' "$libraries" | grep -q libstdc++
