// A model in single static assignment form: nodes in topological order, each value defined once.
//
// Graph owns its nodes and values; pointers to them stay valid until they are erased. Subgraphs (If, Loop, Scan) are
// attributes of their node and are isolated: what they use from outside is passed in as an explicit operand.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <string>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/type.h"
#include "ir/lineage.h"

namespace gannet {

class Graph;
class Node;
struct OpDef;

struct Use {
  Node* node = nullptr;
  int index = 0;  // which operand
};

// Where a constant stands in the user's file: what names it there, and the byte offset of its TensorProto, which
// identifies it exactly (names need not be unique across subgraphs).
struct Origin {
  std::string name;
  int64_t offset = -1;
};

class Value {
 public:
  std::string name;  // unique within its graph; inputs keep the user's name
  Type type;
  // The elements of an integer tensor of rank 0 or 1 as dimensions, where inference knows them.
  std::optional<std::vector<Dim>> contents;
  std::optional<Origin> origin;

  Node* producer() const { return producer_; }  // null for inputs and states
  int output_index() const { return output_index_; }
  std::span<const Use> uses() const { return uses_; }
  // The tensor when this is the result of a Constant node, else null.
  const Tensor* constant() const;

 private:
  friend class Graph;
  Node* producer_ = nullptr;
  int output_index_ = 0;
  std::vector<Use> uses_;
};

class Node {
 public:
  std::string name;  // the user's, or ours; for messages and profiles
  Attributes attrs;

  const OpDef& op() const { return *op_; }
  Graph& graph() const { return *graph_; }
  std::span<Value* const> inputs() const { return inputs_; }
  // Operand i, or null when it is absent (optional) or past the end.
  Value* input(size_t i) const { return i < inputs_.size() ? inputs_[i] : nullptr; }
  std::span<Value* const> outputs() const { return outputs_; }
  // Output i; null for an output that is not wanted.
  Value* output(size_t i = 0) const { return i < outputs_.size() ? outputs_[i] : nullptr; }
  // The nodes of the user's file that it does the work of. Passes set them only where they say something that
  // Graph::add_node, replace_uses and erase do not.
  std::span<const int32_t> sources() const { return lineage_->sources(); }
  void set_sources(std::span<const int32_t> sources);
  // `heir` does from now on what this node did.
  void succeed(Node& heir) { Lineage::succeed(lineage_, heir.lineage_); }

 private:
  friend class Graph;
  std::shared_ptr<Lineage> lineage_ = std::make_shared<Lineage>();
  const OpDef* op_ = nullptr;
  Graph* graph_ = nullptr;
  std::vector<Value*> inputs_;
  std::vector<Value*> outputs_;
  std::list<std::unique_ptr<Node>>::iterator position_;
};

struct GraphOutput {
  std::string name;  // the user's
  Value* value = nullptr;
};

// A value that survives from run to run: a weight, an optimizer slot, a running statistic. A run reads `in` and the
// next one sees what this one computed for `out` (null: it does not change).
struct State {
  std::string name;
  Value* in = nullptr;
  Value* out = nullptr;
  Tensor initial;
  std::optional<Origin> origin;  // of a weight of the user's file
};

// Names of symbols in use, shared by a graph and its subgraphs, so that fresh ones are fresh everywhere.
class Symbols {
 public:
  // A symbol that no one has: `prefix`, or `prefix` with a number.
  Dim fresh(const std::string& prefix);
  void reserve(const std::string& name);

 private:
  std::map<std::string, int64_t> next_;
};

class Graph {
 public:
  explicit Graph(std::string graph_name = "main", std::shared_ptr<Symbols> shared_symbols = nullptr);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  std::string name;
  std::vector<GraphOutput> outputs;
  std::vector<State> states;
  std::vector<int32_t> new_sources;  // of nodes that are appended: the importer sets it

  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::list<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  size_t node_count() const { return nodes_.size(); }
  const std::shared_ptr<Symbols>& symbols() const { return symbols_; }

  Value* add_input(std::string value_name, Type type);
  // A value without producer that is not an input: the `in` of a State that the caller appends to `states`.
  Value* add_state_value(std::string value_name, Type type);
  // Appends a node, or inserts it before `before`. Outputs get unknown types (infer.h sets them) and names made from
  // `output_names` where given (made unique), else fresh ones. An empty Value* operand is absent. Its sources are those
  // of `before`, but for leaves, which have none.
  Node* add_node(const OpDef& op, std::vector<Value*> operands, Attributes attributes, size_t output_count,
                 Node* before = nullptr, std::span<const std::string> output_names = {});
  // Constant node with its type set.
  Value* add_constant(Tensor tensor, const std::string& value_name = "", Node* before = nullptr);

  void set_operand(Node* node, size_t index, Value* value);
  void set_operands(Node* node, std::vector<Value*> operands);
  // Every use of `from`, graph outputs and State outs included, becomes a use of `to`, whose producer takes the sources of
  // that of `from`.
  void replace_uses(Value* from, Value* to);
  // Drops an output that has no uses (it becomes null).
  void drop_output(Node* node, size_t index);
  // CHECKs that no output has a use.
  void erase(Node* node);
  void erase_input(size_t index);
  void move_before(Node* node, Node* position);
  // True when some output of the graph or `out` of a State is `value`.
  bool is_result(const Value* value) const;
  // A name that no value of this graph has, from `wanted`.
  std::string unique_name(const std::string& wanted);
  void rename(Value* value, const std::string& wanted);

  // Deep copy, subgraphs included; tensors are shared.
  std::unique_ptr<Graph> clone() const;

 private:
  Value* make_value(const std::string& wanted_name);
  void leave_sources(const Node& node);

  std::vector<Value*> inputs_;
  std::list<std::unique_ptr<Node>> nodes_;
  std::unordered_map<const Value*, std::unique_ptr<Value>> owned_values_;
  std::map<std::string, int64_t, std::less<>> names_;
  std::shared_ptr<Symbols> symbols_;
};

// Calls `visit` on each subgraph attribute of `node`, in the order of attribute names.
void for_each_subgraph(const Node& node, const std::function<void(Graph&)>& visit);
// All nodes of `graph` and of its subgraphs at any depth.
void for_each_node(const Graph& graph, const std::function<void(const Node&)>& visit);
// Erases nodes none of whose outputs is used, subgraphs included; true when there were any.
bool erase_dead_nodes(Graph& graph);
// The Constant node's tensor as a list when it is an integer tensor; nothing otherwise.
std::optional<std::vector<int64_t>> constant_ints(const Value* value);

}  // namespace gannet
