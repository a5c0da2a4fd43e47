#include "tests/support/tests_folder.h"

namespace gannet::test {

std::string tests_folder() { return GANNET_TESTS_DIR; }

}  // namespace gannet::test
