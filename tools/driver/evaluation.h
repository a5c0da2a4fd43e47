// What `gannet evaluate` found out, as text and as JSON.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "runtime/training/prediction_report.h"

namespace gannet {

struct Evaluation {
  std::string model, data, output;
  std::string loss_name;
  double loss = 0;
  std::vector<std::string> names;  // of classes or labels; fewer or none: numbers
  std::variant<ClassReport, LabelReport, NumberReport> report;
};

// A line of measures, a table of classes and the confusions; of more than 20 classes the ten most frequent
// ones.
std::string evaluation_text(const Evaluation& evaluation);
// One object on one line.
std::string evaluation_json(const Evaluation& evaluation);

}  // namespace gannet
