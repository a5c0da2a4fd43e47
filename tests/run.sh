#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors and runs the default tests. Exits as ctest does.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install-packages.sh
cmake --preset dev -DGANNET_WERROR=ON
cmake --build --preset dev
ctest --test-dir build/dev -L '^default$' -j2 --output-on-failure
