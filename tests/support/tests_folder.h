// Where the data of tests stand.
#pragma once

#include <string>

namespace gannet::test {

// The folder tests/ of the sources.
std::string tests_folder();

}  // namespace gannet::test
