#include "runtime/kernels/recurrent_weights.h"

#include <algorithm>

namespace gannet {
namespace {

// Where the parts of a direction start, in floats.
struct Parts {
  int64_t w = 0, r = 0, r_hidden = 0, bias = 0, reset_bias = 0, peepholes = 0, end = 0;
};

Parts parts_of(const RecurrentWeightsLayout& l) {
  const int64_t gates = gates_of(l.kind), units = l.units(), apart = l.kind == CellKind::kGru ? 1 : 0;
  Parts parts;
  parts.r = parts.w + units * gates * l.input;
  parts.r_hidden = parts.r + units * (gates - apart) * l.hidden;
  parts.bias = parts.r_hidden + units * apart * l.hidden;
  parts.reset_bias = parts.bias + units * gates;
  parts.peepholes = parts.reset_bias + (l.kind == CellKind::kGruLinear ? units : 0);
  parts.end = parts.peepholes + (l.kind == CellKind::kLstm ? 3 * units : 0);
  constexpr int64_t kLine = 16;
  parts.end = (parts.end + kLine - 1) / kLine * kLine;
  return parts;
}

// Rows of units [first, first + lanes) of `gates` gates from `first_gate` on: target is [k][gate][lane].
void pack_panel(const RecurrentWeightsLayout& l, const float* matrix, int64_t k, int64_t first_gate, int64_t gates, int64_t first,
                float* target) {
  constexpr int64_t kRun = 16;  // so that the lines written stay in the first-level cache
  for (int64_t begin = 0; begin < k; begin += kRun) {
    const int64_t end = std::min(begin + kRun, k);
    for (int64_t g = 0; g < gates; ++g) {
      for (int64_t lane = 0; lane < l.lanes; ++lane) {
        const bool real = first + lane < l.hidden;
        const float* row = real ? matrix + ((first_gate + g) * l.hidden + first + lane) * k : nullptr;
        for (int64_t p = begin; p < end; ++p) target[(p * gates + g) * l.lanes + lane] = real ? row[p] : 0;
      }
    }
  }
}

void pack_vector(const RecurrentWeightsLayout& l, const float* vector, int64_t gates, int64_t first, float* target) {
  for (int64_t g = 0; g < gates; ++g) {
    for (int64_t lane = 0; lane < l.lanes; ++lane) {
      target[g * l.lanes + lane] = vector && first + lane < l.hidden ? vector[g * l.hidden + first + lane] : 0;
    }
  }
}

// The biases of a panel join the projection, but that of the hidden gate with linear_before_reset stays inside of the reset.
void pack_bias(const RecurrentWeightsLayout& l, const float* b, int64_t first, float* bias, float* reset_bias) {
  const int64_t gates = gates_of(l.kind), joined = reset_bias ? gates - 1 : gates;
  const float* recurrent = b ? b + gates * l.hidden : nullptr;
  pack_vector(l, b, gates, first, bias);
  for (int64_t g = 0; recurrent && g < joined; ++g) {
    for (int64_t lane = 0; lane < l.lanes && first + lane < l.hidden; ++lane) {
      bias[g * l.lanes + lane] += recurrent[g * l.hidden + first + lane];
    }
  }
  if (reset_bias) pack_vector(l, recurrent ? recurrent + joined * l.hidden : nullptr, 1, first, reset_bias);
}

}  // namespace

int64_t RecurrentWeightsLayout::direction_size() const { return parts_of(*this).end; }

void pack_weights(const RecurrentWeightsLayout& l, const PlainWeights& plain, int64_t first, int64_t end, float* packed) {
  const Parts parts = parts_of(l);
  const int64_t gates = gates_of(l.kind), joined = l.kind == CellKind::kGru ? gates - 1 : gates;
  for (int64_t item = first; item < end; ++item) {
    const int64_t direction = item / l.panels(), panel = item % l.panels(), unit = panel * l.lanes;
    float* base = packed + direction * parts.end;
    pack_panel(l, plain.w + direction * gates * l.hidden * l.input, l.input, 0, gates, unit, base + parts.w + unit * gates * l.input);
    const float* r = plain.r + direction * gates * l.hidden * l.hidden;
    pack_panel(l, r, l.hidden, 0, joined, unit, base + parts.r + unit * joined * l.hidden);
    if (joined < gates) pack_panel(l, r, l.hidden, joined, 1, unit, base + parts.r_hidden + unit * l.hidden);
    pack_bias(l, plain.b ? plain.b + direction * 2 * gates * l.hidden : nullptr, unit, base + parts.bias + unit * gates,
              l.kind == CellKind::kGruLinear ? base + parts.reset_bias + unit : nullptr);
    if (plain.p) pack_vector(l, plain.p + direction * 3 * l.hidden, 3, unit, base + parts.peepholes + 3 * unit);
  }
}

CellWeights weights_of(const RecurrentWeightsLayout& l, const float* packed, int64_t direction, bool has_peepholes) {
  const Parts parts = parts_of(l);
  const float* base = packed + direction * parts.end;
  CellWeights weights;
  weights.input = l.input;
  weights.hidden = l.hidden;
  weights.w = base + parts.w;
  weights.r = base + parts.r;
  weights.r_hidden = base + parts.r_hidden;
  weights.bias = base + parts.bias;
  weights.reset_bias = base + parts.reset_bias;
  weights.peepholes = has_peepholes ? base + parts.peepholes : nullptr;
  return weights;
}

}  // namespace gannet
