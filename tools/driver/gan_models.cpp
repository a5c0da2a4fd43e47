#include "tools/driver/gan_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/op.h"
#include "passes/widen_model.h"
#include "runtime/data/input_file.h"
#include "tools/driver/command.h"

namespace gannet {

namespace {

// An input with a name that speaks of classes, where its type leaves open what it is.
bool speaks_of_classes(std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::any_of(std::initializer_list<const char*>{"label", "class", "cond", "onehot", "one_hot"},
                             [&](const char* word) { return name.find(word) != std::string::npos; }) ||
         name == "y" || name == "c";
}

bool takes_class_numbers(const Type& type) {
  return type.is_tensor() && is_int(type.dtype) &&
         (type.rank() == 1 || (type.rank() == 2 && (*type.shape)[1].is_constant(1)));
}

bool takes_class_shares(const Type& type) {
  return type.is_tensor() && is_float(type.dtype) && type.rank() == 2 && (*type.shape)[1].is_constant();
}

Result<std::optional<size_t>> find_class_input(const Graph& graph, const GanSideArguments& side, std::string_view letter) {
  std::string all;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const Value& input = *graph.inputs()[i];
    all += fmt::format("{}'{}'", i ? ", " : "", input.name);
    const bool fits = takes_class_numbers(input.type) || takes_class_shares(input.type);
    if (!side.class_input.empty()) {
      if (input.name != side.class_input) continue;
      if (fits) return std::optional(i);
      return invalid_input(fmt::format("{}: input '{}' is {}; a class is an integer [batch] or numbers [batch, classes]",
                                       side.path, input.name, to_string(input.type)));
    }
    if (takes_class_numbers(input.type) || (takes_class_shares(input.type) && graph.inputs().size() > 1 && speaks_of_classes(input.name)))
      return std::optional(i);
  }
  if (side.class_input.empty()) return std::optional<size_t>();
  return invalid_input(fmt::format("{}: --{}-class-input '{}': there is no such input; there are {}", side.path, letter,
                                   side.class_input, all));
}

// A row: all extents but the first; nothing where one of them is not known.
std::optional<Shape> row_of(const Type& type) {
  if (!type.is_tensor() || !type.shape || type.shape->empty()) return std::nullopt;
  Shape row(type.shape->begin() + 1, type.shape->end());
  return is_static(row) ? std::optional(row) : std::nullopt;
}

Status check_latents(const Graph& graph, const std::optional<size_t>& class_input, const std::string& path) {
  size_t latents = 0;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    if (class_input == i) continue;
    const Value& input = *graph.inputs()[i];
    ++latents;
    if (!input.type.is_tensor() || !is_float(input.type.dtype))
      return invalid_input(fmt::format("{}: input '{}' is {}: a generator takes random floats, and a class where it is conditional",
                                       path, input.name, to_string(input.type)));
    if (!row_of(input.type))
      return invalid_input(fmt::format("{0}: input '{1}' is {2}: how many random numbers does a picture take? Give --g-shape "
                                       "{1}=batchx100, with the extents that it has",
                                       path, input.name, to_string(input.type)));
  }
  return latents > 0 ? Status() : invalid_input(fmt::format("{}: has no input for random numbers", path));
}

Result<size_t> find_pictures(const Graph& graph, const std::optional<size_t>& class_input, const std::string& path) {
  std::optional<size_t> found;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    if (class_input == i) continue;
    const Value& input = *graph.inputs()[i];
    if (!input.type.is_tensor() || !is_float(input.type.dtype) || input.type.rank() < 2)
      return invalid_input(fmt::format("{}: input '{}' is {}: a discriminator takes pictures [batch, ...], and a class where it is conditional",
                                       path, input.name, to_string(input.type)));
    if (found)
      return invalid_input(fmt::format("{}: inputs '{}' and '{}' may both be pictures; --d-class-input says which one is the class",
                                       path, graph.inputs()[*found]->name, input.name));
    found = i;
  }
  if (!found) return invalid_input(fmt::format("{}: has no input for pictures", path));
  return *found;
}

