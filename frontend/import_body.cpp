#include "frontend/import_body.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/import_batch.h"
#include "frontend/import_fold.h"
#include "frontend/import_types.h"
#include "frontend/tensor_data.h"
#include "ir/base/nearest.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {
namespace {

// Domains whose ops are in the op table under their own names.
constexpr std::string_view kTableDomains[] = {"", "ai.onnx.ml", "ai.onnx.preview.training",
                                              "ai.onnx.training"};
constexpr int64_t kNewestOpset = 25;
// Problems after which none is looked into for a hint.
constexpr int64_t kMostHints = 50;

const OpDef* table_op(std::string_view domain, std::string_view op) {
  bool in_table =
      std::find(std::begin(kTableDomains), std::end(kTableDomains), domain) != std::end(kTableDomains);
  return in_table ? find_op(op) : nullptr;
}

size_t named_outputs(const onnx::NodeProto& proto) {
  int count = proto.output_size();
  while (count > 0 && proto.output(count - 1).empty()) --count;
  return static_cast<size_t>(count);
}

}  // namespace

std::string_view canonical_domain(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }

void BodyImporter::bind(std::string_view name, Binding binding) {
  auto [entry, is_new] = names_.try_emplace(name, binding);
  if (is_new) return;
  entry->second.failed = true;
  session_.problems.add(invalid_model(fmt::format("the value '{}' is defined more than once", scoped(name))));
}

std::string BodyImporter::nearest_value(std::string_view name) const {
  constexpr size_t kShortest = 4, kMostNames = 10'000;
  if (name.size() < kShortest || names_.size() > kMostNames || session_.problems.count() >= kMostHints) return "";
  std::vector<std::string_view> names;
  for (const auto& [known, binding] : names_) names.push_back(known);
  std::sort(names.begin(), names.end());
  std::string found = nearest(name, names);
  return found.empty() ? "" : fmt::format("; did you mean '{}'?", found);
}

Binding BodyImporter::resolve(std::string_view name, const std::string& role) {
  auto found = names_.find(name);
  if (found != names_.end()) return found->second;
  session_.problems.add(
      invalid_model(fmt::format("{}'{}' is made by no node, initializer or input{}", role, scoped(name), nearest_value(name))));
  names_.emplace(name, Binding{nullptr, true});
  return {nullptr, true};
}

void BodyImporter::read_initializers(const onnx::GraphProto& proto) {
  auto add = [&](std::string_view name, Result<Tensor> tensor, std::optional<int64_t> offset) {
    if (!tensor.ok()) {
      session_.problems.add(with_prefix("initializer ", tensor.error()));
      bind(name, {nullptr, true});
      return;
    }
    Value* value = graph_.add_constant(std::move(*tensor), scoped(name));
    if (offset) value->origin = Origin{std::string(name), *offset};
    bind(name, {value, false});
  };
  for (const onnx::TensorProto& tensor : proto.initializer()) {
    add(tensor.name(), read_tensor(tensor, session_.file, session_.limits()), origin_of(tensor));
  }
  for (const onnx::SparseTensorProto& tensor : proto.sparse_initializer()) {
    add(tensor.values().name(), read_sparse_tensor(tensor, session_.file, session_.limits()), std::nullopt);
  }
}

void BodyImporter::declare_types(const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& infos) {
  if (!session_.trust_value_infos) return;
  for (const auto& info : infos) {
    if (info.has_type()) declared_.emplace(info.name(), &info.type());
  }
}

void BodyImporter::read_nodes(const NodeProtos& nodes) {
  NodeOrder order = order_nodes(nodes, session_.problems);
  for (int index : order.cyclic) fail_outputs(nodes.Get(index));
  for (int index : order.order) read_node(nodes.Get(index), index);
  if (session_.calls.empty()) graph_.new_sources.clear();
}

void BodyImporter::fail_outputs(const onnx::NodeProto& proto) {
  for (const auto& name : proto.output()) {
    if (!name.empty()) names_[name].failed = true;
  }
}

