#include "runtime/api/gannet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/base/checked.h"
#include "ir/signature.h"
#include "runtime/api/caller_tensor.h"
#include "runtime/api/output_memory.h"
#include "runtime/core/artifact.h"
#include "runtime/core/session.h"
#include "runtime/kernels/program_library.h"

using namespace gannet;

namespace {

thread_local std::string last_error;
thread_local gannet_status last_status = GANNET_OK;

gannet_status fail(gannet_status status, std::string message) noexcept {
  last_error = std::move(message);
  return last_status = status;
}

gannet_status fail(Error error) noexcept {
  const gannet_status status = error.kind == ErrorKind::kUnsupported ? GANNET_UNSUPPORTED
                               : error.kind == ErrorKind::kIo        ? GANNET_IO_ERROR
                                                                     : GANNET_INVALID_ARGUMENT;
  return fail(status, std::move(error.message));
}

// Nothing that is thrown leaves the library: `failed` stands for it, called with what happened.
template <class Body, class Failed>
auto guarded(const Body& body, const Failed& failed) noexcept -> decltype(body()) {
  try {
    try {
      return body();
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      return failed(fail(GANNET_UNSUPPORTED, error.what()));
    }
  } catch (...) {
    return failed(fail(GANNET_OUT_OF_MEMORY, "out of memory"));
  }
}

// Of functions that give a pointer or a number: null or 0 where they fail.
template <class Body>
auto guarded_value(const Body& body) noexcept {
  return guarded(body, [](gannet_status) { return decltype(body())(); });
}

template <class Body>
gannet_status guarded_status(const Body& body) noexcept {
  return guarded(body, [](gannet_status status) { return status; });
}

// What gannet_value points to.
struct Description {
  std::string name;
  std::vector<std::string> dimensions;
  gannet_value value{};

  Description(const std::string& given_name, const Type& type) : name(given_name) {
    value.rank = -1;
    if (type.is_tensor()) value.type = static_cast<gannet_type>(type.dtype);
    if (!type.is_tensor() || !type.shape || type.shape->size() > GANNET_MAX_RANK) return;
    for (const Dim& dim : *type.shape) dimensions.push_back(dim.to_string());
    value.rank = static_cast<int32_t>(dimensions.size());
    for (size_t axis = 0; axis < dimensions.size(); ++axis) {
      const Dim& dim = (*type.shape)[axis];
      value.extents[axis] = dim.is_constant() ? dim.constant() : -1;
    }
  }
  // Once the description has its final place.
  void point() {
    value.name = name.c_str();
    for (size_t axis = 0; axis < dimensions.size(); ++axis) value.dimensions[axis] = dimensions[axis].c_str();
  }
};

template <class Values>
std::vector<Description> describe(const Values& values) {
  std::vector<Description> descriptions;
  for (const auto& value : values) descriptions.emplace_back(value.name, value.type);
  for (Description& description : descriptions) description.point();
  return descriptions;
}

}  // namespace

struct gannet_program {
  std::shared_ptr<const Program> program;
  std::shared_ptr<PrimitiveLibrary> primitives;
  std::vector<Description> inputs, outputs;
};

struct gannet_session {
  std::mutex mutex;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Session> session;
  std::vector<OutputMemory> memory;  // one for each output
  std::vector<Datum> next;           // results of a run that has not ended, one for each output
};

namespace {

gannet_program* opened(Result<std::shared_ptr<const Program>> program) {
  if (!program.ok()) {
    fail(program.error());
    return nullptr;
  }
  auto opened = std::make_unique<gannet_program>();
  opened->program = *std::move(program);
  Result<std::shared_ptr<PrimitiveLibrary>> primitives = make_program_library(*opened->program);
  if (!primitives.ok()) return fail(primitives.error()), nullptr;
  opened->primitives = *std::move(primitives);
  opened->inputs = describe(opened->program->inputs);
  opened->outputs = describe(opened->program->outputs);
  return opened.release();
}

// The extents of an output in this run where they follow from those of the inputs.
std::optional<std::vector<int64_t>> known_extents(const Type& type, const SymbolValues& symbols) {
  if (!type.is_tensor() || type.dtype == DType::kString || !type.shape || type.shape->size() > GANNET_MAX_RANK) return std::nullopt;
  std::vector<int64_t> extents;
  for (const Dim& dim : *type.shape) {
    const Result<int64_t> extent = dim.evaluate(symbols);
    if (!extent.ok() || *extent < 0) return std::nullopt;
    extents.push_back(*extent);
  }
  return extents;
}

// Says in `given` what the result is; its memory stays as it was.
void announce(gannet_tensor& given, DType dtype, const std::vector<int64_t>& extents, int64_t bytes) {
  given.type = static_cast<gannet_type>(dtype);
  given.rank = static_cast<int32_t>(extents.size());
  std::ranges::copy(extents, given.extents);
  given.bytes = static_cast<size_t>(bytes);
}

gannet_status too_small(const std::string& name, size_t given, int64_t needed) {
  return fail(GANNET_BUFFER_TOO_SMALL, fmt::format("output '{}' takes {} bytes, its memory has {}", name, needed, given));
}

class Run {
 public:
  Run(gannet_session& session, std::span<const gannet_tensor> inputs, std::span<gannet_tensor> outputs)
      : session_(session), program_(*session.program), given_(inputs), outputs_(outputs) {}

