#include "tools/driver/label_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/base/file.h"
#include "runtime/data/label_model.h"
#include "runtime/data/npy.h"
#include "runtime/data/table.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/output_path.h"
#include "tools/driver/command.h"

namespace gannet {

namespace {

struct LabelArguments {
  std::string votes, output, method = "model", truth;
  std::vector<std::string> keep, classes;
  LabelModelOptions model;
  uint64_t seed = 0;
};

struct Votes {
  Table table;
  VoteTable functions;
  std::vector<size_t> kept;    // columns to carry over
  std::vector<int32_t> truth;  // of each row; empty without a column of it
};

int32_t number_of(const std::vector<std::string>& classes, const std::string& name) {
  const auto found = std::ranges::find(classes, name);
  return found == classes.end() ? kAbstains : static_cast<int32_t>(found - classes.begin());
}

// Class numbers by what they count: 2 before 10.
void sort_numbers(std::vector<std::string>& classes) {
  constexpr size_t kMostDigits = 18;
  const auto is_number = [](const std::string& name) {
    return !name.empty() && name.size() <= kMostDigits && name.find_first_not_of("0123456789") == std::string::npos;
  };
  if (std::ranges::all_of(classes, is_number)) std::ranges::stable_sort(classes, {}, [](const std::string& name) { return std::stoll(name); });
}

Status read_classes(Votes& votes, const std::vector<size_t>& columns, const LabelArguments& arguments) {
  std::vector<std::string>& classes = votes.functions.classes;
  classes = arguments.classes;
  const bool open = classes.empty();
  if (open) {
    std::set<std::string> names;
    for (const size_t i : columns) names.insert(votes.table.cells[i].begin(), votes.table.cells[i].end());
    names.erase("");
    classes.assign(names.begin(), names.end());
    sort_numbers(classes);
  }
  std::set<std::string> once;
  for (const std::string& name : classes) {
    if (!once.insert(name).second) return invalid_input(fmt::format("--classes names '{}' twice", name));
  }
  if (classes.size() < 2)
    return invalid_input(fmt::format("{}: the votes name {} classes; two or more are needed, or --classes",
                                     votes.table.path, classes.size()));
  for (int64_t row = 0; row < votes.table.rows(); ++row) {
    for (const size_t i : columns) {
      const std::string& cell = votes.table.cells[i][static_cast<size_t>(row)];
      const int32_t vote = number_of(classes, cell);
      if (!cell.empty() && vote == kAbstains)
        return invalid_input(fmt::format("{}'{}' votes for '{}', which is not among --classes",
                                         votes.table.place(row), votes.table.names[i], cell));
      votes.functions.votes.push_back(vote);
    }
  }
  return {};
}

Result<Votes> read_votes(const LabelArguments& arguments) {
  constexpr int64_t kMostBytes = int64_t{1} << 33;
  Votes votes;
  votes.table = TRY(
      read_table(arguments.votes, table_format_of(arguments.votes).value_or(TableFormat::kCsv), kMostBytes));
  if (votes.table.names.empty()) votes.table.take_header();
  if (votes.table.rows() == 0) return invalid_input(arguments.votes + ": there is a header but no row");
  for (const std::string& name : arguments.keep) {
    votes.kept.push_back(TRY(votes.table.column(name, "--keep")));
    const std::string& kept = votes.table.names[votes.kept.back()];
    if (kept == "label" || kept.starts_with("p:"))
      return invalid_input(fmt::format("--keep {}: the result has a column '{}' of its own", name, kept));
  }
  std::optional<size_t> truth;
  if (!arguments.truth.empty()) truth = TRY(votes.table.column(arguments.truth, "--truth"));
  std::vector<size_t> columns;
  for (size_t i = 0; i < votes.table.columns(); ++i) {
    if (std::ranges::find(votes.kept, i) == votes.kept.end() && truth != i) columns.push_back(i);
  }
  if (columns.empty()) return invalid_input(arguments.votes + ": no column is left for votes");
  for (const size_t i : columns) votes.functions.functions.push_back(votes.table.names[i]);
  TRY(read_classes(votes, columns, arguments));
  if (truth) {
    for (int64_t row = 0; row < votes.table.rows(); ++row) {
      const std::string& cell = votes.table.cells[*truth][static_cast<size_t>(row)];
      votes.truth.push_back(number_of(votes.functions.classes, cell));
      if (!cell.empty() && votes.truth.back() == kAbstains)
        return invalid_input(fmt::format("{}'{}' is '{}', which no function votes for; name all classes with --classes",
                                         votes.table.place(row), arguments.truth, cell));
    }
  }
  return votes;
}

std::string share_text(double share) { return std::isnan(share) ? "-" : fmt::format("{:.4f}", share); }

// Of the rows whose truth is known and that have a label.
double accuracy_of(const std::vector<int32_t>& labels, const std::vector<int32_t>& truth) {
  double right = 0, known = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] == kAbstains || truth[i] == kAbstains) continue;
    right += labels[i] == truth[i];
    ++known;
  }
  return right / known;
}

