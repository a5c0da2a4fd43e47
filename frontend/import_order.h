// Names and order: which node makes which value, in what order nodes can be read, and what a subgraph takes
// from outside. For the importer only: this header shows protobuf's types.
#pragma once

#include <onnx/onnx_pb.h>

#include <string_view>
#include <unordered_map>
#include <vector>

#include "frontend/import_problems.h"

namespace gannet {

using NodeProtos = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

// The name of node `index` for messages: its own, or its op and number.
std::string display_name(const onnx::NodeProto& node, int index);

// Names that `graph` uses but does not define, each once, in order of first use; its own subgraphs included.
std::vector<std::string_view> free_names(const onnx::GraphProto& graph);
// The same for all subgraphs of `node`.
std::vector<std::string_view> free_names(const onnx::NodeProto& node);

struct NodeOrder {
  std::vector<int> order;   // of all nodes that are not on a cycle, each after those that it needs
  std::vector<int> cyclic;  // the others
};
// Sorts nodes so that values are made before they are used; nodes that are in order already stay in place.
// Linear in nodes and operands. Cycles are problems that name their nodes.
NodeOrder order_nodes(const NodeProtos& nodes, Problems& problems);

}  // namespace gannet