  gannet_status run() {
    if (Status status = take_inputs(); !status.ok()) return fail(status.error());
    session_.memory.resize(outputs_.size());
    session_.next.resize(outputs_.size());
    // A run that failed has left them.
    for (size_t i = 0; i < outputs_.size(); ++i) session_.memory[i].put_back(std::exchange(session_.next[i], Datum()));
    for (const gannet_tensor& given : outputs_) capacities_.push_back(capacity_of(given));
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (const gannet_status status = prepare(i); status != GANNET_OK) return status;
    }
    if (Status status = session_.session->run_into(inputs_, session_.next); !status.ok()) return fail(status.error());
    for (size_t i = 0; i < outputs_.size(); ++i) {
      Datum& result = session_.next[i];
      if (overlaps_an_input(result)) result.tensor().mutable_raw();  // copies what is the caller's
      session_.memory[i].keep(std::exchange(result, Datum()));
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (const gannet_status status = deliver(i); status != GANNET_OK) return status;
    }
    return GANNET_OK;
  }

 private:
  Status take_inputs() {
    if (given_.size() != program_.inputs.size()) {
      return invalid_input(fmt::format("{} inputs are given, the model takes {}", given_.size(), program_.inputs.size()));
    }
    if (outputs_.size() != program_.outputs.size()) {
      return invalid_input(fmt::format("{} outputs are asked for, the model has {}", outputs_.size(), program_.outputs.size()));
    }
    for (size_t i = 0; i < given_.size(); ++i) {
      inputs_.push_back(TRY(input_datum(given_[i], program_.inputs[i].name)));
      const NamedType input{program_.inputs[i].name, program_.inputs[i].type};
      TRY(check_input(input, inputs_.back()));
      TRY(bind_input(input, inputs_.back(), symbols_));
    }
    return {};
  }

  // How many bytes fit in the caller's memory; nothing where it has none, or only what this session gave it.
  std::optional<size_t> capacity_of(const gannet_tensor& given) const {
    if (!given.data || std::ranges::any_of(session_.memory, [&](const OutputMemory& memory) { return memory.holds(given.data); })) return std::nullopt;
    return given.bytes;
  }

  bool overlaps_an_input(const Datum& datum) const {
    const std::span<const std::byte> memory = memory_of(datum);
    return std::ranges::any_of(inputs_, [&](const Datum& input) { return overlap(memory_of(input), memory); });
  }

  // Before the run: whether the caller's memory is enough, and the session's memory of runs before, where it fits.
  gannet_status prepare(size_t index) {
    const ProgramOutput& output = program_.outputs[index];
    const std::optional<std::vector<int64_t>> extents = known_extents(output.type, symbols_);
    const auto fits = [&](const Datum& datum) {
      return extents && datum.is_tensor() && datum.tensor().extents() == *extents && !overlaps_an_input(datum);
    };
    session_.next[index] = session_.memory[index].take(fits);
    if (!capacities_[index] || !extents) return GANNET_OK;
    const std::optional<int64_t> elements = checked_product(*extents);
    const std::optional<int64_t> bytes = elements ? checked_mul(*elements, element_size(output.type.dtype)) : std::nullopt;
    if (!bytes || static_cast<size_t>(*bytes) <= *capacities_[index]) return GANNET_OK;
    announce(outputs_[index], output.type.dtype, *extents, *bytes);
    return too_small(output.name, *capacities_[index], *bytes);
  }

  gannet_status deliver(size_t index) {
    const std::string& name = program_.outputs[index].name;
    const Datum& datum = session_.memory[index].last();
    const bool plain = datum.is_tensor() && datum.tensor().dtype() != DType::kString && datum.tensor().rank() <= GANNET_MAX_RANK;
    if (!plain) {
      return fail(GANNET_UNSUPPORTED, fmt::format("output '{}' is {}, which this interface does not give", name, to_string(datum.type())));
    }
    const Tensor& result = datum.tensor();
    gannet_tensor& given = outputs_[index];
    announce(given, result.dtype(), result.extents(), result.bytes());
    if (!capacities_[index]) {
      given.data = const_cast<void*>(result.raw());
    } else if (given.bytes > *capacities_[index]) {
      return too_small(name, *capacities_[index], result.bytes());
    } else if (given.bytes > 0) {
      std::memcpy(given.data, result.raw(), given.bytes);
    }
    return GANNET_OK;
  }

