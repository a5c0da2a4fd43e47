/* Runs models that `gannet compile` has compiled. A plain C interface, stable within one major version.
 *
 *   gannet_program* program = gannet_program_load("model.gannet");
 *   gannet_session* session = program ? gannet_session_create(program, 0) : NULL;
 *   gannet_tensor input = {GANNET_F32, 2, {1, 128}, values, sizeof(values)}, output = {0};
 *   if (!session || gannet_session_run(session, &input, 1, &output, 1) != GANNET_OK) puts(gannet_error());
 *
 * A program never changes and may be used by any number of threads. A session has memory of its own; sessions of one
 * program share its weights and may run at the same time. Calls on one session wait for each other.
 *
 * Functions that give a pointer give NULL when they fail, the others a gannet_status; gannet_error() then has the reason.
 * No function throws, prints or ends the process, but for defects of the library itself. An artifact holds machine code:
 * load only what you would load as a shared library. */
#ifndef GANNET_H
#define GANNET_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define GANNET_API __attribute__((visibility("default")))
#else
#define GANNET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GANNET_VERSION_MAJOR 0
#define GANNET_VERSION_MINOR 1
#define GANNET_VERSION_PATCH 0

typedef enum gannet_status {
  GANNET_OK = 0,
  GANNET_INVALID_ARGUMENT = 1, /* an input that does not fit the model, a damaged artifact */
  GANNET_UNSUPPORTED = 2,      /* valid, but not on this machine or not through this interface */
  GANNET_IO_ERROR = 3,         /* the operating system refused */
  GANNET_OUT_OF_MEMORY = 4,
  GANNET_BUFFER_TOO_SMALL = 5  /* an output's memory; its `bytes` and `extents` say what is needed */
} gannet_status;

/* Element types, numbered as in ONNX. Types of less than a byte take a byte an element, which holds a number of the type.
 * Any byte but 0 is a true bool; results have 1. */
typedef enum gannet_type {
  GANNET_UNDEFINED = 0,
  GANNET_F32 = 1, GANNET_U8 = 2, GANNET_I8 = 3, GANNET_U16 = 4, GANNET_I16 = 5, GANNET_I32 = 6, GANNET_I64 = 7,
  GANNET_STRING = 8, GANNET_BOOL = 9, GANNET_F16 = 10, GANNET_F64 = 11, GANNET_U32 = 12, GANNET_U64 = 13,
  GANNET_C64 = 14, GANNET_C128 = 15, GANNET_BF16 = 16,
  GANNET_F8E4M3FN = 17, GANNET_F8E4M3FNUZ = 18, GANNET_F8E5M2 = 19, GANNET_F8E5M2FNUZ = 20,
  GANNET_U4 = 21, GANNET_I4 = 22, GANNET_F4E2M1 = 23, GANNET_F8E8M0 = 24, GANNET_U2 = 25, GANNET_I2 = 26
} gannet_type;

#define GANNET_MAX_RANK 12

/* A dense row-major tensor in memory of the caller, aligned as its element type asks. */
typedef struct gannet_tensor {
  gannet_type type;
  int32_t rank;
  int64_t extents[GANNET_MAX_RANK];
  void* data;
  size_t bytes;
} gannet_tensor;

/* What a model says of an input or output. Strings live as long as the program. */
typedef struct gannet_value {
  const char* name;
  gannet_type type;                          /* GANNET_UNDEFINED: a sequence or an optional value */
  int32_t rank;                              /* -1: any, or more than GANNET_MAX_RANK */
  int64_t extents[GANNET_MAX_RANK];          /* -1: differs from run to run */
  const char* dimensions[GANNET_MAX_RANK];   /* "1", "batch", "2*seq+1" */
} gannet_value;

typedef struct gannet_program gannet_program;
typedef struct gannet_session gannet_session;

/* "0.1.0" */
GANNET_API const char* gannet_version(void);
/* Why the last call on this thread failed: one line that names the thing; empty before the first failure. */
GANNET_API const char* gannet_error(void);
/* Of which kind that was; GANNET_OK before the first failure. */
GANNET_API gannet_status gannet_last_status(void);

/* Maps the artifact at `path`: weights are read when they are used and shared between processes. */
GANNET_API gannet_program* gannet_program_load(const char* path);
/* An artifact in memory, used where it stands: keep it until the program and all its sessions are freed. Copied if not at
 * a multiple of 64. */
GANNET_API gannet_program* gannet_program_load_memory(const void* data, size_t bytes);
/* Sessions keep what they need of it. NULL is fine. */
GANNET_API void gannet_program_free(gannet_program* program);

/* 0 where `program` is NULL. */
GANNET_API size_t gannet_program_input_count(const gannet_program* program);
GANNET_API size_t gannet_program_output_count(const gannet_program* program);
/* NULL where `index` is out of range. */
GANNET_API const gannet_value* gannet_program_input(const gannet_program* program, size_t index);
GANNET_API const gannet_value* gannet_program_output(const gannet_program* program, size_t index);
/* What the model's file has under `key`, such as the names of classes; NULL where it has nothing. */
GANNET_API const char* gannet_program_metadata(const gannet_program* program, const char* key);

/* `threads`: how many cores a run uses; 0: those that the process may use. */
GANNET_API gannet_session* gannet_session_create(const gannet_program* program, int threads);
/* NULL is fine. */
GANNET_API void gannet_session_free(gannet_session* session);
/* What random ops draw from; each run starts from it. */
GANNET_API gannet_status gannet_session_set_seed(gannet_session* session, uint64_t seed);
/* Runs the model on inputs in the program's order. An input of type GANNET_UNDEFINED is left out, where the model can
 * do without. Each output gets its type, rank, extents and bytes. Where its `data` is NULL on entry, `data` then points
 * to memory of the session, good until the session runs again or is freed. Where it is not, the result is written there
 * once the model has run, and `bytes` says on entry how much fits. Nothing is written anywhere when the call fails before
 * the model has run.
 *
 * An output that one of the session's last two runs has filled in may be given again as it is: memory of the session
 * counts as NULL, whatever the extents are now. An older one needs `data` set to NULL first.
 * What the run before gave may be an input of this one, as the state of a recurrence or a cache that grows: it stays as it
 * is while the model runs, and results go elsewhere. */
GANNET_API gannet_status gannet_session_run(gannet_session* session, const gannet_tensor* inputs, size_t input_count,
                                            gannet_tensor* outputs, size_t output_count);

#ifdef __cplusplus
}
#endif

#endif
