#!/usr/bin/env bash
# Usage: prove_failure.sh LINT_INCLUDES
# For each line below, a tree of one file that holds it must be refused, or accepted.
set -u
lint=$1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

expect() {  # expect WANTED_STATUS FILE LINE
  rm -rf "${tree:?}"/*
  mkdir -p "$tree/$(dirname "$2")"
  printf '#include <vector>\n%s\n' "$3" > "$tree/$2"
  "$lint" "$tree" > /dev/null
  local status=$?
  if [ "$status" -ne "$1" ]; then
    echo "$2 with '$3': exit status $status, expected $1"
    failures=$((failures + 1))
  fi
}

expect 1 ir/graph.h '#include "passes/pass.h"'
expect 1 ir/graph.h '#include "frontend/import.h"'
expect 1 ir/ops/conv.cpp '  #  include  "runtime/core/program.h"'
expect 1 ir/graph.h '#include <google/protobuf/message.h>'
expect 1 frontend/import.cpp '#include "passes/pass.h"'
expect 1 frontend/import.cpp '#include "runtime/core/program.h"'
expect 1 passes/fold.cpp '#include "frontend/import.h"'
expect 1 passes/fold.cpp '#include "backend/plan.h"'
expect 1 passes/fold.cpp '#include "onnx/onnx_pb.h"'
expect 1 runtime/core/session.cpp '#include "backend/plan.h"'
expect 1 runtime/core/session.cpp '#include <llvm/IR/Module.h>'
expect 1 runtime/core/session.cpp '#include <dnnl.hpp>'
expect 1 runtime/core/session.cpp '#pragma omp parallel for'
expect 1 runtime/core/session.cpp '#include <omp.h>'
expect 1 backend/onednn/conv.cpp '#include "tools/driver/run.h"'
expect 1 frontend/import.cpp '#include <CLI/CLI.hpp>'
expect 1 tools/driver/run.cpp '#include <onnx/onnx_pb.h>'
expect 1 ir/graph.cpp '#include "../frontend/import.h"'
expect 1 runtime/data/image.cpp '#include "tests/support/models.h"'

expect 0 ir/graph.h '#include "ir/base/dim.h"'
expect 0 frontend/import.cpp '#include <onnx/onnx_pb.h>'
expect 0 tests/frontend/import_test.cpp '#include <onnx/onnx_pb.h>'
expect 0 backend/llvm/jit.cpp '#include <llvm/IR/Module.h>'
expect 0 backend/plan.cpp '#include "runtime/core/program.h"'
expect 0 runtime/kernels/matmul.cpp '#include <oneapi/dnnl/dnnl.hpp>'
expect 0 runtime/threads/pool.cpp '#pragma omp parallel for'
expect 0 runtime/core/session.cpp '#pragma omp simd'
expect 0 tools/driver/run.cpp '#include <CLI/CLI.hpp>'
expect 0 tools/driver/run.cpp '#include "frontend/import.h"'

if [ "$failures" -gt 0 ]; then exit 1; fi
echo "every line was judged as expected"
