#!/bin/sh
# Fails where the program given needs the libraries that only a compiler or a tokenizer may need.
set -eu
libraries=$(ldd "$1")
if printf '%s\n' "$libraries" | grep -Ei 'llvm|onnx|protobuf|icu'; then
  echo "$1 needs libraries of the compiler or of tokenizers" >&2
  exit 1
fi
printf '%s\n' "$libraries" | grep -q libstdc++
