// What the programs of tools/ have in common: how they report errors, and the flags and texts that they share.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/dim.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace gannet {

inline constexpr int kSuccess = 0;
inline constexpr int kFailure = 1;

// Prints "error: ..." on standard error and gives the exit status of a failed command. What a file may have put into
// the message cannot steer the terminal: control characters but for line ends stand as \xNN.
int report(const Error& error);
// A name from a file on one line: every control character stands as \xNN.
std::string printable(std::string_view text);

// Adds a subcommand whose work is `body`; parsing the command line sets `run` to it. `example` closes the help text.
CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& description, const std::string& example,
                      std::function<int()>& run, std::function<Status()> body);

// Flags of this group are shown by --help-all only.
inline constexpr const char* kMoreFlags = "More";
// Adds --help-all to a command that has such flags. Call it when all flags are there.
void add_help_all(CLI::App& command);

// The limits where no flag says otherwise: those of Limits, but no more tensors than this machine's memory holds.
Limits default_limits();
// Adds --limit. `limits` takes NAME=VALUE.
void add_limit_argument(CLI::App& command, std::vector<std::string>& limits);
// Adds --seed, an integer of 0 to 2^64-1.
CLI::Option* add_seed(CLI::App& command, uint64_t& seed, const std::string& meaning);
// Adds --threads.
CLI::Option* add_threads(CLI::App& command, int& threads);
// Takes finite numbers that fit; of others the error says that they are not `wanted`, such as "a finite number above 0".
CLI::Validator number_that(bool (*fits)(double), const char* wanted);
// Takes finite numbers of at least 0; more than 0 with `positive`.
CLI::Validator finite_number(bool positive);
// Takes a share of rows to hold out: at least 0, below 1.
CLI::Validator held_out_share();
// `text` as a finite number of at least 0; `flag` and its `whole` value are for the error.
Result<double> parse_number(std::string_view text, std::string_view flag, const std::string& whole);
// "NAME=VALUE" in two; an error where there is no '='.
Result<std::pair<std::string, std::string>> split_assignment(const std::string& text, std::string_view flag);
// "1x3x224x224" or "batchx3x8": extents separated by 'x' or ','. A symbol is a name of letters, digits and '_' that
// holds no 'x' (write "max_len,3" with commas where one does).
Result<Shape> parse_extents(const std::string& text);
// The --shape arguments by input name.
Result<std::map<std::string, Shape>> parse_shapes(const std::vector<std::string>& assignments);
// An error where a file at `path` could not be written, for telling before long work rather than after it.
Status check_output_path(const std::string& path);

// Human-readable amounts: "1.2 MiB", "3.4 GFLOP", "12 345".
std::string bytes_text(int64_t bytes);
std::string flops_text(double flops);

}  // namespace gannet
