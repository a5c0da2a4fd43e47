// Reference cases in the layout of ONNX's backend tests: a folder with model.onnx and folders test_data_set_N of
// input_I.pb and output_I.pb.
#pragma once

#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "runtime/data/compare.h"

namespace gannet {

enum class CaseOutcome { kPassed, kFailed, kSkipped };

struct CaseResult {
  std::string path;    // of the case's folder
  CaseOutcome outcome = CaseOutcome::kSkipped;
  std::string reason;  // why not passed, in one line
  double seconds = 0;
};

// The folders at or below `paths` that hold a model.onnx, sorted by name under each path. An error names a path that
// does not exist or holds no case.
Result<std::vector<std::string>> find_cases(const std::vector<std::string>& paths);

// Imports and runs one case in this process, and compares all its data sets. A tolerance.json in the folder replaces
struct CheckOptions {
  Tolerance tolerance;
  Limits limits;
  bool reference = false;  // the reference evaluator instead of compiled programs
  bool same_bits = false;  // a compiled case also runs on two threads, twice, and must give the same bits
  int64_t jobs = 1;
  double seconds_per_case = 120;
};

// Imports and runs one case in this process, and compares all its data sets. A tolerance.json in the folder replaces
// the fields of the tolerance that it names. A case without data is skipped.
CaseResult run_case(const std::string& folder, const CheckOptions& options);

// Runs each case in a child process, `jobs` at a time, in the order given; one that crashes or takes too long fails
// with that reason and disturbs no other. Must be called while the process has one thread.
std::vector<CaseResult> run_cases(const std::vector<std::string>& folders, const CheckOptions& options);

}  // namespace gannet