int64_t BodyImporter::opset_of(std::string_view domain) const {
  auto own = opsets_.find(domain);
  if (own != opsets_.end()) return own->second;
  auto of_model = session_.opsets.find(domain);
  if (of_model != session_.opsets.end()) return of_model->second;
  return domain.empty() ? kNewestOpset : 1;
}

const Function* BodyImporter::function_of(const NodeInProgress& node) const {
  if (session_.functions.empty()) return nullptr;
  auto found =
      session_.functions.find(function_key(node.domain, node.proto.op_type(), overload_of(node.proto)));
  return found == session_.functions.end() ? nullptr : &found->second;
}

// Of the functions of the node's domain the one with the nearest name, or the op of ai.onnx with just its name.
std::string BodyImporter::nearest_function(const NodeInProgress& node) const {
  if (session_.problems.count() >= kMostHints) return "";
  std::vector<std::string_view> names;
  for (const auto& [key, function] : session_.functions) {
    if (canonical_domain(function.proto->domain()) == node.domain) names.push_back(function.proto->name());
  }
  std::string name = nearest(node.proto.op_type(), names);
  bool of_onnx = name.empty() && !node.domain.empty() && find_op(node.proto.op_type());
  return of_onnx ? node.proto.op_type() + " of ai.onnx" : name;
}

bool BodyImporter::is_known(const NodeInProgress& node) {
  if (function_of(node)) return true;
  if (table_op(node.domain, node.proto.op_type())) return true;
  if (!upgrades_of(node.domain, node.proto.op_type()).empty()) return true;
  session_.problems.add_unknown_op(std::string(node.domain), node.proto.op_type(), node.opset, node.name,
                                   nearest_function(node));
  return false;
}

bool BodyImporter::read_operands(NodeInProgress& node) {
  bool complete = true;
  for (int i = 0; i < node.proto.input_size(); ++i) {
    const std::string& name = node.proto.input(i);
    Binding binding;
    if (!name.empty()) binding = resolve(name, fmt::format("{}input {} ", node.prefix(), i));
    complete = complete && !binding.failed;
    node.operands.push_back(binding.value);
  }
  while (!node.operands.empty() && node.operands.back() == nullptr) node.operands.pop_back();
  return complete;
}

void BodyImporter::read_node(const onnx::NodeProto& proto, int index) {
  if (session_.out_of_nodes()) return fail_outputs(proto);
  if (++session_.nodes > session_.limits().nodes) {
    session_.problems.add(invalid_model(
        fmt::format("more than {} nodes with functions expanded (limit nodes)", session_.limits().nodes)));
    return fail_outputs(proto);
  }
  std::string_view domain = canonical_domain(proto.domain());
  NodeInProgress node{proto, scoped(display_name(proto, index)), domain, opset_of(domain), {}, {}};
  note_source(node);
  bool known = is_known(node);
  Result<RawAttributes> attrs = read_attributes(proto, session_.file.source, session_.limits(), arguments_);
  if (!attrs.ok()) session_.problems.add(with_prefix(node.prefix(), attrs.error()));
  bool complete = read_operands(node);
  if (!known || !attrs.ok() || !complete) return fail_outputs(proto);
  node.attrs = std::move(*attrs);
  Status status = import_node(node);
  if (!status.ok()) {
    bool names_node = status.error().message.starts_with("node '");
    session_.problems.add(names_node ? status.error() : with_prefix(node.prefix(), status.error()));
  }
  if (!status.ok() || node.suppressed) fail_outputs(proto);
}

// What is appended to the graph from now on is for this node of the file, or for the call that is being expanded.
void BodyImporter::note_source(const NodeInProgress& node) {
  if (!session_.calls.empty()) return;
  graph_.new_sources = {static_cast<int32_t>(session_.sources.size())};
  SourceNode source{node.name, node.proto.op_type(), std::string(node.domain), {}, parent_, attribute_};
  source.outputs.assign(node.proto.output().begin(), node.proto.output().end());
  session_.sources.push_back(std::move(source));
}

Status BodyImporter::import_node(NodeInProgress& node) {
  const std::string& op = node.proto.op_type();
  const Function* function = function_of(node);
  bool builtin = table_op(node.domain, op) || (node.domain.empty() && !upgrades_of("", op).empty());
  if (function && !builtin) return inline_function(node, *function);
  if (node.domain.empty() && op == "Constant") return import_constant(node);
  return import_builtin(node);
}

