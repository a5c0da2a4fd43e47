// The inputs of a run: from files, or made up where none is given.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/error.h"
#include "ir/graph.h"
#include "runtime/data/image.h"

namespace gannet {

struct InputArguments {
  std::vector<std::string> files;            // NAME=FILE, or FILE alone for a model of one input
  std::map<std::string, Shape> shapes;       // of inputs without a file, and of raw files
  ImageOptions image;
  uint64_t seed = 0;
  Limits limits;
};

// One datum for each input of `graph`, in order. Inputs without a file get seeded random values of their type: floats
// are normal, integers stay below the number of rows of the tables they index. Free symbols take the extents that
// files and `shapes` give them, else 1 for a leading dimension, 224 for the spatial ones of a picture, 16 elsewhere.
// `made_up` receives the names of inputs without a file.
Result<std::vector<Datum>> collect_inputs(const Graph& graph, const InputArguments& arguments,
                                          std::vector<std::string>& made_up);

}  // namespace gannet
