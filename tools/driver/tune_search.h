// --search: the same training with other numbers, one run for each point of a small grid.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/driver/tune_arguments.h"

namespace gannet {

using SearchPoint = std::vector<std::pair<std::string, std::string>>;  // flag ("--lr") and value

// Whether the other flags go with a search: it needs held-out data, and keeps no checkpoints.
Status check_search(const TuneArguments& arguments);
// All combinations of the values of all flags ("lr=1e-5,2e-5"), at most 64.
Result<std::vector<SearchPoint>> search_points(const std::vector<std::string>& flags);
// Sets the flags of a point; a folder of --log gets one inside it for each.
Status apply_point(const SearchPoint& point, TuneArguments& arguments);
// "lr 1e-5, batch-size 16"
std::string text_of(const SearchPoint& point);
// A row for each point with its best measure, the best marked.
std::string search_table(const std::vector<SearchPoint>& points,
                         const std::vector<std::optional<double>>& measures, const std::string& measure,
                         size_t best);

}  // namespace gannet