void print_functions(const Votes& votes, const std::vector<double>& estimated) {
  const VoteTable& table = votes.functions;
  size_t width = 8;
  for (const std::string& name : table.functions)
    width = std::max(width, std::min<size_t>(printable(name).size(), 40));
  fmt::print("{:<{}}  coverage  overlap  conflict{}{}\n", "function", width,
             estimated.empty() ? "" : "  accuracy (estimated)",
             votes.truth.empty() ? "" : "  accuracy (measured)");
  const std::vector<FunctionStatistics> statistics = vote_statistics(table);
  const std::vector<double> measured =
      votes.truth.empty() ? std::vector<double>() : measured_accuracies(table, votes.truth);
  for (size_t f = 0; f < statistics.size(); ++f) {
    fmt::print("{:<{}}    {:.4f}   {:.4f}    {:.4f}", printable(table.functions[f]), width,
               statistics[f].coverage, statistics[f].overlap, statistics[f].conflict);
    if (!estimated.empty()) fmt::print("  {:>20}", share_text(estimated[f]));
    if (!measured.empty()) fmt::print("  {:>19}", share_text(measured[f]));
    fmt::print("\n");
  }
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// The kept columns, the label, and a column "p:CLASS" for each class; empty where nobody voted.
Status write_csv(const std::string& path, const Votes& votes, const std::vector<int32_t>& labels,
                 const std::vector<double>& probabilities) {
  const std::vector<std::string>& classes = votes.functions.classes;
  std::string text;
  for (const size_t i : votes.kept) text += csv_cell(votes.table.names[i]) + ",";
  text += "label";
  for (const std::string& name : classes) text += "," + csv_cell("p:" + name);
  text += "\n";
  for (size_t row = 0; row < labels.size(); ++row) {
    for (const size_t i : votes.kept) text += csv_cell(votes.table.cells[i][row]) + ",";
    const bool labelled = labels[row] != kAbstains;
    if (labelled) text += csv_cell(classes[static_cast<size_t>(labels[row])]);
    for (size_t k = 0; k < classes.size(); ++k)
      text += labelled ? fmt::format(",{:.6f}", probabilities[row * classes.size() + k]) : ",";
    text += "\n";
  }
  return write_file_atomically(path, text);
}

// Probabilities as "labels" [rows, classes]; all alike where nobody voted.
Status write_arrays(const std::string& path, const Votes& votes, const std::vector<int32_t>& labels,
                    const std::vector<double>& probabilities) {
  const size_t classes = votes.functions.classes.size();
  Tensor shares =
      Tensor::zeros(DType::kF32, {static_cast<int64_t>(labels.size()), static_cast<int64_t>(classes)});
  const std::span<float> values = shares.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = labels[i / classes] == kAbstains ? 1.0f / static_cast<float>(classes)
                                                 : static_cast<float>(probabilities[i]);
  return write_npz(path, {{"labels", std::move(shares)}});
}

Status check_prior(const LabelArguments& arguments, const VoteTable& table) {
  const std::vector<double>& prior = arguments.model.prior;
  if (prior.empty()) return {};
  double sum = 0;
  for (const double share : prior) sum += share;
  const bool positive = std::ranges::all_of(prior, [](double share) { return share > 0; });
  if (prior.size() == table.classes.size() && positive && std::fabs(sum - 1) < 1e-3) return {};
  return invalid_input(
      fmt::format("--prior takes a share above 0 for each of the {} classes ({}), 1 together",
                  table.classes.size(), fmt::join(table.classes, ", ")));
}

Status label(const LabelArguments& arguments) {
  TRY(check_outputs({arguments.output}, {arguments.votes}));
  const Votes votes = TRY(read_votes(arguments));
  const VoteTable& table = votes.functions;
  TRY(check_prior(arguments, table));
  const auto classes = static_cast<int64_t>(table.classes.size());
  const std::vector<double> shares = majority_shares(table);
  const std::vector<int32_t> by_majority = likeliest(shares, classes, arguments.seed);
  const auto unlabelled = std::ranges::count(by_majority, kAbstains);
  std::vector<double> probabilities = shares, estimated;
  fmt::print("{} rows, {} functions, {} classes ({}); {} rows have no vote\n", table.rows(),
             table.functions.size(), classes, printable(fmt::format("{}", fmt::join(table.classes, ", "))),
             unlabelled);
  std::vector<int32_t> labels = by_majority;
  if (arguments.method == "model") {
    LabelModel model = fit_label_model(table, arguments.model);
    probabilities = std::move(model.probabilities);
    estimated = std::move(model.accuracies);
    labels = likeliest(probabilities, classes, arguments.seed);
    // A row without votes gets the prior, which is no label.
    for (size_t row = 0; row < labels.size(); ++row) {
      if (by_majority[row] == kAbstains) labels[row] = kAbstains;
    }
    fmt::print("label model: {} rounds, mean log-likelihood {:.5f}, classes {:.4f}\n", model.rounds,
               model.log_likelihood, fmt::join(model.prior, " "));
  }
  print_functions(votes, estimated);
  if (!votes.truth.empty()) {
    fmt::print("accuracy where the truth is known: majority {}",
               share_text(accuracy_of(by_majority, votes.truth)));
    if (arguments.method == "model")
      fmt::print(", label model {}", share_text(accuracy_of(labels, votes.truth)));
    fmt::print("\n");
  }
  TRY(arguments.output.ends_with(".npz") ? write_arrays(arguments.output, votes, labels, probabilities)
                                         : write_csv(arguments.output, votes, labels, probabilities));
  fmt::print("wrote {}\n", arguments.output);
  return {};
}

}  // namespace

