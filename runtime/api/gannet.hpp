// C++20 over gannet.h: owns what it makes, and throws gannet::Failure.
//
//   gannet::Program program("model.gannet");
//   gannet::Session session(program);
//   std::vector<float> pixels(3 * 224 * 224);
//   gannet::Outputs outputs = session.run({gannet::tensor(pixels, {1, 3, 224, 224})});
//   std::span<const float> scores = outputs.values<float>(0);
#pragma once

#include <gannet.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace gannet {

class Failure : public std::runtime_error {
 public:
  explicit Failure(gannet_status status) : std::runtime_error(gannet_error()), status_(status) {}
  gannet_status status() const { return status_; }

 private:
  gannet_status status_;
};

// The element type that T is in memory; for f16 and the like, whose bits are integers in C++, fill a gannet_tensor.
template <class T>
constexpr gannet_type type_of() {
  if constexpr (std::is_same_v<T, float>) return GANNET_F32;
  else if constexpr (std::is_same_v<T, double>) return GANNET_F64;
  else if constexpr (std::is_same_v<T, bool>) return GANNET_BOOL;
  else if constexpr (std::is_same_v<T, int8_t>) return GANNET_I8;
  else if constexpr (std::is_same_v<T, uint8_t>) return GANNET_U8;
  else if constexpr (std::is_same_v<T, int16_t>) return GANNET_I16;
  else if constexpr (std::is_same_v<T, uint16_t>) return GANNET_U16;
  else if constexpr (std::is_same_v<T, int32_t>) return GANNET_I32;
  else if constexpr (std::is_same_v<T, uint32_t>) return GANNET_U32;
  else if constexpr (std::is_same_v<T, int64_t>) return GANNET_I64;
  else if constexpr (std::is_same_v<T, uint64_t>) return GANNET_U64;
  else return GANNET_UNDEFINED;
}

// A view of elements that stay the caller's: an input, or the memory for an output.
template <std::ranges::contiguous_range Elements>
gannet_tensor tensor(Elements& elements, std::initializer_list<int64_t> extents) {
  using T = std::remove_cvref_t<std::ranges::range_value_t<Elements>>;
  static_assert(type_of<T>() != GANNET_UNDEFINED, "no element type for this C++ type");
  if (extents.size() > GANNET_MAX_RANK) throw std::invalid_argument("a tensor of too many dimensions");
  gannet_tensor view{};
  view.type = type_of<T>();
  view.rank = static_cast<int32_t>(extents.size());
  std::ranges::copy(extents, view.extents);
  view.data = const_cast<T*>(std::ranges::data(elements));
  view.bytes = std::ranges::size(elements) * sizeof(T);
  return view;
}

class Program {
 public:
  explicit Program(const std::string& path) : Program(gannet_program_load(path.c_str())) {}
  // The bytes must stay for as long as the program and its sessions.
  explicit Program(std::span<const std::byte> artifact) : Program(gannet_program_load_memory(artifact.data(), artifact.size())) {}

  std::vector<gannet_value> inputs() const { return values(gannet_program_input_count(get()), gannet_program_input); }
  std::vector<gannet_value> outputs() const { return values(gannet_program_output_count(get()), gannet_program_output); }
  std::optional<std::string> metadata(const std::string& key) const {
    const char* text = gannet_program_metadata(get(), key.c_str());
    return text ? std::optional<std::string>(text) : std::nullopt;
  }
  const gannet_program* get() const { return program_.get(); }

 private:
  explicit Program(gannet_program* program) : program_(program, gannet_program_free) {
    if (!program) throw Failure(gannet_last_status());
  }
  template <class Get>
  std::vector<gannet_value> values(size_t count, Get get_value) const {
    std::vector<gannet_value> values;
    for (size_t i = 0; i < count; ++i) values.push_back(*get_value(get(), i));
    return values;
  }

  std::shared_ptr<gannet_program> program_;
};

// What a run gave; its memory is good until the session runs again or is gone. A tensor of it may be an input of that next
// run of the session.
class Outputs {
 public:
  explicit Outputs(std::vector<gannet_tensor> tensors) : tensors_(std::move(tensors)) {}

  size_t size() const { return tensors_.size(); }
  const gannet_tensor& operator[](size_t index) const { return tensors_.at(index); }
  std::span<const int64_t> extents(size_t index) const {
    return {tensors_.at(index).extents, static_cast<size_t>(tensors_.at(index).rank)};
  }
  // The elements in row-major order; throws std::invalid_argument where they are no T.
  template <class T>
  std::span<const T> values(size_t index) const {
    const gannet_tensor& tensor = tensors_.at(index);
    if (tensor.type != type_of<T>()) throw std::invalid_argument("the output is of another element type");
    return {static_cast<const T*>(tensor.data), tensor.bytes / sizeof(T)};
  }

 private:
  std::vector<gannet_tensor> tensors_;
};

class Session {
 public:
  // `threads`: how many cores a run uses; 0: those that the process may use.
  explicit Session(const Program& program, int threads = 0)
      : program_(program), session_(gannet_session_create(program.get(), threads), gannet_session_free) {
    if (!session_) throw Failure(gannet_last_status());
  }

  Outputs run(std::span<const gannet_tensor> inputs) {
    std::vector<gannet_tensor> outputs(gannet_program_output_count(program_.get()));
    run_into(inputs, outputs);
    return Outputs(std::move(outputs));
  }
  Outputs run(std::initializer_list<gannet_tensor> inputs) { return run(std::span(inputs.begin(), inputs.size())); }
  // As gannet_session_run: into memory of the caller's where outputs have some. What it has filled in may be given again.
  void run_into(std::span<const gannet_tensor> inputs, std::span<gannet_tensor> outputs) {
    check(gannet_session_run(session_.get(), inputs.data(), inputs.size(), outputs.data(), outputs.size()));
  }
  void set_seed(uint64_t seed) { check(gannet_session_set_seed(session_.get(), seed)); }

 private:
  static void check(gannet_status status) {
    if (status != GANNET_OK) throw Failure(status);
  }

  Program program_;
  std::unique_ptr<gannet_session, void (*)(gannet_session*)> session_;
};

}  // namespace gannet
