#include "tools/driver/node_history.h"

#include <algorithm>
#include <set>

#include "ir/op.h"

namespace gannet {
namespace {

constexpr std::string_view kConstant = "constant", kNothing = "nothing";

std::string name_of_node(const Node& node) {
  for (const Value* output : node.outputs()) {
    if (output) return output->name;
  }
  return node.name;
}

std::string op_of(const Node& node) {
  const std::string_view op = node.op().name;
  if (op == "Constant" || op == "Dims") return std::string(kConstant);
  return op == "Fused" ? "fused " + std::string(node.attrs.text("kind")) : std::string(op);
}

// Nodes of `graph` and its subgraphs; those of Fused nodes stay inside.
void visit_nodes(const Graph& graph, const std::string& path, const std::function<void(const Node&, const std::string&)>& visit) {
  for (const auto& node : graph.nodes()) {
    visit(*node, path);
    if (node->op().name == "Fused") continue;
    for (const auto& [name, attr] : node->attrs.entries()) {
      const auto* body = std::get_if<std::shared_ptr<Graph>>(&attr);
      if (body && *body) visit_nodes(**body, path + name_of_node(*node) + "/" + name + "/", visit);
    }
  }
}

}  // namespace

NodeHistory::NodeHistory(const ImportedModel& model) : nodes_(model.nodes.size()) {
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    const bool constant = model.nodes[i].op == "Constant";
    labels_.push_back(constant ? std::string(kConstant) : model.nodes[i].op);
    if (constant) nodes_[i].outcome = Outcome::kConstant;
  }
  last_.hosts.resize(model.nodes.size());
  observe("import", *model.graph);
}

NodeHistory::Snapshot NodeHistory::look_at(const Graph& graph) const {
  Snapshot snapshot;
  snapshot.hosts.resize(nodes_.size());
  visit_nodes(graph, "", [&](const Node& node, const std::string& path) {
    const std::pair<std::string, std::string> host(path + name_of_node(node), op_of(node));
    snapshot.positions.try_emplace(host, snapshot.positions.size());
    for (const int32_t source : node.sources()) snapshot.hosts[static_cast<size_t>(source)].push_back(host);
  });
  return snapshot;
}

void NodeHistory::observe(std::string_view pass, const Graph& graph) {
  Snapshot now = look_at(graph);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (now.hosts[i] != last_.hosts[i] || pass == "import") compare(pass, static_cast<int32_t>(i), now);
  }
  last_ = std::move(now);
}

std::optional<size_t> NodeHistory::position_before(const std::pair<std::string, std::string>& host) const {
  const auto found = last_.positions.find(host);
  return found == last_.positions.end() ? std::nullopt : std::optional(found->second);
}

// Where an earlier node stands for one later on, without having done so before, the two have one result.
void NodeHistory::compare(std::string_view pass, int32_t source, const Snapshot& now) {
  const auto index = static_cast<size_t>(source);
  ExplainedNode& node = nodes_[index];
  if (node.outcome == Outcome::kConstant) return;
  std::set<std::string> ops;
  for (const auto& [name, op] : now.hosts[index]) {
    if (op != kConstant) ops.insert(op);
  }
  std::string label;
  for (const std::string& op : ops) label += (label.empty() ? "" : ", ") + op;
  if (label.empty()) label = now.hosts[index].empty() ? kNothing : kConstant;
  const Hosts& before = last_.hosts[index];
  if (now.hosts[index].size() == 1 && !ops.empty() && !before.empty()) {
    const auto& host = now.hosts[index].front();
    const std::optional<size_t> there = position_before(host);
    const bool earlier = there && std::ranges::all_of(before, [&](const auto& old) { return *there < position_before(old).value_or(0); });
    if (earlier) {
      node.same_as = host.first;
      node.outcome = Outcome::kMerged;
      node.events.push_back({std::string(pass), "the result of '" + host.first + "'"});
      labels_[index] = label;
      return;
    }
  }
  if (label == labels_[index]) return;
  labels_[index] = label;
  node.events.push_back({std::string(pass), label});
  if (label == kNothing) node.outcome = Outcome::kRemoved;
  if (label == kConstant && node.outcome != Outcome::kMerged) node.outcome = Outcome::kConstant;
}

}  // namespace gannet
