#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "ir/contraction.h"
#include "ir/ops/contraction_dtype.h"
#include "ir/ops/element_copy.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {required_attr("equation", AttrKind::kString)};

// A label is a letter, or one dimension of the ellipsis: kEllipsis plus its distance from the ellipsis' end.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label kEllipsis = 256;
constexpr Label kAgain = 1 << 16;

// One side of a term: its letters, and where the ellipsis stands among them (-1: it has none).
struct Subscripts {
  std::string letters;
  int ellipsis = -1;
};

struct Equation {
  std::vector<Subscripts> operands;
  std::optional<Subscripts> output;
};

Result<Subscripts> parse_subscripts(std::string_view text) {
  Subscripts result;
  for (size_t i = 0; i < text.size(); ++i) {
    const char letter = text[i];
    const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
    if (is_letter) {
      result.letters += letter;
    } else if (text.substr(i, 3) == "..." && result.ellipsis < 0) {
      result.ellipsis = static_cast<int>(result.letters.size());
      i += 2;
    } else {
      return invalid_model(
          fmt::format("the equation's term '{}' is not made of letters and one ellipsis", text));
    }
  }
  return result;
}

Result<Equation> parse_equation(std::string_view text) {
  std::string plain;
  for (char letter : text) {
    if (letter != ' ' && letter != '\t') plain += letter;
  }
  Equation equation;
  std::string_view rest = plain;
  const size_t arrow = rest.find("->");
  if (arrow != std::string_view::npos) {
    equation.output = TRY(parse_subscripts(rest.substr(arrow + 2)));
    rest = rest.substr(0, arrow);
  }
  for (;;) {
    const size_t comma = rest.find(',');
    equation.operands.push_back(TRY(parse_subscripts(rest.substr(0, comma))));
    if (comma == std::string_view::npos) return equation;
    rest = rest.substr(comma + 1);
  }
}

// Labels of all dimensions of an operand of this rank.
Result<Labels> expand_labels(const Subscripts& subscripts, size_t rank, size_t operand) {
  const size_t letters = subscripts.letters.size();
  if (rank < letters || (subscripts.ellipsis < 0 && rank != letters)) {
    return invalid_model(fmt::format("input {} has rank {}, its term '{}' has {} labels", operand, rank,
                                     subscripts.letters, letters));
  }
  Labels labels(subscripts.letters.begin(), subscripts.letters.end());
  if (subscripts.ellipsis < 0) return labels;
  Labels dots;
  for (size_t i = rank - letters; i-- > 0;) dots.push_back(kEllipsis + static_cast<Label>(i));
  labels.insert(labels.begin() + subscripts.ellipsis, dots.begin(), dots.end());
  return labels;
}

std::string label_name(Label label) {
  return label < kEllipsis ? std::string(1, static_cast<char>(label)) : "...";
}

// The labels of the result: as written, or the ellipsis and then, sorted, each letter that appears once.
Result<Labels> output_labels(const Equation& equation, const std::vector<Labels>& operands) {
  Labels dots;
  std::map<Label, int> uses;
  for (const Labels& labels : operands) {
    for (Label label : labels) ++uses[label];
  }
  for (auto i = uses.rbegin(); i != uses.rend() && i->first >= kEllipsis; ++i) dots.push_back(i->first);
  if (!equation.output) {
    for (auto [label, count] : uses) {
      if (label < kEllipsis && count == 1) dots.push_back(label);
    }
    return dots;
  }
  Labels labels(equation.output->letters.begin(), equation.output->letters.end());
  for (size_t i = 0; i < labels.size(); ++i) {
    if (!uses.contains(labels[i]))
      return invalid_model(fmt::format("the result's label '{}' is in no input", label_name(labels[i])));
    if (std::find(labels.begin(), labels.begin() + static_cast<int64_t>(i), labels[i]) !=
        labels.begin() + static_cast<int64_t>(i)) {
      return invalid_model(fmt::format("the result's label '{}' is there twice", label_name(labels[i])));
    }
  }
  if (equation.output->ellipsis >= 0)
    labels.insert(labels.begin() + equation.output->ellipsis, dots.begin(), dots.end());
  return labels;
}