CLI::App* add_label_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<LabelArguments>();
  CLI::App* command = add_command(app, "label", "Make labels of the votes of labelling functions.",
                                  "gannet label votes.csv --keep path -o labels.csv", run,
                                  [arguments] { return label(*arguments); });
  command
      ->add_option("VOTES", arguments->votes,
                   "a table with a header: a column of votes for each function, empty cells abstain")
      ->required();
  command
      ->add_option("-o,--output", arguments->output,
                   "labels and probabilities: .csv, or .npz with the array labels")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--method", arguments->method,
                   "model: by how good each function seems to be; majority: each vote counts alike")
      ->check(CLI::IsMember({"model", "majority"}))
      ->capture_default_str();
  command->add_option("--keep", arguments->keep, "columns that are no votes, to carry over")
      ->delimiter(',')
      ->type_name("NAME,...");
  command
      ->add_option("--truth", arguments->truth,
                   "column with the true class where it is known, for comparison alone")
      ->type_name("NAME");
  command
      ->add_option("--classes", arguments->classes,
                   "all classes, in order [those that are voted for, sorted]")
      ->delimiter(',')
      ->type_name("NAME,...");
  command->add_option("--prior", arguments->model.prior, "model: shares of the classes [estimated]")
      ->delimiter(',')
      ->type_name("P,P,...");
  command->add_option("--smoothing", arguments->model.smoothing, "model: factor of the three votes for each class, two of them right, that are added")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--rounds", arguments->model.most_rounds, "model: at most so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  add_seed(*command, arguments->seed, "of the choice among equally likely classes");
  return command;
}

}  // namespace gannet
