// What the flags of `gannet tune` say, as options of the passes and of the trainer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tools/driver/tune_arguments.h"

namespace gannet {

// What --optimizer takes, and the optimizer of such a name with its usual momentum.
std::vector<std::string> optimizer_names();
OptimizerOptions named_optimizer_options(std::string_view name);
// The optimizer as the flags say it, and its rate: that of --lr, or the optimizer's usual one.
Result<OptimizerOptions> optimizer_of(const TuneArguments& arguments);
// --dropout as rules.
Result<std::vector<DropoutRule>> dropout_of(const TuneArguments& arguments);
// --lora as options; alpha is twice the rank where it is not given.
Result<LowRankOptions> low_rank_of(const TuneArguments& arguments);
double rate_of(const TuneArguments& arguments);
// "512M", "4G", "1.5GiB" or bytes.
Result<int64_t> parse_bytes(const std::string& text, std::string_view flag);
// Flags that decide the result, with their values: what a checkpoint must agree with.
std::map<std::string, std::string> deciding_flags(const TuneArguments& arguments, int64_t total_steps);

}  // namespace gannet
