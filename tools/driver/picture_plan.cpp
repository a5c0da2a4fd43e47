#include "tools/driver/picture_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "tools/driver/command.h"

namespace gannet {

namespace {

// --class: "all", or numbers between commas.
Result<std::vector<int64_t>> wanted_classes(const Generator& generator, const std::string& text) {
  std::vector<int64_t> classes;
  if (text.empty()) return classes;
  if (!generator.has_classes())
    return invalid_input(fmt::format("{}: has no class, which --class asks for", generator.model().path));
  if (text == "all") {
    if (generator.classes() == 0)
      return invalid_input(fmt::format("{}: does not say how many classes it has: give --class 0,1,2",
                                       generator.model().path));
    classes.resize(static_cast<size_t>(generator.classes()));
    std::iota(classes.begin(), classes.end(), 0);
    return classes;
  }
  for (const Dim& dim : TRY(parse_extents(text))) {
    if (!dim.is_constant())
      return invalid_input(fmt::format("--class takes numbers or 'all', got '{}'", text));
    classes.push_back(dim.constant());
    TRY(generator.check_class(classes.back()));
  }
  return classes;
}

}  // namespace

Result<PicturePlan> PicturePlan::make(const Generator& generator, const GenerateArguments& arguments) {
  PicturePlan plan(generator, arguments);
  plan.classes_ = TRY(wanted_classes(generator, arguments.classes));
  const bool any = plan.classes_.empty();
  if (generator.has_classes() && any && generator.classes() == 0)
    return invalid_input(fmt::format("{}: makes pictures of a class: give --class", generator.model().path));
  const int64_t turns = std::max<int64_t>(static_cast<int64_t>(plan.classes_.size()), 1);
  if (!arguments.interpolate.empty()) {
    plan.lines_ = arguments.count.value_or(turns);
    plan.of_line_ = plan.columns_ = arguments.steps;
    return plan;
  }
  constexpr int64_t kUsual = 64, kUsualOfClass = 8;
  plan.lines_ = turns;
  plan.of_line_ = arguments.count.value_or(any ? kUsual : kUsualOfClass);
  if (!any) plan.columns_ = plan.of_line_;
  return plan;
}

int64_t PicturePlan::label(int64_t index) const {
  if (!classes_.empty()) return classes_[static_cast<size_t>(index / of_line_) % classes_.size()];
  if (!arguments_->interpolate.empty()) return 0;
  return generator_->classes() > 0 ? index % generator_->classes() : 0;
}

GeneratorRow PicturePlan::row(int64_t index) const {
  const int64_t line = index / of_line_, place = index % of_line_;
  if (arguments_->interpolate.empty()) return {generator_->draw(arguments_->seed, place), label(index)};
  const double share =
      static_cast<double>(place) / static_cast<double>(std::max<int64_t>(arguments_->steps - 1, 1));
  const std::vector<float> from = generator_->draw(arguments_->interpolate[0], line),
                           to = generator_->draw(arguments_->interpolate[1], line);
  return {interpolate_latents(from, to, share, generator_->latents().uniform), label(index)};
}

}  // namespace gannet
