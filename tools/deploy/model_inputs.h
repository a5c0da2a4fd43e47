// The inputs of a run: from files, or made up where none is given.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "runtime/data/image.h"

namespace gannet {

// The index_bound of an input that indexes no table, as far as is known (or one of two rows): random integers stay below.
inline constexpr int64_t kUnknownIndexBound = 2;

// An input of a model, whether it comes from an ONNX file or a compiled one.
struct InputSpec {
  std::string name;
  Type type;
  int64_t index_bound = kUnknownIndexBound;  // of integers that index tables: the rows of the smallest
};

struct InputArguments {
  std::vector<std::string> files;            // NAME=FILE, or FILE alone for a model of one input
  std::map<std::string, Shape> shapes;       // of inputs without a file, and of raw files
  ImageOptions image;
  uint64_t seed = 0;
  Limits limits;
  // Reads ONNX's .pb files; empty where that is not possible.
  std::function<Result<Datum>(const std::string& path, const Type& type, const Limits& limits)> read_pb;
};

// One datum for each input, in order. Inputs without a file get seeded random values of their type: floats
// are normal, integers stay below their bound. Free symbols take the extents that
// files and `shapes` give them, else 1 for a leading dimension, 224 for the spatial ones of a picture, 16 elsewhere.
// `made_up` receives the names of inputs without a file.
Result<std::vector<Datum>> collect_inputs(std::span<const InputSpec> specs, const InputArguments& arguments,
                                          std::vector<std::string>& made_up);

}  // namespace gannet
