// Reading an ONNX file into the IR: every opset is upgraded to one newest form, functions are inlined,
// captures of subgraphs become operands, and shape arithmetic folds into symbolic dimensions while the nodes
// are read. All problems of a model are found in one run. This header is free of protobuf's types.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/dim.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "ir/graph.h"

namespace gannet {

struct ModelFile;  // model_file.h

struct ImportOptions {
  Limits limits;
  // Makes the leading extent of the first input, and of every input that has the same one, the symbol
  // `batch`, and rewrites constants that hold it as a shape.
  bool symbolic_batch = false;
  std::string batch_symbol = "batch";
  // Shapes of inputs that replace what the file says.
  std::map<std::string, Shape> input_shapes;
};

struct OpsetImport {
  std::string domain;  // "" is ai.onnx
  int64_t version = 0;
};

// What a file says about itself, and what of it Gannet did not take.
struct ModelInfo {
  std::string path;
  int64_t file_bytes = 0;
  int64_t ir_version = 0;
  std::vector<OpsetImport> opsets;
  std::string producer_name, producer_version, domain, doc, graph_name;
  int64_t model_version = 0;
  std::vector<std::pair<std::string, std::string>> metadata;
  int64_t nodes_in_file = 0;       // subgraphs included, function bodies not
  int64_t nodes_imported = 0;      // subgraphs included
  std::vector<std::string> notes;  // what was ignored or assumed
};

// A node of the file; Node::sources are positions in ImportedModel::nodes. Nodes inside model-local functions are part of
// the node that calls.
struct SourceNode {
  std::string name;  // made from a result or the position where the file has none
  std::string op, domain;
  std::vector<std::string> outputs;
  int32_t parent = -1;    // of a node of a subgraph: the node that has it,
  std::string attribute;  // as this attribute
};

struct ImportedModel {
  std::unique_ptr<Graph> graph;
  ModelInfo info;
  std::shared_ptr<const ModelFile> source;  // for export into the user's own file
  std::vector<SourceNode> nodes;            // in an order in which they can run
};

// Imports the model at `path`. An error has one line for each problem of the model, at most 50:
// "model.onnx: node 'conv1' (Conv): group 3 does not divide 64 input channels".
Result<ImportedModel> import_model(const std::string& path, const ImportOptions& options = {});
// The same for a model in memory. External data are looked for in `folder` (none when empty).
Result<ImportedModel> import_model_bytes(std::string bytes, const std::string& name,
                                         const ImportOptions& options = {}, const std::string& folder = "");
// The same for a model that is loaded already.
Result<ImportedModel> import_model(std::shared_ptr<const ModelFile> file, const ImportOptions& options = {});
// Whether `data` lies in a mapped file of the model.
bool is_mapped(const ModelFile& file, const void* data);
// The files beside the model that its tensors are in.
std::vector<std::string> data_files(const ModelFile& file);
// Tells the system that what was read of the mapped files of a model need not stay in memory; it stays readable.
void release_pages(const ModelFile& file);

}  // namespace gannet
