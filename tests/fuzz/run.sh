#!/usr/bin/env bash
# Usage: tests/fuzz/run.sh [SECONDS]
# Builds every fuzz target with clang and runs each for SECONDS (600). A finding ends the run with a status other than 0
# and stays in build/fuzz/findings.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}

tools/install-packages.sh --nightly
compiler=$(command -v clang++ || compgen -c clang++- | sort -V | tail -1)
cmake --preset fuzz -DCMAKE_CXX_COMPILER="$compiler"
cmake --build --preset fuzz
mkdir -p build/fuzz/findings
for program in build/fuzz/tests/fuzz/fuzz_*; do
  [ -x "$program" ] || continue
  corpus=build/fuzz/corpus/$(basename "$program")
  seeds=tests/fuzz/seeds/$(basename "$program" | sed 's/^fuzz_//')
  mkdir -p "$corpus"
  inputs=("$corpus")
  if [ -d "$seeds" ]; then inputs+=("$seeds"); fi
  "$program" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 -artifact_prefix=build/fuzz/findings/ "${inputs[@]}"
done
