// What a compiled model was made from, beside its weights: kept in the file so that `gannet refit` compiles
// another model in the same way, and says what is the matter where that cannot be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "ir/graph.h"
#include "tools/driver/command.h"

namespace gannet {

// A constant of the model's file.
struct ModelWeight {
  std::string name;
  Type type;
  Tensor uniform;  // one element, where all are this one and there are no more than passes look at
};

struct Compilation {
  std::vector<std::string> shapes;  // of ModelArguments
  bool symbolic_batch = false;
  bool codegen_only = false;  // not CompileOptions::use_onednn
  DType product_dtype = DType::kF32;  // of CompileOptions
  bool trains = false;        // there are training parts,
  std::vector<std::string> training = {};  // made with these flags (training_flags.h)
  uint64_t form =
      0;  // of the graph: its operations and what they read, but for names and contents of weights
  std::vector<ModelWeight>
      weights;  // in the order of the graph, those of bodies after what is before their node
};

// Of `graph` as it was imported.
Compilation compilation_of(const Graph& graph, const ModelArguments& arguments, const CompileOptions& options);
// The options that it was compiled with.
CompileOptions options_of(const Compilation& compilation);
// The constants that Compilation::weights lists.
std::vector<Value*> model_weights(const Graph& graph);

std::string to_bytes(const Compilation& compilation);
Result<Compilation> parse_compilation(const std::string& bytes);

}  // namespace gannet
