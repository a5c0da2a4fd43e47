#include "frontend/import_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace gannet {
namespace {

using NameSet = std::unordered_set<std::string_view>;

class FreeNames {
 public:
  void visit_subgraphs(const onnx::NodeProto& node) {
    for (const onnx::AttributeProto& attr : node.attribute()) {
      if (attr.has_g()) visit(attr.g());
    }
  }

  void visit(const onnx::GraphProto& graph) {
    NameSet own;
    for (const auto& input : graph.input()) own.insert(input.name());
    for (const auto& tensor : graph.initializer()) own.insert(tensor.name());
    for (const auto& tensor : graph.sparse_initializer()) own.insert(tensor.values().name());
    for (const auto& node : graph.node()) own.insert(node.output().begin(), node.output().end());
    scopes_.push_back(std::move(own));
    for (const auto& node : graph.node()) {
      for (const auto& name : node.input()) use(name);
      visit_subgraphs(node);
    }
    for (const auto& output : graph.output()) use(output.name());
    scopes_.pop_back();
  }

  std::vector<std::string_view> take() { return std::move(names_); }

 private:
  void use(std::string_view name) {
    if (name.empty()) return;
    for (const NameSet& scope : scopes_) {
      if (scope.contains(name)) return;
    }
    if (seen_.insert(name).second) names_.push_back(name);
  }

  std::vector<NameSet> scopes_;
  NameSet seen_;
  std::vector<std::string_view> names_;
};

// Depth-first from each node in file order, without recursion: a node comes after everything it needs.
class Sorter {
 public:
  Sorter(const NodeProtos& nodes, Problems& problems) : nodes_(nodes), problems_(problems) {
    producers_.reserve(static_cast<size_t>(nodes.size()));
    for (int i = 0; i < nodes.size(); ++i) {
      for (const auto& name : nodes.Get(i).output()) {
        if (!name.empty()) producers_.emplace(name, i);
      }
    }
    marks_.resize(static_cast<size_t>(nodes.size()), Mark::kNew);
  }

  NodeOrder run() {
    for (int i = 0; i < nodes_.size(); ++i) {
      if (marks_[static_cast<size_t>(i)] == Mark::kNew) visit_from(i);
    }
    return std::move(result_);
  }

 private:
  enum class Mark : uint8_t { kNew, kOpen, kDone, kCyclic };
  struct Frame {
    int node = 0;
    std::vector<int> needs;
    size_t next = 0;
  };

  std::vector<int> needs_of(int index) const {
    std::vector<int> needs;
    auto add = [&](std::string_view name) {
      auto producer = producers_.find(name);
      if (producer != producers_.end()) needs.push_back(producer->second);
    };
    const onnx::NodeProto& node = nodes_.Get(index);
    for (const auto& name : node.input()) add(name);
    for (std::string_view name : free_names(node)) add(name);
    return needs;
  }

  void open(int node) {
    marks_[static_cast<size_t>(node)] = Mark::kOpen;
    stack_.push_back({node, needs_of(node), 0});
  }

  void visit_from(int start) {
    open(start);
    while (!stack_.empty()) {
      Frame& frame = stack_.back();
      if (frame.next < frame.needs.size()) {
        int needed = frame.needs[frame.next++];
        Mark mark = marks_[static_cast<size_t>(needed)];
        if (mark == Mark::kNew)
          open(needed);
        else if (mark == Mark::kOpen)
          report_cycle(needed);
        continue;
      }
      Mark& mark = marks_[static_cast<size_t>(frame.node)];
      (mark == Mark::kCyclic ? result_.cyclic : result_.order).push_back(frame.node);
      if (mark == Mark::kOpen) mark = Mark::kDone;
      stack_.pop_back();
    }
  }

  void report_cycle(int start) {
    constexpr size_t kNamed = 6;
    std::string names;
    auto first = std::find_if(stack_.begin(), stack_.end(), [&](const Frame& f) { return f.node == start; });
    size_t length = static_cast<size_t>(stack_.end() - first);
    for (size_t i = 0; i < length; ++i) {
      const Frame& frame = *(first + static_cast<std::ptrdiff_t>(i));
      marks_[static_cast<size_t>(frame.node)] = Mark::kCyclic;
      if (i < kNamed) names += fmt::format("'{}' <- ", display_name(nodes_.Get(frame.node), frame.node));
    }
    if (length > kNamed) names += fmt::format("{} more <- ", length - kNamed);
    problems_.add(invalid_model(
        fmt::format("the graph has a cycle: {}'{}'", names, display_name(nodes_.Get(start), start))));
  }

  const NodeProtos& nodes_;
  Problems& problems_;
  std::unordered_map<std::string_view, int> producers_;
  std::vector<Mark> marks_;
  std::vector<Frame> stack_;
  NodeOrder result_;
};

}  // namespace

std::string display_name(const onnx::NodeProto& node, int index) {
  return node.name().empty() ? fmt::format("{}_{}", node.op_type(), index) : node.name();
}

std::vector<std::string_view> free_names(const onnx::GraphProto& graph) {
  FreeNames visitor;
  visitor.visit(graph);
  return visitor.take();
}

std::vector<std::string_view> free_names(const onnx::NodeProto& node) {
  bool has_subgraphs = std::any_of(node.attribute().begin(), node.attribute().end(),
                                   [](const onnx::AttributeProto& attr) { return attr.has_g(); });
  if (!has_subgraphs) return {};
  FreeNames visitor;
  visitor.visit_subgraphs(node);
  return visitor.take();
}

NodeOrder order_nodes(const NodeProtos& nodes, Problems& problems) { return Sorter(nodes, problems).run(); }

}  // namespace gannet