Status infer_einsum(InferContext& c) {
  TRY(expect_tensors(c, c.operand_count()));
  const DType t = c.dtype(0);
  if (!is_int(t)) TRY(expect_float(c, 0, "input"));
  const Equation equation = TRY(parse_equation(c.attrs().text("equation")));
  if (equation.operands.size() != c.operand_count()) {
    return invalid_model(
        fmt::format("the equation has {} terms for {} inputs", equation.operands.size(), c.operand_count()));
  }
  c.set_tensor(0, t, std::nullopt);
  std::vector<Labels> operands;
  std::map<Label, Dim> extents;
  for (size_t i = 0; i < c.operand_count(); ++i) {
    TRY(expect_same_dtype(c, 0, i));
    const Shape* shape = c.shape(i);
    if (!shape) return {};
    operands.push_back(TRY(expand_labels(equation.operands[i], shape->size(), i)));
    for (size_t d = 0; d < shape->size(); ++d) {
      const Dim& dim = (*shape)[d];
      auto [known, fresh] = extents.emplace(operands[i][d], dim);
      if (fresh) continue;
      Dim& other = known->second;
      if (other.is_constant() && dim.is_constant() && other != dim && !other.is_constant(1) &&
          !dim.is_constant(1)) {
        return invalid_model(fmt::format("label '{}' stands for extents {} and {}",
                                         label_name(operands[i][d]), other.to_string(), dim.to_string()));
      }
      other = broadcast(other, dim);
    }
  }
  Shape shape;
  for (Label label : TRY(output_labels(equation, operands))) shape.push_back(extents.at(label));
  c.set_tensor(0, t, std::move(shape));
  return {};
}

// A tensor whose dimensions have labels, each once.
struct Labelled {
  Labels labels;
  Tensor tensor;

  bool has(Label label) const { return std::find(labels.begin(), labels.end(), label) != labels.end(); }
  int64_t extent(Label label) const {
    auto at = std::find(labels.begin(), labels.end(), label);
    return at == labels.end() ? 1 : tensor.extent(at - labels.begin());
  }
};

// The dimensions of `x` in the order of `labels` with these extents: an extent of 1 is repeated, a label that
// stands at several dimensions takes their diagonal.
Result<Tensor> arranged(EvalContext& c, const Labels& from, const Tensor& x, const Labels& labels,
                        const std::vector<int64_t>& extents) {
  if (from == labels && x.extents() == extents) return x;
  Tensor y = TRY(c.allocate(x.dtype(), extents));
  if (y.elements() == 0) return y;
  const std::vector<int64_t> strides = row_major_strides(x.extents());
  StridedWalk walk;
  walk.extents = extents;
  walk.target_strides = row_major_strides(extents);
  for (Label label : labels) {
    int64_t stride = 0;
    for (size_t d = 0; d < from.size(); ++d) {
      if (from[d] == label && x.extents()[d] != 1) stride += strides[d];
    }
    walk.source_strides.push_back(stride);
  }
  copy_strided(x, y, walk);
  return y;
}

std::vector<int64_t> extents_of(const Labels& labels, const Labelled& a, const Labelled& b) {
  std::vector<int64_t> extents;
  for (Label label : labels) extents.push_back(a.extent(label) == 1 ? b.extent(label) : a.extent(label));
  return extents;
}

int64_t product(const std::vector<int64_t>& extents) {
  return std::accumulate(extents.begin(), extents.end(), int64_t{1}, std::multiplies<>());
}