Status BodyImporter::import_constant(NodeInProgress& node) {
  if (named_outputs(node.proto) == 0) return {};
  if (node.attrs.entries().size() != 1) {
    return invalid_model(fmt::format("must have one value, has {}", node.attrs.entries().size()));
  }
  const NamedRawAttr& attr = node.attrs.entries()[0];
  Tensor tensor;
  if (auto* value = std::get_if<Tensor>(&attr.value))
    tensor = *value;
  else if (auto* number = std::get_if<float>(&attr.value))
    tensor = Tensor::scalar(*number);
  else if (auto* integer = std::get_if<int64_t>(&attr.value))
    tensor = Tensor::scalar(*integer);
  else if (auto* text = std::get_if<std::string>(&attr.value))
    tensor = Tensor::scalar(*text);
  else if (auto* integers = std::get_if<std::vector<int64_t>>(&attr.value))
    tensor = Tensor::of_ints(*integers);
  else if (auto* numbers = std::get_if<std::vector<float>>(&attr.value)) {
    tensor = Tensor::from<float>({static_cast<int64_t>(numbers->size())}, *numbers);
  } else if (auto* texts = std::get_if<std::vector<std::string>>(&attr.value)) {
    tensor = Tensor::from<std::string>({static_cast<int64_t>(texts->size())}, *texts);
  } else {
    return invalid_model(fmt::format("attribute '{}' cannot be {}", attr.name, kind_name(attr.value)));
  }
  Value* value = graph_.add_constant(std::move(tensor), scoped(node.proto.output(0)));
  value->producer()->name = node.name;
  if (attr.origin) value->origin = Origin{node.proto.output(0), attr.origin->offset};
  bind(node.proto.output(0), {value, false});
  return {};
}

Status BodyImporter::import_builtin(NodeInProgress& node) {
  UpgradeContext context(graph_, node.name);
  context.op = node.proto.op_type();
  context.opset = node.opset;
  context.attrs = std::move(node.attrs);
  context.operands = std::move(node.operands);
  context.wanted.resize(named_outputs(node.proto));
  if (context.wanted.empty()) return {};
  for (size_t i = 0; i < context.wanted.size(); ++i) {
    context.wanted[i] = !node.proto.output(static_cast<int>(i)).empty();
  }
  TRY(upgrade(node.domain, context));
  if (session_.batch) TRY(rebatch(*session_.batch, context));
  for (const std::string& note : context.notes) session_.problems.note(node.prefix() + note);
  if (context.done()) return bind_results(node, context);
  return add_node(node, context);
}

Status BodyImporter::bind_results(const NodeInProgress& node, UpgradeContext& context) {
  TRY(Status(context.b.status()));
  for (size_t i = 0; i < context.wanted.size(); ++i) {
    if (!context.wanted[i]) continue;
    const std::string& name = node.proto.output(static_cast<int>(i));
    Value* value = i < context.results().size() ? context.results()[i] : nullptr;
    if (value == nullptr) return unsupported(fmt::format("its output {} ('{}') is not supported", i, name));
    bool is_operand =
        std::find(context.operands.begin(), context.operands.end(), value) != context.operands.end();
    if (value->producer() && !is_operand && !value->origin) graph_.rename(value, scoped(name));
    bind(name, {value, false});
  }
  return {};
}