  gannet_session& session_;
  const Program& program_;
  std::span<const gannet_tensor> given_;
  std::span<gannet_tensor> outputs_;
  std::vector<Datum> inputs_;
  std::vector<std::optional<size_t>> capacities_;
  SymbolValues symbols_;
};

bool is_given(const gannet_program* program) {
  if (!program) fail(GANNET_INVALID_ARGUMENT, "no program is given");
  return program != nullptr;
}

const gannet_value* value_at(const std::vector<Description>& descriptions, size_t index) {
  return index < descriptions.size() ? &descriptions[index].value : nullptr;
}

// A copy of `bytes` at a multiple of 64.
std::shared_ptr<const void> aligned_copy(std::span<const uint8_t> bytes) {
  constexpr size_t kAlignment = 64;
  void* copy = std::aligned_alloc(kAlignment, (bytes.size() + kAlignment - 1) / kAlignment * kAlignment);
  if (!copy) throw std::bad_alloc();
  std::memcpy(copy, bytes.data(), bytes.size());
  return {copy, [](const void* memory) { std::free(const_cast<void*>(memory)); }};
}

}  // namespace

const char* gannet_version(void) { return GANNET_VERSION; }
const char* gannet_error(void) { return last_error.c_str(); }
gannet_status gannet_last_status(void) { return last_status; }

gannet_program* gannet_program_load(const char* path) {
  return guarded_value([&]() -> gannet_program* {
    if (!path) return fail(GANNET_INVALID_ARGUMENT, "no path is given"), nullptr;
    return opened(read_artifact(path));
  });
}

gannet_program* gannet_program_load_memory(const void* data, size_t bytes) {
  return guarded_value([&]() -> gannet_program* {
    if (!data) return fail(GANNET_INVALID_ARGUMENT, "no memory is given"), nullptr;
    std::span<const uint8_t> artifact(static_cast<const uint8_t*>(data), bytes);
    std::shared_ptr<const void> owner;
    if (reinterpret_cast<uintptr_t>(data) % 64 != 0) {
      owner = aligned_copy(artifact);
      artifact = {static_cast<const uint8_t*>(owner.get()), bytes};
    }
    return opened(read_artifact(artifact, std::move(owner)));
  });
}

void gannet_program_free(gannet_program* program) { delete program; }

size_t gannet_program_input_count(const gannet_program* program) {
  return guarded_value([&]() -> size_t { return is_given(program) ? program->inputs.size() : 0; });
}

size_t gannet_program_output_count(const gannet_program* program) {
  return guarded_value([&]() -> size_t { return is_given(program) ? program->outputs.size() : 0; });
}

const gannet_value* gannet_program_input(const gannet_program* program, size_t index) {
  return guarded_value([&] { return is_given(program) ? value_at(program->inputs, index) : nullptr; });
}

const gannet_value* gannet_program_output(const gannet_program* program, size_t index) {
  return guarded_value([&] { return is_given(program) ? value_at(program->outputs, index) : nullptr; });
}

const char* gannet_program_metadata(const gannet_program* program, const char* key) {
  return guarded_value([&]() -> const char* {
    if (!is_given(program)) return nullptr;
    if (!key) return fail(GANNET_INVALID_ARGUMENT, "no key is given"), nullptr;
    for (const auto& [name, value] : program->program->metadata) {
      if (name == key) return value.c_str();
    }
    return nullptr;
  });
}

gannet_session* gannet_session_create(const gannet_program* program, int threads) {
  return guarded_value([&]() -> gannet_session* {
    constexpr int kMostThreads = 4096;
    if (!is_given(program)) return nullptr;
    if (threads < 0 || threads > kMostThreads) return fail(GANNET_INVALID_ARGUMENT, fmt::format("{} threads are asked for", threads)), nullptr;
    SessionOptions options;
    options.threads = threads;
    options.primitives = program->primitives;
    Result<std::unique_ptr<Session>> session = Session::create(program->program, std::move(options));
    if (!session.ok()) return fail(session.error()), nullptr;
    auto created = std::make_unique<gannet_session>();
    created->program = program->program;
    created->session = *std::move(session);
    return created.release();
  });
}

void gannet_session_free(gannet_session* session) { delete session; }

gannet_status gannet_session_set_seed(gannet_session* session, uint64_t seed) {
  return guarded_status([&] {
    if (!session) return fail(GANNET_INVALID_ARGUMENT, "no session is given");
    const std::lock_guard lock(session->mutex);
    session->session->set_seed(seed);
    return GANNET_OK;
  });
}

gannet_status gannet_session_run(gannet_session* session, const gannet_tensor* inputs, size_t input_count, gannet_tensor* outputs,
                                 size_t output_count) {
  return guarded_status([&] {
    if (!session || (!inputs && input_count > 0) || (!outputs && output_count > 0)) {
      return fail(GANNET_INVALID_ARGUMENT, "no session, inputs or outputs are given");
    }
    const std::lock_guard lock(session->mutex);
    return Run(*session, {inputs, input_count}, {outputs, output_count}).run();
  });
}
