// Errors that a user can cause. A function that can fail for such a reason returns Result<T>; it never throws.
// What only Gannet's own code can cause is a CHECK (check.h).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "ir/base/check.h"

namespace gannet {

enum class ErrorKind {
  kInvalidModel,  // the model contradicts the ONNX specification or itself
  kUnsupported,   // valid, but not something Gannet can do
  kInvalidInput,  // a flag, file or tensor that does not fit the model
  kIo,            // the operating system refused
};

struct Error {
  ErrorKind kind = ErrorKind::kInvalidModel;
  std::string message;  // names the thing at fault and both numbers; no trailing newline
};

inline Error invalid_model(std::string message) { return {ErrorKind::kInvalidModel, std::move(message)}; }
inline Error unsupported(std::string message) { return {ErrorKind::kUnsupported, std::move(message)}; }
inline Error invalid_input(std::string message) { return {ErrorKind::kInvalidInput, std::move(message)}; }
inline Error io_error(std::string message) { return {ErrorKind::kIo, std::move(message)}; }

// A value or the error that prevented it.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : data_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : data_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return data_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return CHECK(ok(), "{}", error().message), std::get<0>(data_); }
  const T& value() const& { return CHECK(ok(), "{}", error().message), std::get<0>(data_); }
  T&& value() && { return CHECK(ok(), "{}", error().message), std::get<0>(std::move(data_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(data_); }

 private:
  std::variant<T, Error> data_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok(), "{}", error().message); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// The same error with `prefix` before its message, for adding where it happened.
inline Error with_prefix(const std::string& prefix, Error error) {
  error.message = prefix + error.message;
  return error;
}

}  // namespace gannet

// Evaluates an expression of type Result<T>: its value, or a return of its error from the enclosing function.
#define TRY(...) GANNET_TRY_NAMED(GANNET_TRY_JOIN(gannet_try_, __COUNTER__), __VA_ARGS__)
#define GANNET_TRY_JOIN(a, b) GANNET_TRY_JOIN_EXPANDED(a, b)
#define GANNET_TRY_JOIN_EXPANDED(a, b) a##b
#define GANNET_TRY_NAMED(name, ...)       \
  __extension__({                         \
    auto name = (__VA_ARGS__);            \
    if (!name.ok()) return name.error();  \
    std::move(name).value();              \
  })
