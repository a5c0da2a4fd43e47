// Reads the nodes of one body (the main graph, a subgraph, or a function being inlined) into a Graph, in one
// pass: a node is upgraded, added, its types inferred, and folded away where its results are known
// dimensions. A problem makes the results of its node `failed`; nodes that use failed values are not looked
// at, so each cause is reported once. For the importer only: this header shows protobuf's types.
#pragma once

#include <onnx/onnx_pb.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "frontend/import.h"
#include "frontend/import_attributes.h"
#include "frontend/import_order.h"
#include "frontend/import_problems.h"
#include "frontend/model_file.h"
#include "frontend/upgrade.h"
#include "ir/graph.h"

namespace gannet {

// Opset versions by domain; "" is ai.onnx.
using Opsets = std::map<std::string, int64_t, std::less<>>;

// A model-local function, with what is read from it once.
struct Function {
  const onnx::FunctionProto* proto = nullptr;
  Opsets opsets;
  AttrArguments defaults;
};

// What all bodies of one model share.
struct ImportSession {
  const ModelFile& file;
  const ImportOptions& options;
  Problems& problems;
  Opsets opsets;
  std::map<std::string, Function, std::less<>> functions;  // by function_key
  std::unordered_set<std::string> input_symbols;           // symbols of the model's inputs
  // The batch that became a symbol: its extent in the file, and the symbol.
  std::optional<std::pair<int64_t, Dim>> batch;
  bool trust_value_infos = true;       // false where the user changed shapes
  int64_t nodes = 0;                   // read so far, functions expanded
  std::vector<const Function*> calls;  // functions being inlined
  std::vector<SourceNode> sources;     // nodes of the file so far

  const Limits& limits() const { return options.limits; }
  bool out_of_nodes() const { return nodes > options.limits.nodes; }
};

// The domain with ai.onnx spelled "".
std::string_view canonical_domain(std::string_view domain);
std::string function_key(std::string_view domain, std::string_view name, std::string_view overload);

struct Binding {
  Value* value = nullptr;  // null: absent, an optional operand that was not given
  bool failed = false;     // a problem was reported for whatever makes it
};

// Values that subgraphs of one node take from outside.
struct Captures {
  std::vector<std::pair<std::string_view, Binding>> names;  // all free names that the outer body binds
  std::vector<Value*>
      operands;  // what must be passed in; constants and dimensions are repeated inside instead
};

class BodyImporter {
 public:
  // `depth` counts subgraphs and calls around this body; `prefix` goes before names of nodes and values.
  BodyImporter(ImportSession& session, Graph& graph, const Opsets& opsets, int64_t depth,
               std::string prefix = "", const AttrArguments* arguments = nullptr)
      : session_(session),
        graph_(graph),
        opsets_(opsets),
        depth_(depth),
        prefix_(std::move(prefix)),
        arguments_(arguments) {}

  // Gives a name a value from outside; a problem when it has one already.
  void bind(std::string_view name, Binding binding);
  bool is_bound(std::string_view name) const { return names_.contains(name); }
  // The initializers of `proto`, as Constants.
  void read_initializers(const onnx::GraphProto& proto);
  // All nodes, sorted, with declared types used where inference does not know better.
  void read_nodes(const NodeProtos& nodes);
  void declare_types(const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& infos);
  // The value of `name`, which `role` needs; a problem (and `failed`) when there is none.
  Binding resolve(std::string_view name, const std::string& role);
  // "; did you mean 'input'?", or nothing.
  std::string nearest_value(std::string_view name) const;
  // Appends the outputs of `proto` to the graph's.
  void read_outputs(const onnx::GraphProto& proto, bool check_types);

 private:
  struct NodeInProgress {
    const onnx::NodeProto& proto;
    std::string name;  // with the prefix
    std::string_view domain;
    int64_t opset = 0;
    RawAttributes attrs;
    std::vector<Value*> operands;
    bool suppressed = false;  // what it depends on has failed and is reported

    std::string prefix() const { return "node '" + name + "' (" + proto.op_type() + "): "; }
  };

  void read_node(const onnx::NodeProto& proto, int index);
  void note_source(const NodeInProgress& node);
  Status import_node(NodeInProgress& node);
  bool read_operands(NodeInProgress& node);
  void fail_outputs(const onnx::NodeProto& proto);
  int64_t opset_of(std::string_view domain) const;
  const Function* function_of(const NodeInProgress& node) const;
  // True when the op is in a table; else it is recorded as unknown.
  std::string nearest_function(const NodeInProgress& node) const;
  bool is_known(const NodeInProgress& node);

  Status import_constant(NodeInProgress& node);
  Status import_builtin(NodeInProgress& node);
  Status bind_results(const NodeInProgress& node, UpgradeContext& context);
  Status bind_finished(const NodeInProgress& node, UpgradeContext& context, const Node& added);
  Status add_node(NodeInProgress& node, UpgradeContext& context);
  void sharpen(Value& value, std::string_view name);
  std::string scoped(std::string_view name) const { return prefix_ + std::string(name); }

  // import_subgraph.cpp
  Status import_subgraphs(NodeInProgress& node, const OpDef& op, UpgradeContext& context, Attributes& attrs);
  std::shared_ptr<Graph> import_subgraph(const std::string& attribute, const onnx::GraphProto& proto,
                                         std::span<const Type> input_types, const Captures& captures);
  // import_function.cpp
  Status inline_function(NodeInProgress& node, const Function& function);

  ImportSession& session_;
  Graph& graph_;
  const Opsets& opsets_;
  int64_t depth_;
  std::string prefix_;
  const AttrArguments* arguments_;
  std::string attribute_;  // of the node around a subgraph, which has this body
  int32_t parent_ = -1;    // and its position in ImportSession::sources
  std::unordered_map<std::string_view, Binding> names_;
  std::unordered_map<std::string_view, const onnx::TypeProto*> declared_;
};

// import_function.cpp: the functions of the model by key; problems for those defined twice.
void read_functions(ImportSession& session);

}  // namespace gannet
