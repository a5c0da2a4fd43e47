// The range of a model's values: what its ending says, and what its metadata and flags do.
#pragma once

#include <optional>
#include <string>

#include "ir/graph.h"
#include "runtime/data/tensor_image.h"
#include "tools/deploy/label_metadata.h"

namespace gannet {

// "LOW..HIGH", such as -1..1 or 0..255.
Result<ValueRange> parse_value_range(const std::string& text, std::string_view flag);
// -1..1
std::string to_string(const ValueRange& range);

struct FoundRange : ValueRange {
  std::string ending;  // the op that says so: "Tanh"; empty where a type or nothing does
};

// The range that black and white have in `output`: of the Tanh, Sigmoid, HardSigmoid or Clip that it ends in,
// moved by the constants that are added and multiplied afterwards; 0..255 of integers of 8 bits. Where an
// ending reaches a little further than one of -1..1, 0..1 and 0..255 it is that one: 150 tanh(x) + 127.5 is a
// picture of 0..255. Nothing where the model says nothing.
std::optional<FoundRange> find_output_range(const Value& output);
// What Windows' models say of their pictures: Image.NominalPixelRange.
std::optional<ValueRange> range_of_metadata(const Metadata& metadata);
// The narrowest of -1..1, 0..1 and 0..255 that fits values from `low` to `high`, a few outliers aside.
ValueRange likely_range(double low, double high);

}  // namespace gannet
