/* Runs a compiled model with one input of f32 on zeros and prints the first output:
 *
 *   scores MODEL.gannet
 */
#include <gannet.h>

#include <stdio.h>
#include <stdlib.h>

static int failed(const char* what) {
  fprintf(stderr, "error: %s: %s\n", what, gannet_error());
  return EXIT_FAILURE;
}

/* Zeros for an input; an extent that the model leaves open is 1. */
static gannet_tensor zeros(const gannet_value* value) {
  gannet_tensor tensor = {0};
  size_t elements = 1;
  tensor.type = value->type;
  tensor.rank = value->rank;
  for (int axis = 0; axis < value->rank; ++axis) {
    tensor.extents[axis] = value->extents[axis] < 0 ? 1 : value->extents[axis];
    elements *= (size_t)tensor.extents[axis];
  }
  tensor.bytes = elements * sizeof(float);
  tensor.data = calloc(elements, sizeof(float));
  return tensor;
}

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: scores MODEL.gannet\n"), EXIT_FAILURE;
  gannet_program* program = gannet_program_load(argv[1]);
  if (!program) return failed(argv[1]);
  const gannet_value* first = gannet_program_input(program, 0);
  if (gannet_program_input_count(program) != 1 || gannet_program_output_count(program) != 1 || first->type != GANNET_F32 ||
      first->rank < 0) {
    fprintf(stderr, "error: %s: one input of f32 and one output are expected\n", argv[1]);
    return EXIT_FAILURE;
  }
  gannet_session* session = gannet_session_create(program, 0);
  if (!session) return failed(argv[1]);

  gannet_tensor input = zeros(first), output = {0};
  if (!input.data) return fprintf(stderr, "error: no memory for input '%s'\n", first->name), EXIT_FAILURE;
  if (gannet_session_run(session, &input, 1, &output, 1) != GANNET_OK) return failed(argv[1]);
  if (output.type != GANNET_F32) return fprintf(stderr, "error: output '%s' is not f32\n", gannet_program_output(program, 0)->name), EXIT_FAILURE;
  for (size_t i = 0; i < output.bytes / sizeof(float); ++i) printf("%.6f\n", ((const float*)output.data)[i]);

  free(input.data);
  gannet_session_free(session);
  gannet_program_free(program);
  return EXIT_SUCCESS;
}
