// What flows along an edge of a graph while it runs: a tensor, a sequence of data, or an optional one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/base/tensor.h"
#include "ir/base/type.h"

namespace gannet {

class Datum {
 public:
  Datum() = default;  // absent: an optional input that was not given
  Datum(Tensor tensor) : kind_(Kind::kTensor), tensor_(std::move(tensor)) {}
  static Datum sequence(std::vector<Datum> elements, Type element_type);
  static Datum optional(Datum element);       // holds something
  static Datum empty_optional(Type element_type);

  enum class Kind { kAbsent, kTensor, kSequence, kOptional };
  Kind kind() const { return kind_; }
  bool present() const { return kind_ != Kind::kAbsent; }
  bool is_tensor() const { return kind_ == Kind::kTensor; }
  const Tensor& tensor() const { return CHECK(is_tensor(), "not a tensor"), tensor_; }
  Tensor& tensor() { return CHECK(is_tensor(), "not a tensor"), tensor_; }
  // Elements of a sequence.
  const std::vector<Datum>& elements() const;
  // True for an optional that holds something.
  bool has_element() const;
  // What an optional holds.
  const Datum& element() const;
  // The concrete type, all dimensions integers.
  Type type() const;
  int64_t bytes() const;

 private:
  Kind kind_ = Kind::kAbsent;
  Tensor tensor_;
  std::shared_ptr<const std::vector<Datum>> elements_;  // of a sequence, or 0 or 1 of an optional
  std::shared_ptr<const Type> element_type_;
};

}  // namespace gannet