Status BodyImporter::add_node(NodeInProgress& node, UpgradeContext& context) {
  std::string_view domain =
      node.domain == "com.microsoft" || context.op != node.proto.op_type() ? "" : node.domain;
  const OpDef* op = table_op(domain, context.op);
  if (op == nullptr) {
    session_.problems.add_unknown_op(std::string(domain), context.op, node.opset, node.name);
    node.suppressed = true;
    return {};
  }
  std::vector<std::string> ignored;
  Attributes attrs = TRY(bind_attributes(*op, context.attrs, ignored));
  for (const std::string& name : ignored) {
    session_.problems.note(fmt::format("attribute '{}' of {} is ignored", name, node.proto.op_type()));
  }
  TRY(import_subgraphs(node, *op, context, attrs));
  if (node.suppressed) return {};
  std::vector<std::string> names;
  for (size_t i = 0; i < context.wanted.size(); ++i)
    names.push_back(scoped(node.proto.output(static_cast<int>(i))));
  Node* added = graph_.add_node(*op, context.operands, std::move(attrs), names.size(), nullptr, names);
  added->name = node.name;
  TRY(infer_node(*added));
  for (size_t i = 0; i < names.size(); ++i) {
    if (!context.wanted[i]) graph_.drop_output(added, i);
  }
  if (context.finish) return bind_finished(node, context, *added);
  if (Value* known = fold_node(graph_, added, {session_.limits(), &session_.input_symbols})) {
    bind(node.proto.output(0), {known, false});
    return {};
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!context.wanted[i]) continue;
    const std::string& name = node.proto.output(static_cast<int>(i));
    sharpen(*added->output(i), name);
    bind(name, {added->output(i), false});
  }
  return {};
}

Status BodyImporter::bind_finished(const NodeInProgress& node, UpgradeContext& context, const Node& added) {
  for (size_t i = 0; i < context.wanted.size(); ++i) {
    if (context.wanted[i]) context.set(i, context.finish(added.output(i)));
  }
  return bind_results(node, context);
}

// A declared extent counts only where inference has nothing that follows from the inputs: exporters write
// what one run happened to have.
void BodyImporter::sharpen(Value& value, std::string_view name) {
  auto found = declared_.find(name);
  if (found == declared_.end() || !value.type.is_tensor()) return;
  Result<Type> declared = read_type(*found->second, session_.limits());
  if (!declared.ok() || !declared->is_tensor()) return;
  Type& type = value.type;
  if (type.dtype == DType::kUndefined) type.dtype = declared->dtype;
  if (type.dtype != declared->dtype) {
    session_.problems.note(fmt::format("the value '{}' is declared as {}, but is {}", scoped(name),
                                       name_of(declared->dtype), name_of(type.dtype)));
  }
  if (!declared->shape) return;
  if (!type.shape) {
    type.shape.emplace();
    for (const Dim& dim : *declared->shape) {
      type.shape->push_back(dim.is_constant() ? dim : graph_.symbols()->fresh(fmt::format("{}_d", name)));
    }
    return;
  }
  if (type.shape->size() != declared->shape->size()) {
    session_.problems.note(fmt::format("the value '{}' is declared as {}, but is {}", scoped(name),
                                       to_string(*declared), to_string(type)));
    return;
  }
  for (size_t i = 0; i < type.shape->size(); ++i) {
    const Dim& known = (*type.shape)[i];
    std::optional<std::string> symbol = known.symbol_name();
    if (!(*declared->shape)[i].is_constant() || !symbol || session_.input_symbols.contains(*symbol)) continue;
    (*type.shape)[i] = (*declared->shape)[i];
  }
}

void BodyImporter::read_outputs(const onnx::GraphProto& proto, bool check_types) {
  for (const onnx::ValueInfoProto& output : proto.output()) {
    Binding binding = resolve(output.name(), "output ");
    if (binding.failed) continue;
    if (binding.value == nullptr) {
      session_.problems.add(invalid_model(fmt::format("output '{}' is absent", scoped(output.name()))));
      continue;
    }
    graph_.outputs.push_back({output.name(), binding.value});
    if (!check_types || !output.has_type()) continue;
    Result<Type> declared = read_type(output.type(), session_.limits());
    if (!declared.ok()) continue;
    const Type& type = binding.value->type;
    bool other_dtype = type.is_tensor() && declared->is_tensor() && type.dtype != DType::kUndefined &&
                       type.dtype != declared->dtype;
    Result<Type> merged = merge_types(type, *declared);
    if (merged.ok()) continue;
    std::string text = fmt::format("output '{}' is declared as {}, but is {}", output.name(),
                                   to_string(*declared), to_string(type));
    if (other_dtype || type.kind != declared->kind)
      session_.problems.add(invalid_model(std::move(text)));
    else
      session_.problems.note(std::move(text));
  }
}

}  // namespace gannet
