// Text as a page of HTML shows it.
#pragma once

#include <string>
#include <string_view>

namespace gannet {

// For the inside of elements and of quoted attributes; control characters become blanks.
std::string html_text(std::string_view text);
// RFC 4648, with padding: what follows "data:image/png;base64,".
std::string base64(std::string_view bytes);

}  // namespace gannet
