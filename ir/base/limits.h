// What a model may ask for. Every reader and evaluator checks against these, so that a hostile or broken file ends in
// a message and never in exhausted memory. All can be set from the command line (`--limit NAME=VALUE`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/base/error.h"

namespace gannet {

struct Limits {
  int64_t nodes = 1'000'000;               // nodes of a model, functions expanded and subgraphs included
  int64_t file_bytes = int64_t{64} << 30;  // the model file and each external data file
  int64_t tensor_bytes = int64_t{16} << 30;  // one tensor
  int64_t elements = int64_t{1} << 40;     // elements of one tensor
  int64_t rank = 64;                       // dimensions of one tensor
  int64_t nesting = 32;                    // subgraphs and function calls inside each other
  int64_t loop_trips = 100'000'000;        // iterations of one Loop
  int64_t live_bytes = int64_t{64} << 30;  // tensors alive at once in a run
};

// Sets one limit from "NAME=VALUE"; names are those above with '-' for '_'.
Status set_limit(Limits& limits, std::string_view assignment);
// "nodes=1000000 file-bytes=..." for help texts.
std::string describe(const Limits& limits);

}  // namespace gannet
