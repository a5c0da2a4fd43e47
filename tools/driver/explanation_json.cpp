#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/core/arena.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/explanation.h"

namespace gannet {
namespace {

using Json = nlohmann::ordered_json;

Json step_refs(const std::vector<StepRef>& steps) {
  Json json = Json::array();
  for (const StepRef& step : steps) json.push_back({{"program", step.program}, {"step", step.step}});
  return json;
}

Json node_json(const Explanation& explanation, size_t index) {
  const SourceNode& source = explanation.model.nodes[index];
  const ExplainedNode& node = explanation.nodes[index];
  Json json = {{"index", index}, {"name", source.name}, {"op", source.op}, {"domain", source.domain}, {"outputs", source.outputs}};
  if (source.parent >= 0) json["parent"] = {{"node", source.parent}, {"attribute", source.attribute}};
  json["outcome"] = name_of(node.outcome);
  if (!node.backend.empty()) json["backend"] = node.backend;
  json["steps"] = step_refs(node.steps);
  json["together_with"] = node.together;
  if (!node.same_as.empty()) json["same_as"] = node.same_as;
  json["refused"] = node.refused;
  json["history"] = Json::array();
  for (const PassEvent& event : node.events) json["history"].push_back({{"pass", event.pass}, {"becomes", event.becomes}});
  json["remarks"] = Json::array();
  for (const Remark& remark : node.remarks) json["remarks"].push_back({{"pass", remark.pass}, {"text", remark.text}});
  return json;
}

std::string_view kind_of(BufferKind kind) {
  constexpr std::string_view kKinds[] = {"arena", "input", "output", "constant", "state", "box"};
  return kKinds[static_cast<size_t>(kind)];
}

Json steps_json(const Program& program, const std::vector<std::vector<int32_t>>& nodes) {
  Json steps = Json::array();
  for (size_t i = 0; i < program.steps.size(); ++i) {
    const Step& step = program.steps[i];
    steps.push_back({{"index", i}, {"name", step.name}, {"op", step.op}, {"backend", backend_of(step)}, {"kernel", kernel_of(step)},
                     {"inputs", step.inputs}, {"outputs", step.outputs}});
    if (!nodes.empty()) steps.back()["nodes"] = nodes[i];
  }
  return steps;
}

Json values_json(const Program& program) {
  Json values = Json::array();
  for (size_t i = 0; i < program.values.size(); ++i) {
    const ProgramValue& value = program.values[i];
    Json json = {{"index", i}, {"name", value.name}, {"type", to_string(value.type)}, {"buffer", value.buffer}};
    if (value.offset != kNone) json["offset"] = program.sizes[static_cast<size_t>(value.offset)].to_string();
    values.push_back(std::move(json));
  }
  return values;
}

// The buffers of a program; sizes and offsets of what stood in the arena where the program has run.
Json buffers_json(const Program& program, const std::vector<PlannedMemory>& plan) {
  Json buffers = Json::array();
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer& buffer = program.buffers[i];
    Json json = {{"index", i}, {"kind", kind_of(buffer.kind)}};
    const bool lives = buffer.kind == BufferKind::kArena || buffer.kind == BufferKind::kBoxed || buffer.kind == BufferKind::kOutput;
    if (lives) json.update({{"first_step", buffer.first_step}, {"last_step", buffer.last_step}});
    if (buffer.bytes != kNone) json["size"] = program.sizes[static_cast<size_t>(buffer.bytes)].to_string();
    if (buffer.kind == BufferKind::kConstant) json["bytes"] = program.constants[static_cast<size_t>(buffer.index)].bytes();
    buffers.push_back(std::move(json));
  }
  for (const PlannedMemory& part : plan) {
    if (part.buffer == kNone) continue;
    buffers[static_cast<size_t>(part.buffer)].update({{"bytes", part.bytes}, {"offset", part.offset}});
  }
  return buffers;
}

Json program_json(const Explanation& explanation, size_t index) {
  const ExplainedProgram& explained = explanation.programs[index];
  Json json = {{"index", index}, {"name", explained.program->name}};
  if (explained.owner.program >= 0) {
    json["body_of"] = {{"program", explained.owner.program}, {"step", explained.owner.step}, {"attribute", explained.attribute}};
  }
  json["steps"] = steps_json(*explained.program, index == 0 ? explanation.step_nodes : std::vector<std::vector<int32_t>>());
  json["values"] = values_json(*explained.program);
  json["buffers"] = buffers_json(*explained.program, index == 0 ? explanation.plan : std::vector<PlannedMemory>());
  return json;
}

Json memory_json(const Explanation& explanation) {
  Json json = {{"constant_bytes", explanation.constant_bytes}, {"threads", explanation.threads}};
  json["inputs"] = Json::object();
  for (const auto& [name, type] : explanation.inputs) json["inputs"][name] = type;
  if (!explanation.not_run.empty()) {
    json["not_run"] = explanation.not_run;
    return json;
  }
  json["outputs"] = Json::object();
  for (const auto& [name, type] : explanation.outputs) json["outputs"][name] = type;
  json["output_bytes"] = explanation.output_bytes;
  json["boxed_bytes"] = explanation.memory.boxed_bytes;
  json["bodies_bytes"] = explanation.memory.bodies_bytes;
  json["arena_bytes"] = explanation.memory.arena_bytes;
  json["lower_bound_bytes"] = explanation.memory.lower_bound_bytes;
  json["alignment"] = kArenaAlignment;
  json["scratch"] = Json::array();
  for (const PlannedMemory& part : explanation.plan) {
    if (part.buffer == kNone) json["scratch"].push_back({{"step", part.first_step}, {"bytes", part.bytes}, {"offset", part.offset}});
  }
  return json;
}

}  // namespace

std::string explanation_json(const Explanation& explanation) {
  Json json = {{"format", 1}, {"model", explanation.model.info.path}, {"isa", explanation.isa}};
  json["nodes"] = Json::array();
  for (size_t i = 0; i < explanation.nodes.size(); ++i) json["nodes"].push_back(node_json(explanation, i));
  json["programs"] = Json::array();
  for (size_t i = 0; i < explanation.programs.size(); ++i) json["programs"].push_back(program_json(explanation, i));
  json["memory"] = memory_json(explanation);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gannet
