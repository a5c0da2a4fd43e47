// The functions that generated code calls. Stored code holds positions in this list: it only ever grows at its end.
#include <cmath>
#include <iterator>

#include "ir/base/float_formats.h"
#include "runtime/core/code_image.h"

namespace gannet {
namespace {

float odd_from_double(double value) { return double_to_float_odd(value); }

struct MathFunction {
  std::string_view name;
  const void* address = nullptr;
};

template <class Function>
MathFunction entry(std::string_view name, Function* function) {
  return {name, reinterpret_cast<const void*>(function)};
}

#define GANNET_BOTH(name) entry(#name "f", ::name##f), entry<double(double)>(#name, ::name)
#define GANNET_BOTH2(name) entry(#name "f", ::name##f), entry<double(double, double)>(#name, ::name)

std::span<const MathFunction> functions() {
  static const MathFunction kFunctions[] = {
      GANNET_BOTH(exp),   GANNET_BOTH(expm1), GANNET_BOTH(log),   GANNET_BOTH(log1p), GANNET_BOTH(sin),
      GANNET_BOTH(cos),   GANNET_BOTH(tan),   GANNET_BOTH(asin),  GANNET_BOTH(acos),  GANNET_BOTH(atan),
      GANNET_BOTH(sinh),  GANNET_BOTH(cosh),  GANNET_BOTH(tanh),  GANNET_BOTH(asinh), GANNET_BOTH(acosh),
      GANNET_BOTH(atanh), GANNET_BOTH(erf),   GANNET_BOTH2(pow),  GANNET_BOTH2(fmod), GANNET_BOTH2(atan2),
      entry("float_odd", odd_from_double),
  };
  return kFunctions;
}

}  // namespace

MathTable math_table() {
  static const std::vector<const void*> kTable = [] {
    std::vector<const void*> table;
    for (const MathFunction& function : functions()) table.push_back(function.address);
    return table;
  }();
  return kTable.data();
}

int math_function_index(std::string_view name) {
  const std::span<const MathFunction> all = functions();
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace gannet
