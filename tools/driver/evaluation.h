// What `gannet evaluate` found out, as text and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/training/prediction_report.h"

namespace gannet {

struct Evaluation {
  std::string model, data, output;
  std::string loss_name;
  double loss = 0;
  std::vector<std::string> names;  // of classes or labels; fewer or none: numbers
  std::optional<std::pair<int64_t, double>> top = {};  // K, and how often a label is among the K likeliest classes
  std::string notes = {};                    // lines to read before the figures
  std::optional<int64_t> left_out = {};      // rows that could not be read
  std::variant<ClassReport, LabelReport, NumberReport> report;
};

// A line of measures, a table of classes and the confusions; of more than 20 classes the ten most frequent
// ones.
std::string evaluation_text(const Evaluation& evaluation);
// One object on one line.
std::string evaluation_json(const Evaluation& evaluation);

}  // namespace gannet
