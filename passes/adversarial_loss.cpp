#include "passes/adversarial_loss.h"

#include "ir/op.h"
#include "ir/view.h"

namespace gannet {

namespace {

using E = ScalarExpr;

bool has_logits(AdversarialLoss loss) {
  return loss == AdversarialLoss::kMinimax || loss == AdversarialLoss::kNonSaturating;
}

Status check(const AdversarialLossOptions& options, const Value* scores) {
  const bool has_labels = has_logits(options.kind) || options.kind == AdversarialLoss::kLeastSquares;
  if (options.label_smoothing != 0 && !has_labels)
    return invalid_input(fmt::format("label smoothing: the {} loss has no labels", name_of(options.kind)));
  if (!(options.label_smoothing >= 0 && options.label_smoothing < 1))
    return invalid_input(
        fmt::format("label smoothing must be at least 0 and below 1, got {}", options.label_smoothing));
  if (!scores->type.is_tensor() || !scores->type.shape || scores->type.shape->empty())
    return invalid_input(fmt::format("the discriminator gives {}, a loss needs scores [rows, ...]",
                                     to_string(scores->type)));
  return {};
}

// What a score costs as that of a real picture, and as that of a generated one.
E real_term(const AdversarialLossOptions& options, const E& score) {
  switch (options.kind) {
    case AdversarialLoss::kHinge:
      return select(score < 1.0, 1.0 - score, 0.0);
    case AdversarialLoss::kLeastSquares:
      return 0.5 * (score - (1.0 - options.label_smoothing)) * (score - (1.0 - options.label_smoothing));
    case AdversarialLoss::kWasserstein:
      return -score;
    default:
      break;
  }
  const E plain = scalar::softplus(-score);
  return options.label_smoothing == 0 ? plain : plain + options.label_smoothing * score;
}

E fake_term(const AdversarialLossOptions& options, const E& score) {
  switch (options.kind) {
    case AdversarialLoss::kHinge:
      return select(score > -1.0, 1.0 + score, 0.0);
    case AdversarialLoss::kLeastSquares:
      return 0.5 * score * score;
    case AdversarialLoss::kWasserstein:
      return score;
    default:
      return scalar::softplus(score);
  }
}

// [rows] beside scores [rows, ...].
Value* for_rows_of(GraphBuilder& b, Value* rows, const Value* scores) {
  Shape shape(scores->type.shape->size(), Dim(1));
  shape[0] = (*scores->type.shape)[0];
  return b.reshape(rows, shape);
}

Value* mean_term(GraphBuilder& b, const E& term, const E& other, Value* scores, Value* flipped) {
  if (flipped == nullptr) return mean_of_all(b, b.map(term, {scores}));
  return mean_of_all(b, b.map(select(E::arg(1), other, term), {scores, for_rows_of(b, flipped, scores)}));
}

Value* share(GraphBuilder& b, const E& condition, std::vector<Value*> operands) {
  return mean_of_all(b, b.cast(b.map(condition, std::move(operands)), DType::kF32));
}

}  // namespace

std::string_view name_of(AdversarialLoss loss) {
  constexpr std::string_view kNames[] = {"minimax", "non-saturating", "hinge", "least-squares", "wasserstein"};
  return kNames[static_cast<size_t>(loss)];
}

Value* mean_of_all(GraphBuilder& b, Value* x) {
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < x->type.rank(); ++i) axes.push_back(i);
  return axes.empty() ? x : b.reduce_mean(x, axes, false);
}

Result<Value*> discriminator_loss(GraphBuilder& b, const AdversarialLossOptions& options, Value* real, Value* fake,
                                  Value* real_flipped, Value* fake_flipped) {
  TRY(check(options, real));
  TRY(check(options, fake));
  const E score = E::arg(0), as_real = real_term(options, score), as_fake = fake_term(options, score);
  Value* loss = b.add(mean_term(b, as_real, as_fake, real, real_flipped),
                      mean_term(b, as_fake, as_real, fake, fake_flipped));
  TRY(Status(b.status()));
  return loss;
}

Result<Value*> generator_loss(GraphBuilder& b, const AdversarialLossOptions& options, Value* fake) {
  TRY(check(options, fake));
  const E score = E::arg(0);
  AdversarialLossOptions sharp = options;
  sharp.label_smoothing = 0;
  E term;
  if (options.kind == AdversarialLoss::kMinimax) term = -scalar::softplus(score);
  else if (options.kind == AdversarialLoss::kHinge) term = -score;
  else term = real_term(sharp, score);
  Value* loss = mean_of_all(b, b.map(term, {fake}));
  TRY(Status(b.status()));
  return loss;
}

Accuracies discriminator_accuracies(GraphBuilder& b, AdversarialLoss loss, Value* real, Value* fake) {
  const E score = E::arg(0);
  if (loss == AdversarialLoss::kWasserstein) {
    Value* border = b.map(0.5 * (E::arg(0) + E::arg(1)), {mean_of_all(b, real), mean_of_all(b, fake)});
    return {share(b, score > E::arg(1), {real, border}), share(b, score < E::arg(1), {fake, border})};
  }
  const double border = loss == AdversarialLoss::kLeastSquares ? 0.5 : 0.0;
  return {share(b, score > border, {real}), share(b, score < border, {fake})};
}

Value* logit_of(Value* output) {
  Value* exact = output;
  for (const Node* node = exact->producer(); node && node->op().name == "Cast"; node = exact->producer()) {
    if (!is_float(node->input(0)->type.dtype) || !is_float(exact->type.dtype)) break;
    exact = node->input(0);
  }
  const Value* value = exact;
  for (const Node* node = value->producer(); node; node = value->producer()) {
    if (node->op().name == "Sigmoid") return node->input(0);
    if (!is_view(*node)) break;
    value = node->input(0);
  }
  return exact;
}

}  // namespace gannet
