// The textual form of graphs. Printing is canonical: equal graphs print equally, and parse_graph (parse.h) reads the
// text back. Tensors of more than `max_elements` elements print as a digest of their bits unless that is raised.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "ir/graph.h"

namespace gannet {

struct PrintOptions {
  int64_t max_elements = std::numeric_limits<int64_t>::max();  // of a tensor printed in full
};

std::string print_graph(const Graph& graph, const PrintOptions& options = {});
std::string print_node(const Node& node, const PrintOptions& options = {});
// A tensor literal, "f32[2] {1, 2.5}".
std::string print_tensor(const Tensor& tensor, const PrintOptions& options = {});

}  // namespace gannet
