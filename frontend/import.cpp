#include "frontend/import.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/import_batch.h"
#include "frontend/import_body.h"
#include "frontend/import_fold.h"
#include "frontend/import_types.h"
#include "frontend/model_file.h"

namespace gannet {
namespace {

constexpr int64_t kNewestOpset = 25;

// The newest opset that existed with each IR version, for files that do not say.
constexpr std::pair<int64_t, int64_t> kOpsetOfIrVersion[] = {
    {3, 8}, {4, 9}, {5, 10}, {6, 11}, {7, 14}, {8, 18}, {9, 20}, {10, 22}, {11, 23}, {12, 24}, {13, 25}};

int64_t count_nodes(const onnx::GraphProto& graph) {
  int64_t count = graph.node_size();
  for (const auto& node : graph.node()) {
    for (const auto& attr : node.attribute()) {
      if (attr.has_g()) count += count_nodes(attr.g());
    }
  }
  return count;
}

ModelInfo describe_model(const ModelFile& file) {
  const onnx::ModelProto& proto = file.proto;
  ModelInfo info;
  info.path = file.path;
  info.file_bytes = file.source.file.size;
  info.ir_version = proto.ir_version();
  info.producer_name = proto.producer_name();
  info.producer_version = proto.producer_version();
  info.domain = proto.domain();
  info.doc = proto.doc_string();
  info.graph_name = proto.graph().name();
  info.model_version = proto.model_version();
  for (const auto& entry : proto.metadata_props()) info.metadata.emplace_back(entry.key(), entry.value());
  info.nodes_in_file = count_nodes(proto.graph());
  return info;
}

int64_t opset_of_ir_version(int64_t ir_version) {
  int64_t opset = 1;
  for (const auto& [version, newest] : kOpsetOfIrVersion) {
    if (ir_version >= version) opset = newest;
  }
  return opset;
}

void read_opsets(ImportSession& session) {
  const onnx::ModelProto& proto = session.file.proto;
  for (const auto& opset : proto.opset_import()) {
    session.opsets[std::string(canonical_domain(opset.domain()))] = opset.version();
  }
  if (proto.opset_import_size() == 0) {
    int64_t opset = opset_of_ir_version(proto.ir_version());
    session.opsets[""] = opset;
    session.problems.note(fmt::format("the file does not say its opset; {} is assumed for its IR version {}",
                                      opset, proto.ir_version()));
  }
  auto main = session.opsets.find("");
  if (main == session.opsets.end()) return;
  if (main->second > kNewestOpset) {
    session.problems.note(
        fmt::format("opset {} is newer than {}, which it is read as", main->second, kNewestOpset));
  }
  if (main->second < 1)
    session.problems.add(invalid_model(fmt::format("opset {} does not exist", main->second)));
}

// The inputs of the model that no initializer supplies, with their types.
class InputReader {
 public:
  InputReader(ImportSession& session, Graph& graph) : session_(session), graph_(graph) {}

  void read(BodyImporter& body) {
    collect();
    check_overrides();
    if (session_.options.symbolic_batch) make_batch_symbolic();
    for (Input& input : inputs_) {
      name_dims(input);
      body.bind(input.proto->name(), {graph_.add_input(input.proto->name(), input.type), false});
    }
    for (const std::string_view name : failed_) body.bind(name, {nullptr, true});
  }

 private:
  struct Input {
    const onnx::ValueInfoProto* proto = nullptr;
    Type type;
  };

  void collect() {
    const onnx::GraphProto& graph = session_.file.proto.graph();
    std::unordered_set<std::string_view> constants;
    for (const auto& tensor : graph.initializer()) constants.insert(tensor.name());
    for (const auto& tensor : graph.sparse_initializer()) constants.insert(tensor.values().name());
    for (const onnx::ValueInfoProto& proto : graph.input()) {
      if (constants.contains(proto.name())) continue;
      Result<Type> type = read_type(proto.type(), session_.limits());
      if (proto.name().empty()) {
        session_.problems.add(invalid_model("an input has no name"));
      } else if (type.ok()) {
        inputs_.push_back({&proto, std::move(*type)});
      } else {
        session_.problems.add(with_prefix(fmt::format("input '{}': ", proto.name()), type.error()));
        failed_.push_back(proto.name());
      }
    }
  }

  void check_overrides() {
    std::vector<std::string> names;
    for (const Input& input : inputs_) names.push_back(input.proto->name());
    for (const auto& entry : session_.options.input_shapes) {
      const std::string& name = entry.first;
      auto input = std::find_if(inputs_.begin(), inputs_.end(),
                                [&](const Input& i) { return i.proto->name() == name; });
      if (input != inputs_.end())
        override_shape(*input, entry.second);
      else
        session_.problems.add(invalid_input(fmt::format("a shape is given for '{}', which is no input{}",
                                                        name, nearest_name_hint(name, names))));
    }
    for (Input& input : inputs_) {
      if (!input.type.shape) continue;
      for (Dim& dim : *input.type.shape) {
        dim = dim.substitute([&](const std::string& symbol) -> std::optional<Dim> {
          auto known = fixed_.find(symbol);
          return known == fixed_.end() ? std::nullopt : std::optional<Dim>(known->second);
        });
      }
    }
  }

  void override_shape(Input& input, const Shape& shape) {
    if (!input.type.is_tensor() || (input.type.shape && input.type.shape->size() != shape.size())) {
      session_.problems.add(invalid_input(fmt::format("the shape {} is given for '{}', which is {}",
                                                      to_string(std::span<const Dim>(shape)),
                                                      input.proto->name(), to_string(input.type))));
      return;
    }
    for (size_t i = 0; input.type.shape && i < shape.size(); ++i) {
      const Dim& old = (*input.type.shape)[i];
      if (old.symbol_name() && !is_anonymous(old)) fixed_.emplace(*old.symbol_name(), shape[i]);
    }
    input.type.shape = shape;
    session_.trust_value_infos = false;
  }

