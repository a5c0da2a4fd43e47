#include "ir/base/datum.h"

namespace gannet {

Datum Datum::sequence(std::vector<Datum> elements, Type element_type) {
  Datum result;
  result.kind_ = Kind::kSequence;
  result.elements_ = std::make_shared<const std::vector<Datum>>(std::move(elements));
  result.element_type_ = std::make_shared<const Type>(std::move(element_type));
  return result;
}

Datum Datum::optional(Datum element) {
  CHECK(element.present(), "an optional that holds nothing is made by empty_optional");
  Datum result;
  result.kind_ = Kind::kOptional;
  result.element_type_ = std::make_shared<const Type>(element.type());
  std::vector<Datum> elements;
  elements.push_back(std::move(element));
  result.elements_ = std::make_shared<const std::vector<Datum>>(std::move(elements));
  return result;
}

Datum Datum::empty_optional(Type element_type) {
  Datum result = sequence({}, std::move(element_type));
  result.kind_ = Kind::kOptional;
  return result;
}

const std::vector<Datum>& Datum::elements() const {
  CHECK(kind_ == Kind::kSequence, "not a sequence");
  return *elements_;
}

bool Datum::has_element() const { return kind_ == Kind::kOptional && !elements_->empty(); }

const Datum& Datum::element() const {
  CHECK(has_element(), "not an optional that holds something");
  return elements_->front();
}

Type Datum::type() const {
  switch (kind_) {
    case Kind::kTensor:
      return Type::tensor(tensor_.dtype(), to_shape(tensor_.extents()));
    case Kind::kSequence:
      return Type::sequence(*element_type_);
    case Kind::kOptional:
      return Type::optional(*element_type_);
    case Kind::kAbsent:
      break;
  }
  return Type::tensor(DType::kUndefined);
}

int64_t Datum::bytes() const {
  int64_t total = 0;
  if (kind_ == Kind::kTensor) {
    if (tensor_.dtype() != DType::kString) return tensor_.defined() ? tensor_.bytes() : 0;
    for (const std::string& text : tensor_.data<std::string>()) {
      total += static_cast<int64_t>(sizeof(std::string) + text.size());
    }
  } else if (elements_) {
    for (const Datum& element : *elements_) total += element.bytes();
  }
  return total;
}

}  // namespace gannet
