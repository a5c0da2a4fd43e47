// The entry of a list that is most like a misspelt word, for hints in messages.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gannet {

// The candidate with the fewest changed, missing, added or swapped letters against `word`, case folded; "" when none
// is near enough to be meant (more than a third of its length away).
std::string nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace gannet
