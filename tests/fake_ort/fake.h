/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the files of the fake ONNX Runtime share. README.md is the manual.
 */
#ifndef DT_TESTS_FAKE_H
#define DT_TESTS_FAKE_H

#include <glib.h>
#include <onnxruntime_c_api.h>

#define FAKE_EXPORT __attribute__((visibility("default")))

/* --- the script --- */

typedef enum fake_act_t
{
  FAKE_OK,
  FAKE_FAIL,
  FAKE_CRASH,
  FAKE_HANG,
  FAKE_NOISE,
} fake_act_t;

typedef enum fake_output_t
{
  FAKE_OUTPUT_OK,
  FAKE_OUTPUT_NAN,
  FAKE_OUTPUT_FLAT,
  FAKE_OUTPUT_WRONG,
  FAKE_OUTPUT_NOISE,
} fake_output_t;

/** An execution provider the fake can play. */
typedef struct fake_provider_t
{
  const char *name;     ///< its group in the script
  const char *ort_name; ///< as GetAvailableProviders() calls it
  unsigned by_name;     ///< first API version whose SessionOptionsAppendExecutionProvider() knows it, 0: none
  const char *options;  ///< the keys it takes, separated by spaces; NULL: any
} fake_provider_t;

/** The provider of that name, its own or ONNX Runtime's; NULL when there is none. */
const fake_provider_t *fake_provider_find(const char *name);

/** What the script says about a provider. */
typedef struct fake_behaviour_t
{
  const fake_provider_t *provider;
  int attach, session, run; ///< fake_act_t
  int output;               ///< fake_output_t
  char *message, *session_message, *run_message, *log;
  int compile_ms, blob_bytes, nodes_cpu;
  int run_ms, run_oom_at, run_oom_above;
} fake_behaviour_t;

/** What it says about the library itself. */
typedef struct fake_runtime_t
{
  int load, env; ///< fake_act_t
  char *version, *providers, *env_message;
} fake_runtime_t;

/** Both read the script anew; what it does not say has its default.
 * @param relu  for a model that is a single Relu, of which the script may say something else */
void fake_behaviour_init(fake_behaviour_t *behaviour, const fake_provider_t *provider, gboolean relu);
void fake_behaviour_cleanup(fake_behaviour_t *behaviour);
void fake_runtime_init(fake_runtime_t *runtime);
void fake_runtime_cleanup(fake_runtime_t *runtime);

/** Does what @p act says. Returns NULL or, for FAKE_FAIL, a status with @p message. */
OrtStatus *fake_do(int act, const char *message);

/** The act's word in the script. */
const char *fake_act_name(int act);

/** Sleeps; FALSE when *@p terminate (may be NULL) became set meanwhile. */
gboolean fake_sleep(int ms, const gint *terminate);

/** Appends a line to the notes, after the number of this process. */
void fake_note(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* --- what every call needs --- */

/** API version of the library that is played. */
unsigned fake_api_version(void);

OrtStatus *fake_status(OrtErrorCode code, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** A logging function and what it is called with. */
typedef struct fake_logger_t
{
  OrtLoggingFunction write; ///< NULL: nobody listens
  void *param;
  OrtLoggingLevel least;
  char id[64];
} fake_logger_t;

void fake_log(const fake_logger_t *logger, OrtLoggingLevel level, const char *location, const char *format,
              ...) G_GNUC_PRINTF(4, 5);

/** The environment's logger, as it is now. */
fake_logger_t fake_env_logger(void);

/* --- session options --- */

struct OrtSessionOptions
{
  const fake_provider_t *provider; ///< the first that was attached, NULL: none
  char *cache_dir;                 ///< where that one keeps what it compiled, or NULL
  GHashTable *overrides;           ///< name of a symbolic dimension -> its size (gint64 *)
  fake_logger_t logger;            ///< the session's own; write is NULL when it has none
  int severity;                    ///< -1: the environment's
};

/* --- the model --- */

/** An input or output as the model declares it. */
typedef struct fake_slot_t
{
  char *name;
  gboolean is_tensor;
  ONNXTensorElementDataType type;
  GArray *dims;      ///< of int64_t, -1: symbolic
  GPtrArray *params; ///< of char *: the names of the symbolic ones, "" for the others
} fake_slot_t;

typedef struct fake_model_t
{
  GPtrArray *inputs, *outputs; ///< of fake_slot_t *; initializers are not among the inputs
  GPtrArray *nodes;            ///< of char *: "Conv (conv_0)"
} fake_model_t;

/** Reads as much of an ONNX model as the fake needs. NULL: the bytes are no model. */
fake_model_t *fake_model_parse(const void *bytes, size_t size);
void fake_model_destroy(fake_model_t *model);

/* --- sessions --- */

struct OrtSession
{
  fake_model_t *model;
  fake_behaviour_t behaviour;
  gboolean relu; ///< the model is a single Relu, and computed as one
  gint runs;     ///< how many there were
};

struct OrtTensorTypeAndShapeInfo
{
  ONNXTensorElementDataType type;
  size_t ndim;
  int64_t dims[];
};
OrtTensorTypeAndShapeInfo *fake_tensor_info_new(ONNXTensorElementDataType type, const int64_t *dims,
                                                size_t ndim);

/** Each file adds its functions to the table. */
void fake_attach_fill(OrtApi *api);
void fake_session_fill(OrtApi *api);
void fake_run_fill(OrtApi *api);

#endif
