#include "tools/deploy/fit_array.h"

#include <fmt/format.h>

#include <cmath>

namespace gannet {

namespace {

Status check_finite(const std::string& file, const std::string& name, const Tensor& tensor) {
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const double value = tensor.double_at(i);
    if (std::isfinite(value)) continue;
    const int64_t row = tensor.rank() == 0 ? 0 : i / (tensor.elements() / tensor.extent(0));
    return invalid_input(fmt::format("{}: array '{}' holds {} in row {}", file, name,
                                     std::isnan(value) ? "NaN" : "an infinity", row));
  }
  return {};
}

}  // namespace

Result<Tensor> fit_array(const std::string& file, const std::string& name, Tensor tensor, const Type& type,
                         std::string_view taker, bool from_integers) {
  auto misfit = [&] {
    return invalid_input(fmt::format("{}: array '{}' is {}, {} takes {}", file, name, type_string(tensor),
                                     taker, to_string(type)));
  };
  const bool integers = is_int(tensor.dtype()) || tensor.dtype() == DType::kBool;
  const bool converts = is_float(type.dtype) && (is_float(tensor.dtype()) || (from_integers && integers));
  if (!type.is_tensor() || (tensor.dtype() != type.dtype && !converts)) return misfit();
  if (type.shape) {
    if (tensor.rank() != type.rank()) return misfit();
    for (size_t axis = 0; axis < type.shape->size(); ++axis) {
      const Dim& extent = (*type.shape)[axis];
      if (axis > 0 && extent.is_constant() && !extent.is_constant(tensor.extents()[axis])) return misfit();
    }
  }
  if (is_float(tensor.dtype())) TRY(check_finite(file, name, tensor));
  return tensor.dtype() == type.dtype ? Result<Tensor>(std::move(tensor)) : convert(tensor, type.dtype);
}

}  // namespace gannet