std::optional<int64_t> elements_of(const Shape& row) {
  const Dim count = element_count(row);
  return count.is_constant() ? std::optional(count.constant()) : std::nullopt;
}

// The first floating point output, of those that fit the discriminator where one does.
Result<size_t> find_generated(const Graph& graph, const std::optional<Shape>& wanted, const std::string& path) {
  std::optional<size_t> first;
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const Type& type = graph.outputs[i].value->type;
    if (!type.is_tensor() || !is_float(type.dtype) || type.rank() < 2) continue;
    const auto row = row_of(type);
    if (row && wanted && elements_of(*row) == elements_of(*wanted)) return i;
    if (!first) first = i;
  }
  if (!first) return invalid_input(fmt::format("{}: has no output of pictures, floats [batch, ...]", path));
  return *first;
}

// [batch, N], or maps whose axis 1 is not that of their one channel or, channels last, of the height of more than one patch.
bool gives_several(const Type& type) {
  const auto is_one = [&](size_t axis) { return (*type.shape)[axis].is_constant(1); };
  const bool several = type.rank() >= 2 && (*type.shape)[1].is_constant() && !is_one(1);
  if (type.rank() == 4) return several && (!is_one(3) || is_one(2));
  return several && type.rank() == 2;
}

Result<size_t> find_scores(const Graph& graph, const std::string& path) {
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const Value& value = *graph.outputs[i].value;
    if (!value.type.is_tensor() || !is_float(value.type.dtype)) continue;
    const Node* node = value.producer();
    if (node && (node->op().name == "Softmax" || node->op().name == "LogSoftmax"))
      return invalid_input(fmt::format("{}: output '{}' ends in {}: a discriminator gives one logit (or its Sigmoid) for each picture",
                                       path, graph.outputs[i].name, node->op().name));
    if (gives_several(value.type))
      return invalid_input(fmt::format("{}: output '{}' is {}: a discriminator gives one number for each picture, or for each patch of it",
                                       path, graph.outputs[i].name, to_string(value.type)));
    return i;
  }
  return invalid_input(fmt::format("{}: has no floating point output", path));
}

// Flat rows as a square picture of one channel or three.
std::optional<Shape> square_picture(int64_t elements) {
  for (const int64_t channels : {1, 3}) {
    const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(elements) / static_cast<double>(channels))));
    if (side > 1 && side * side * channels == elements) return Shape{channels, side, side};
  }
  return std::nullopt;
}

class Fitting {
 public:
  Fitting(GanModels& models, const GanArguments& arguments) : m_(models), a_(arguments), pair_(models.pair) {}

  Status fit() {
    const Graph &g = m_.generator.graph(), &d = m_.discriminator.graph();
    pair_.generator = &g;
    pair_.discriminator = &d;
    pair_.generator_class = TRY(find_class_input(g, a_.generator, "g"));
    pair_.discriminator_class = TRY(find_class_input(d, a_.discriminator, "d"));
    TRY(check_latents(g, pair_.generator_class, a_.generator.path));
    pair_.pictures = TRY(find_pictures(d, pair_.discriminator_class, a_.discriminator.path));
    pair_.scores = TRY(find_scores(d, a_.discriminator.path));
    taken_ = d.inputs()[pair_.pictures];
    pair_.generated = TRY(find_generated(g, row_of(taken_->type), a_.generator.path));
    made_ = g.outputs[pair_.generated].value;
    TRY(find_form());
    m_.range = find_output_range(*made_).value_or(FoundRange());
    note_classes();
    return {};
  }

 private:
  Error differ() const {
    return invalid_input(fmt::format("{}: output '{}' is {}, which does not fit input '{}' of {}, {}", a_.generator.path,
                                     m_.generator.graph().outputs[pair_.generated].name, to_string(made_->type), taken_->name,
                                     a_.discriminator.path, to_string(taken_->type)));
  }

