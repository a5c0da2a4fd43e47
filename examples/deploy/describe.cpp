// Prints what a compiled model takes and gives:
//
//   describe MODEL.gannet
#include <gannet.hpp>

#include <cstdio>
#include <cstdlib>

static void print(const char* kind, const gannet_value& value) {
  std::printf("%s %s: type %d [", kind, value.name, static_cast<int>(value.type));
  for (int axis = 0; axis < value.rank; ++axis) std::printf("%s%s", axis > 0 ? ", " : "", value.dimensions[axis]);
  std::printf("]\n");
}

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: describe MODEL.gannet\n"), EXIT_FAILURE;
  try {
    const gannet::Program program{std::string(argv[1])};
    for (const gannet_value& value : program.inputs()) print("input", value);
    for (const gannet_value& value : program.outputs()) print("output", value);
    return EXIT_SUCCESS;
  } catch (const gannet::Failure& failure) {
    std::fprintf(stderr, "error: %s\n", failure.what());
    return EXIT_FAILURE;
  }
}