  void make_batch_symbolic() {
    std::optional<Dim> old;
    for (Input& input : inputs_) {
      if (!input.type.shape || input.type.shape->empty()) continue;
      Dim& leading = input.type.shape->front();
      if (!old) old = leading;
      if (leading == *old) leading = Dim::symbol(session_.options.batch_symbol);
    }
    if (!old) {
      session_.problems.add(invalid_input("no input has a leading dimension to make symbolic"));
      return;
    }
    session_.trust_value_infos = false;
    if (old->is_constant() && old->constant() < INT32_MAX)
      session_.batch = {old->constant(), Dim::symbol(session_.options.batch_symbol)};
  }

  // Names that the file gives come first: fresh ones must not be one of them.
  void name_dims(Input& input) {
    if (!reserved_) {
      for (const Input& each : inputs_) {
        std::vector<std::string> names;
        if (each.type.shape) {
          for (const Dim& dim : *each.type.shape) dim.collect_symbols(names);
        }
        for (const std::string& name : names) graph_.symbols()->reserve(name);
        session_.input_symbols.insert(names.begin(), names.end());
      }
      reserved_ = true;
    }
    input.type = named(std::move(input.type), input.proto->name(), true);
  }

  Type named(Type type, const std::string& name, bool one_shape) {
    if (type.element) {
      bool same = one_shape && type.kind == Type::Kind::kOptional;
      type.element = std::make_shared<const Type>(named(*type.element, name, same));
    }
    if (!type.shape) return type;
    if (!one_shape && !is_static(*type.shape)) {
      type.shape.reset();  // elements of a sequence differ in their extents
      return type;
    }
    for (size_t i = 0; i < type.shape->size(); ++i) {
      Dim& dim = (*type.shape)[i];
      if (!is_anonymous(dim)) continue;
      dim = graph_.symbols()->fresh(fmt::format("{}_d{}", name, i));
      session_.input_symbols.insert(*dim.symbol_name());
    }
    return type;
  }

  ImportSession& session_;
  Graph& graph_;
  std::vector<Input> inputs_;
  std::vector<std::string_view> failed_;
  std::map<std::string, Dim> fixed_;
  bool reserved_ = false;
};

// An initializer that is also an input has a declared type.
void check_default_inputs(ImportSession& session, BodyImporter& body) {
  const onnx::GraphProto& graph = session.file.proto.graph();
  if (graph.initializer_size() == 0) return;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (!input.has_type() || !body.is_bound(input.name())) continue;
    Binding binding = body.resolve(input.name(), "");
    if (binding.failed || !binding.value->constant()) continue;
    Result<Type> declared = read_type(input.type(), session.limits());
    Result<Type> merged = declared.ok() ? merge_types(binding.value->type, *declared) : declared;
    if (merged.ok()) continue;
    session.problems.add(invalid_model(fmt::format(
        "initializer '{}' is {}, but the input of that name is declared as {}", input.name(),
        to_string(binding.value->type), declared.ok() ? to_string(*declared) : declared.error().message)));
  }
}

void note_what_is_ignored(ImportSession& session) {
  const onnx::ModelProto& proto = session.file.proto;
  if (proto.training_info_size() > 0) session.problems.note("training_info is ignored");
  if (proto.graph().quantization_annotation_size() > 0)
    session.problems.note("quantization_annotation is ignored");
  if (proto.graph().output_size() == 0) session.problems.note("the model has no outputs");
}

}  // namespace

Result<ImportedModel> import_model(std::shared_ptr<const ModelFile> file, const ImportOptions& options) {
  Problems problems(file->path);
  ImportSession session{*file, options, problems, {}, {}, {}, std::nullopt, true, 0, {}, {}};
  const onnx::GraphProto& proto = file->proto.graph();
  read_opsets(session);
  read_functions(session);
  note_what_is_ignored(session);
  auto graph = std::make_unique<Graph>(proto.name().empty() ? "main" : proto.name());
  BodyImporter body(session, *graph, session.opsets, 0);
  InputReader(session, *graph).read(body);
  body.read_initializers(proto);
  check_default_inputs(session, body);
  body.declare_types(proto.value_info());
  body.declare_types(proto.output());
  body.read_nodes(proto.node());
  body.read_outputs(proto, true);
  if (!problems.any() && session.batch) {
    if (Status fits = check_batch(*graph, *session.batch); !fits.ok()) problems.add(fits.error());
  }
  if (problems.any()) return problems.report();
  fold_graph(*graph, {options.limits, &session.input_symbols});
  erase_dead_nodes(*graph);
  ImportedModel model{std::move(graph), describe_model(*file), file, {}};
  for (const auto& [domain, version] : session.opsets) model.info.opsets.push_back({domain, version});
  model.info.notes = problems.take_notes();
  model.nodes = std::move(session.sources);
  for_each_node(*model.graph,
                [&](const Node& node) { model.info.nodes_imported += node.op().name != "Constant"; });
  return model;
}

Result<ImportedModel> import_model(const std::string& path, const ImportOptions& options) {
  ModelFile file = TRY(load_model(path, options.limits));
  return import_model(std::make_shared<const ModelFile>(std::move(file)), options);
}

Result<ImportedModel> import_model_bytes(std::string bytes, const std::string& name,
                                         const ImportOptions& options, const std::string& folder) {
  ModelFile file = TRY(load_model_bytes(std::move(bytes), name, options.limits, folder));
  return import_model(std::make_shared<const ModelFile>(std::move(file)), options);
}

}  // namespace gannet