Labels joined(std::initializer_list<Labels> parts) {
  Labels all;
  for (const Labels& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::vector<int64_t> joined(std::initializer_list<std::vector<int64_t>> parts) {
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// `x` summed over the labels that `kept` does not have.
Result<Labelled> summed(EvalContext& c, const Labelled& x, const Labels& kept) {
  Labels stay, go;
  for (Label label : x.labels)
    (std::find(kept.begin(), kept.end(), label) != kept.end() ? stay : go).push_back(label);
  if (go.empty()) return x;
  const std::vector<int64_t> rows = extents_of(stay, x, x), columns = extents_of(go, x, x);
  const Tensor matrix = TRY(arranged(c, x.labels, x.tensor, joined({stay, go}), joined({rows, columns})));
  Tensor y = TRY(c.allocate(x.tensor.dtype(), rows));
  const size_t count = y.elements() == 0 ? 0 : static_cast<size_t>(matrix.elements() / y.elements());
  visit_contraction(y.dtype(), [&]<class T>(Tag<T>) {
    using Sum = std::conditional_t<std::is_floating_point_v<T>, double, T>;
    std::span<T> out = y.mutable_data<T>();
    for (size_t i = 0; i < out.size(); ++i) {
      Sum sum = 0;
      for (T value : matrix.data<T>().subspan(i * count, count)) sum += value;
      out[i] = static_cast<T>(sum);
    }
  });
  return Labelled{stay, y};
}

// The product of two operands summed over the labels that `kept` does not have, as a batch of matrix
// products.
Result<Labelled> contracted(EvalContext& c, const Labelled& a, const Labelled& b, const Labels& kept) {
  auto is_kept = [&](Label label) { return std::find(kept.begin(), kept.end(), label) != kept.end(); };
  Labels batch, inner, left, right;
  for (Label label : a.labels) (b.has(label) ? (is_kept(label) ? batch : inner) : left).push_back(label);
  for (Label label : b.labels) {
    if (!a.has(label)) right.push_back(label);
  }
  auto extents = [&](const Labels& labels) { return extents_of(labels, a, b); };
  const Tensor x = TRY(arranged(c, a.labels, a.tensor, joined({batch, left, inner}),
                                joined({extents(batch), extents(left), extents(inner)})));
  const Tensor w = TRY(arranged(c, b.labels, b.tensor, joined({batch, inner, right}),
                                joined({extents(batch), extents(inner), extents(right)})));
  Tensor y = TRY(c.allocate(x.dtype(), joined({extents(batch), extents(left), extents(right)})));
  if (y.elements() > 0) {
    const int64_t count = product(extents(batch)), m = product(extents(left)), n = product(extents(right)),
                  k = product(extents(inner));
    visit_contraction(y.dtype(), [&]<class T>(Tag<T>) {
      const T *from = x.data<T>().data(), *with = w.data<T>().data();
      T* out = y.mutable_data<T>().data();
      for (int64_t i = 0; i < count; ++i) {
        multiply<T>({m, n, k}, {from + i * m * k, k, 1}, MatrixView<T>{with + i * k * n, n, 1},
                    {out + i * m * n, n, false});
      }
    });
  }
  return Labelled{joined({batch, left, right}), y};
}

// Operand `i` widened, each of its labels once.
Result<Labelled> labelled(EvalContext& c, size_t i, const Labels& labels, DType wide) {
  const Tensor x = TRY(as_dtype(c.tensor(i), wide));
  Labels once;
  std::vector<int64_t> extents;
  for (size_t d = 0; d < labels.size(); ++d) {
    auto at = std::find(once.begin(), once.end(), labels[d]);
    if (at == once.end()) {
      once.push_back(labels[d]);
      extents.push_back(x.extents()[d]);
    } else if (extents[static_cast<size_t>(at - once.begin())] == 1) {
      extents[static_cast<size_t>(at - once.begin())] = x.extents()[d];
    }
  }
  Tensor y = TRY(arranged(c, labels, x, once, extents));
  return Labelled{std::move(once), std::move(y)};
}

// Operands are contracted from left to right.
Status eval_einsum(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype(), wide = contraction_dtype(dtype);
  const Equation equation = TRY(parse_equation(c.attrs().text("equation")));
  std::vector<Labels> operands;
  for (size_t i = 0; i < c.operand_count(); ++i) {
    operands.push_back(TRY(expand_labels(equation.operands[i], static_cast<size_t>(c.tensor(i).rank()), i)));
  }
  const Labels output = TRY(output_labels(equation, operands));
  Labelled result = TRY(labelled(c, 0, operands[0], wide));
  for (size_t i = 1; i < operands.size(); ++i) {
    Labels later = output;
    for (size_t j = i + 1; j < operands.size(); ++j)
      later.insert(later.end(), operands[j].begin(), operands[j].end());
    Labelled next = TRY(labelled(c, i, operands[i], wide));
    result = TRY(summed(c, result, joined({later, next.labels})));
    next = TRY(summed(c, next, joined({later, result.labels})));
    result = TRY(contracted(c, result, next, later));
  }
  result = TRY(summed(c, result, output));
  const Tensor y =
      TRY(arranged(c, result.labels, result.tensor, output, static_extents(*c.output_type(0).shape)));
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// Labels as letters, those of the ellipsis included.
class Spelling {
 public:
  explicit Spelling(const std::vector<Labels>& operands) {
    for (const Labels& labels : operands) {
      for (size_t i = 0; i < labels.size(); ++i) letters_.emplace(again(labels, i), 0);
    }
    char next = 'A';
    for (auto& [label, letter] : letters_) {
      if (label < kEllipsis) {
        letter = static_cast<char>(label);
        continue;
      }
      while (next <= 'z' &&
             (letters_.contains(next) || !((next >= 'A' && next <= 'Z') || (next >= 'a' && next <= 'z'))))
        ++next;
      letter = next++;
    }
  }

  // The label of dimension i, or another one where that label stood before it: of the second time, the third...
  static Label again(const Labels& labels, size_t i) {
    const auto times = std::count(labels.begin(), labels.begin() + static_cast<std::ptrdiff_t>(i), labels[i]);
    return labels[i] + static_cast<Label>(times) * kAgain;
  }

  std::string of(const Labels& labels) const {
    std::string text;
    for (Label label : labels) text += letters_.at(label);
    return text;
  }
  bool fits() const {
    return std::ranges::all_of(letters_, [](const auto& entry) { return entry.second <= 'z'; });
  }

 private:
  std::map<Label, char> letters_;
};

// The gradient of an operand is the product of the result's gradient and the other operands, summed to its
// labels; labels that nobody else has were summed alone, so the gradient is the same all along them. A label that is
// repeated has read a diagonal: its gradient lies there, which a product with the unit matrix says.
Status operand_gradient(VjpContext& c, size_t i, const std::vector<Labels>& operands, const Labels& output,
                        const Spelling& spelling) {
  std::string terms = spelling.of(output);
  std::vector<Value*> values{c.gradient()};
  Labels known = output;
  for (size_t j = 0; j < operands.size(); ++j) {
    if (j == i) continue;
    terms += "," + spelling.of(operands[j]);
    values.push_back(c.operand(j));
    known.insert(known.end(), operands[j].begin(), operands[j].end());
  }
  const Shape shape = TRY(known_shape(c.operand(i), "the operand"));
  Labels kept;
  std::vector<int64_t> alone;
  for (size_t d = 0; d < operands[i].size(); ++d) {
    const Label label = operands[i][d], own = Spelling::again(operands[i], d);
    if (own != label) {
      terms += "," + spelling.of({label, own});
      values.push_back(c.b.op("EyeLike", {c.b.full({shape[d], shape[d]}, c.gradient()->type.dtype, 0)}));
      kept.push_back(own);
      continue;
    }
    if (std::count(operands[i].begin(), operands[i].end(), label) > 1) {
      kept.push_back(label);  // the unit matrix has it
      continue;
    }
    if (std::find(known.begin(), known.end(), label) == known.end())
      alone.push_back(static_cast<int64_t>(d));
    else
      kept.push_back(label);
  }
  Value* gradient = c.b.op("Einsum", values, {{"equation", terms + "->" + spelling.of(kept)}});
  if (alone.empty())
    c.set(i, c.b.sum_to(gradient, shape));
  else
    c.set(i, c.b.expand(c.b.unsqueeze(gradient, alone), shape));
  return c.b.status();
}

Status einsum_vjp(VjpContext& c) {
  const Equation equation = TRY(parse_equation(c.attrs().text("equation")));
  std::vector<Labels> operands;
  for (size_t i = 0; i < equation.operands.size(); ++i) {
    operands.push_back(
        TRY(expand_labels(equation.operands[i], TRY(known_shape(c.operand(i), "the operand")).size(), i)));
  }
  const Labels output = TRY(output_labels(equation, operands));
  const Spelling spelling(operands);
  if (!spelling.fits()) return unsupported("the gradient of an Einsum of more labels than there are letters");
  for (size_t i = 0; i < operands.size(); ++i) {
    if (c.wants(i)) TRY(operand_gradient(c, i, operands, output, spelling));
  }
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::Einsum = {.inputs = {1, kVariadic},
                                            .outputs = {1, 1},
                                            .attrs = kAttrs,
                                            .infer = infer_einsum,
                                            .eval = eval_einsum};
constinit const GradientRule gradients::Einsum = {.vjp = einsum_vjp};

}  // namespace gannet
