#include "passes/pass.h"

namespace gannet {

Result<bool> eliminate_dead_nodes(Graph& graph, PassContext&) { return erase_dead_nodes(graph); }

}  // namespace gannet