  Status find_form() {
    std::optional<Shape> made = row_of(made_->type), taken = row_of(taken_->type);
    if (!made && !taken)
      return invalid_input(fmt::format("{}: input '{}' is {}, and {} gives {}: how large are pictures? Give --d-shape {}=batchx3x64x64",
                                       a_.discriminator.path, taken_->name, to_string(taken_->type), a_.generator.path,
                                       to_string(made_->type), taken_->name));
    if (!taken) taken = made;
    if (!made) made = taken;
    if (taken_->type.rank() == 4 && !agrees(*taken_->type.shape, *taken)) return differ();
    if (elements_of(*made) != elements_of(*taken)) return differ();
    pair_.form = taken->size() == 3 ? *taken : made->size() == 3 ? *made : *taken;
    if (pair_.form.size() == 1) {
      if (const auto square = square_picture(pair_.form[0].constant())) pair_.form = *square;
    }
    if (pair_.form.size() == 3) TRY(find_layout(*made));
    return {};
  }

  static bool agrees(const Shape& type, const Shape& row) {
    if (type.size() != row.size() + 1) return false;
    for (size_t i = 0; i < row.size(); ++i) {
      if (type[i + 1].is_constant() && type[i + 1] != row[i]) return false;
    }
    return true;
  }

  Status find_layout(const Shape& made) {
    ImageOptions options = TRY(image_options_of(a_.image));
    std::vector<int64_t> extents = {-1};
    for (const Dim& dim : pair_.form) extents.push_back(dim.constant());
    Result<ImageOptions> completed = image_options_for(options, DType::kF32, extents);
    const bool planar = completed.ok() && completed->layout == ImageLayout::kNchw;
    const auto at = [&](size_t axis) { return extents[axis]; };
    const bool fits = completed.ok() && (completed->channels == 1 || completed->channels == 3) && at(planar ? 1 : 3) == completed->channels &&
                      at(planar ? 2 : 1) == completed->height && at(planar ? 3 : 2) == completed->width;
    if (fits) m_.picture = *completed;
    const bool asked = !a_.image.size.empty() || !a_.image.layout.empty();
    if (!fits && asked)
      return invalid_input(fmt::format("{}: pictures are {}, which --image-size and --layout do not agree with", a_.discriminator.path, to_string(pair_.form)));
    if (made.size() != 3 || made == pair_.form) return {};
    const Shape channels_last = {made[1], made[2], made[0]}, channels_first = {made[2], made[0], made[1]};
    if (pair_.form == channels_last && !planar) pair_.generated_permutation = {0, 2, 3, 1};
    else if (pair_.form == channels_first && planar) pair_.generated_permutation = {0, 3, 1, 2};
    else return differ();
    return {};
  }

  void note_classes() {
    if (pair_.generator_class && !pair_.discriminator_class)
      m_.notes.push_back(fmt::format("{} sees no class, so that nothing makes the generator heed its own", a_.discriminator.path));
    if (!pair_.generator_class && pair_.discriminator_class)
      m_.notes.push_back(fmt::format("{} takes no class, and {} does: it judges what is generated by classes that the generator does not know",
                                     a_.generator.path, a_.discriminator.path));
  }

  GanModels& m_;
  const GanArguments& a_;
  GanPair& pair_;
  const Value *made_ = nullptr, *taken_ = nullptr;
};

Result<TuneModel> load_side(const GanSideArguments& side, const GanArguments& arguments) {
  TuneArguments flags;
  flags.model.path = side.path;
  flags.model.shapes = side.shapes;
  flags.model.limits = arguments.limits;
  flags.batch_norm = arguments.batch_norm;
  flags.backend = arguments.backend;
  flags.compile = arguments.compile;
  TuneModel model = TRY(make_tune_model(TRY(load_model(flags.model)), {}, flags));
  widen_ends(*model.imported.graph);
  return model;
}

}  // namespace

Result<GanModels> load_gan_models(const GanArguments& arguments) {
  GanModels models;
  models.generator = TRY(load_side(arguments.generator, arguments));
  models.discriminator = TRY(load_side(arguments.discriminator, arguments));
  TRY(Fitting(models, arguments).fit());
  return models;
}

}  // namespace gannet
