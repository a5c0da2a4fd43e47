// Contractions over nothing: each element is the epilogue of the bias.
#include <algorithm>
#include <cmath>

#include "ir/base/check.h"
#include "ir/base/dtype.h"
#include "ir/base/float_formats.h"
#include "runtime/kernels/prepare.h"

namespace gannet {
namespace {

float apply(const EpilogueStep& step, float v, float z) {
  using enum EpilogueKind;
  const float a = step.alpha, b = step.beta;
  auto sigmoid = [](float x) { return 1 / (1 + std::exp(-x)); };
  auto clip = [](float x, float low, float high) { return x < low ? low : x > high ? high : x; };
  switch (step.kind) {
    case kRelu: return v <= 0 ? 0 : v;
    case kLeakyRelu: return v <= 0 ? a * v : v;
    case kElu: return v <= 0 ? a * std::expm1(v) : v;
    case kTanh: return std::tanh(v);
    case kSigmoid: return sigmoid(v);
    case kGeluErf: return 0.5f * v * (1 + std::erf(v * 0.70710678f));
    case kGeluTanh: return 0.5f * v * (1 + std::tanh(0.79788456f * (v + 0.044715f * v * v * v)));
    case kSwish: return v * sigmoid(a * v);
    case kHardSwish: return v * clip(v / 6 + 0.5f, 0, 1);
    case kHardSigmoid: return clip(a * v + b, 0, 1);
    case kClip: return clip(v, a, b);
    case kLinear: return a * v + b;
    case kAbs: return std::abs(v);
    case kSqrt: return std::sqrt(v);
    case kSquare: return v * v;
    case kExp: return std::exp(v);
    case kSoftplus: return std::max(v, 0.0f) + std::log1p(std::exp(-std::abs(v)));
    case kAdd: return v + z;
    case kMul: return v * z;
    case kMax: return v < z || std::isnan(z) ? z : v;
    case kMin: return v > z || std::isnan(z) ? z : v;
    case kQuantize: return std::nearbyint(v) + b;
  }
  return v;
}

float load(const void* memory, DType dtype, int64_t index) {
  if (dtype == DType::kBF16) return static_cast<float>(static_cast<const BFloat16*>(memory)[index]);
  return static_cast<const float*>(memory)[index];
}

class Fill final : public Primitive {
 public:
  Fill(Layout y, std::optional<Layout> bias, std::vector<EpilogueStep> epilogue, std::vector<Layout> operands, size_t output)
      : y_(std::move(y)), bias_(std::move(bias)), epilogue_(std::move(epilogue)), operands_(std::move(operands)), output_(output) {}

  int64_t scratch_bytes() const override { return 0; }

  Status run(void* const* pointers, void*, Threads&) const override {
    std::vector<int64_t> index(y_.rank(), 0);
    for (int64_t i = y_.elements(); i > 0; --i) {
      float v = bias_ ? load(pointers[2], bias_->dtype, offset(*bias_, index)) : 0;
      for (size_t e = 0; e < epilogue_.size(); ++e) {
        const EpilogueStep& step = epilogue_[e];
        const bool further = step.operand >= 0;
        const float z = further ? load(pointers[step.operand], operands_[e].dtype, offset(operands_[e], index)) : 0;
        v = apply(step, v, z);
      }
      const int64_t at = offset(y_, index);
      if (y_.dtype == DType::kBF16) {
        static_cast<BFloat16*>(pointers[output_])[at] = BFloat16(v);
      } else {
        static_cast<float*>(pointers[output_])[at] = v;
      }
      for (size_t d = y_.rank(); d-- > 0 && ++index[d] == y_.extents[d];) index[d] = 0;
    }
    return {};
  }

 private:
  static int64_t offset(const Layout& layout, const std::vector<int64_t>& index) {
    int64_t result = 0;
    for (size_t d = 0; d < index.size(); ++d) result += layout.extents[d] == 1 ? 0 : index[d] * layout.strides[d];
    return result;
  }

  Layout y_;
  std::optional<Layout> bias_;
  std::vector<EpilogueStep> epilogue_;
  std::vector<Layout> operands_;
  size_t output_;
};

}  // namespace

std::shared_ptr<const Primitive> make_fill(Layout y, std::optional<Layout> bias, std::vector<EpilogueStep> epilogue,
                                           std::vector<Layout> operands, size_t output) {
  return std::make_shared<Fill>(std::move(y), std::move(bias), std::move(epilogue), std::move(operands), output);
}

}  // namespace gannet
