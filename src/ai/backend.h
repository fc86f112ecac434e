/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Models, execution providers and inference, independent of the engine behind them.
 *
 * The way through: an environment knows which models are installed; loading one gives a context;
 * running the context turns input tensors into output tensors. ONNX Runtime is loaded when the first
 * model is loaded or the first provider probed, never before.
 *
 * Functions that return NULL, -1 or a negative code leave the reason in dt_ai_last_error().
 */
#ifndef DT_AI_BACKEND_H
#define DT_AI_BACKEND_H

#include "../common/errors.h"

#include <gio/gio.h>
#include <stdint.h>

G_BEGIN_DECLS

/* --- Execution providers ------------------------------------------------------------------- */

typedef enum dt_ai_provider_t
{
  DT_AI_PROVIDER_AUTO = 0, ///< the best provider that works here, CPU as the last resort
  DT_AI_PROVIDER_CPU,
  DT_AI_PROVIDER_COREML,
  DT_AI_PROVIDER_CUDA,
  DT_AI_PROVIDER_MIGRAPHX,
  DT_AI_PROVIDER_OPENVINO,
  DT_AI_PROVIDER_DIRECTML,
  DT_AI_PROVIDER_WEBGPU,
  DT_AI_PROVIDER_COUNT, ///< number of providers; new ones stand before it
} dt_ai_provider_t;

/** One row of the provider table. */
typedef struct dt_ai_provider_desc_t
{
  dt_ai_provider_t value;
  const char *config_string; ///< as written in the setting plugins/ai/provider
  const char *display_name;  ///< as shown to people
  gboolean available;        ///< this platform can have it (decided at compile time)
} dt_ai_provider_desc_t;

/** The table, indexed by dt_ai_provider_t. */
extern const dt_ai_provider_desc_t dt_ai_providers[DT_AI_PROVIDER_COUNT];

/** The display name of @p provider; that of AUTO when it is out of range. Static string. */
const char *dt_ai_provider_to_string(dt_ai_provider_t provider);

/** The provider called @p str: config string or display name in any case, "ROCm" is MIGraphX.
 * NULL and unknown names are AUTO. */
dt_ai_provider_t dt_ai_provider_from_string(const char *str);

/** Whether @p str is a name that dt_ai_provider_from_string() knows. */
gboolean dt_ai_provider_is_known(const char *str);

/** Whether @p provider really initialises, without loading a model.
 *
 * It is tried in a child process with a time limit, so that a driver that crashes or hangs harms nobody, and the
 * verdict is kept in the cache directory until the runtime, the driver or the chosen device changes.
 * @return 1 available, 0 not (see dt_ai_last_error()); AUTO and CPU: 1 when the runtime loads.
 * Thread-safe. */
int dt_ai_probe_provider(dt_ai_provider_t provider);

/** One device of a provider. */
typedef struct dt_ai_device_t
{
  char *id;          ///< as the provider's device setting takes it: "0", "1", … or "CPU", "GPU.0"
  char *name;        ///< as its driver calls it
  gboolean software; ///< the processor pretending to be a GPU
  guint64 memory;    ///< bytes of its own, 0: unknown
  char *pci; ///< its address as in /sys/bus/pci/devices ("0000:01:00.0"); NULL: its driver does not tell
} dt_ai_device_t;

/** What probing a provider found. */
typedef struct dt_ai_provider_report_t
{
  gboolean works;
  char *reason;       ///< when it does not work: why, with the loader's and the driver's own words; else NULL
  char *device;       ///< the device it uses, by name, or NULL when nothing tells
  char *pci;          ///< its address as that of a dt_ai_device_t; NULL as well when it may be one of several
  char *driver;       ///< version of the driver, or NULL
  GPtrArray *devices; ///< of dt_ai_device_t *: those to choose from; may be empty, never NULL
  char *words;        ///< what the driver wrote on stdout and stderr meanwhile, or NULL
} dt_ai_provider_report_t;

/** dt_ai_probe_provider() with everything it found.
 * @param again  do not believe the cache
 * @return the report (transfer full: dt_ai_provider_report_free()), or NULL: see dt_ai_last_error() (no runtime).
 * Thread-safe. */
dt_ai_provider_report_t *dt_ai_examine_provider(dt_ai_provider_t provider, gboolean again);
void dt_ai_provider_report_free(dt_ai_provider_report_t *report);

/** The provider AUTO tries first with a model: the first one of this platform that works, CPU when none does. Never
 * a GPU that is only pretended by software. Thread-safe. */
dt_ai_provider_t dt_ai_auto_provider(void);

/** The setting that chooses a device of @p provider ("plugins/ai/cuda_device_id"), or NULL. Static string. */
const char *dt_ai_provider_device_key(dt_ai_provider_t provider);

/** Version of the loaded ONNX Runtime and the file it came from; loads it when necessary.
 * @param path  receives the path (transfer none), may be NULL
 * @return the version (transfer none), or NULL: see dt_ai_last_error(). Thread-safe. */
const char *dt_ai_runtime_version(const char **path);

/** What a person should know about the choice of the runtime: a library that was asked for (setting or
 * DT_ORT_LIBRARY) could not be used and another one runs. NULL when there is nothing to say or nothing
 * is loaded yet. Transfer none. */
const char *dt_ai_runtime_warning(void);

/** An ONNX Runtime library, as a child process found it. */
typedef struct dt_ai_runtime_info_t
{
  char *path;
  char *version;    ///< "1.30.0", or NULL when it cannot be used
  char **providers; ///< the runtime's own names without their ending: "CUDA", "CPU"; NULL-terminated, or NULL
  char *reason;     ///< why it cannot be used, a clause with the loader's own words, or NULL
} dt_ai_runtime_info_t;

/** Looks at the library @p path without loading it into this process: whether it is an ONNX Runtime this program
 * works with, and what it offers. At most 20 seconds, less when @p cancellable (or NULL) says so.
 * @return (transfer full: dt_ai_runtime_info_free()), never NULL. Thread-safe. */
dt_ai_runtime_info_t *dt_ai_runtime_check(const char *path, GCancellable *cancellable);
void dt_ai_runtime_info_free(dt_ai_runtime_info_t *info);

/** The library that came with the program (transfer full), or NULL. */
char *dt_ai_runtime_bundled(void);

/* --- The environment: which models there are ------------------------------------------------- */

typedef struct dt_ai_environment_t dt_ai_environment_t;

/** A model as its manifest describes it: a snapshot that never changes. The environment keeps what it handed
 * out until dt_ai_env_destroy(), across refreshes too; hold a reference (dt_ai_model_info_ref()) to keep it
 * longer. */
typedef struct dt_ai_model_info_t
{
  const char *id;
  const char *name;
  const char *description;
  const char *task_type; ///< "denoise", "mask", …; "general" when the manifest does not say
  const char *backend;   ///< "onnx"
  const char *arch;
  const char *version;
  int num_inputs;
  const char *directory;     ///< absolute path
  const char *attributes;    ///< JSON text, or NULL
  const char *cpu_only;      ///< JSON text, or NULL
  const char *coreml_format; ///< JSON text, or NULL
  const char *model_card;    ///< JSON text, or NULL
} dt_ai_model_info_t;

/** Scans for models.
 *
 * Order: @p search_paths, `<configdir>/models`, `<user data>/darktable/models`, the models that came
 * with the program; within a directory by name. The first model with an id wins.
 *
 * @param search_paths  directories separated by semicolons, or NULL
 * @return the environment (transfer full), or NULL when AI features are switched off
 *         (DT_AI_ERROR_DISABLED). Directories that do not exist are passed over, manifests that
 *         cannot be read are skipped and reported (dt_ai_env_get_problem()). */
dt_ai_environment_t *dt_ai_env_init(const char *search_paths);
/** Frees the environment; contexts loaded from it stay usable. NULL is fine. */
void dt_ai_env_destroy(dt_ai_environment_t *env);
/** Scans again, after having packages unpacked that were dropped into `<configdir>/models` (where the program
 * brings what can do that). Thread-safe, like all functions below that take an environment. */
void dt_ai_env_refresh(dt_ai_environment_t *env);

int dt_ai_get_model_count(dt_ai_environment_t *env);
/** @return the model (transfer none), or NULL when @p index is out of range */
const dt_ai_model_info_t *dt_ai_get_model_info_by_index(dt_ai_environment_t *env, int index);
/** @return the model (transfer none), or NULL when there is none called @p id */
const dt_ai_model_info_t *dt_ai_get_model_info_by_id(dt_ai_environment_t *env, const char *id);
/** One more reference to @p info, and back; thread-safe, NULL is fine for the latter. @{ */
const dt_ai_model_info_t *dt_ai_model_info_ref(const dt_ai_model_info_t *info);
void dt_ai_model_info_unref(const dt_ai_model_info_t *info);
/** @} */
/** Number of manifests the last scan skipped. */
int dt_ai_env_get_problem_count(dt_ai_environment_t *env);
/** Why the manifest number @p index was skipped (transfer none, always valid), or NULL. */
const char *dt_ai_env_get_problem(dt_ai_environment_t *env, int index);

/** The model that serves @p task: the setting plugins/ai/models/active/<task>, else the one that came with
 * the program, else the recommended one, else the first found. An empty setting means none.
 * @return (transfer none) or NULL with DT_AI_ERROR_NO_MODEL in dt_ai_last_error() */
const dt_ai_model_info_t *dt_ai_env_get_active_model(dt_ai_environment_t *env, const char *task);

/** The provider used by dt_ai_load_model() when it is asked for AUTO; initially the setting. */
void dt_ai_env_set_provider(dt_ai_environment_t *env, dt_ai_provider_t provider);
dt_ai_provider_t dt_ai_env_get_provider(dt_ai_environment_t *env);

/* --- Contexts: a loaded model ---------------------------------------------------------------- */

/** Element types, numbered as in darktable. */
typedef enum dt_ai_dtype_t
{
  DT_AI_FLOAT = 1,
  DT_AI_UINT8 = 2,
  DT_AI_INT8 = 3,
  DT_AI_INT32 = 4,
  DT_AI_INT64 = 5,
  DT_AI_FLOAT16 = 10,
} dt_ai_dtype_t;

/** How far the runtime may rewrite the graph. */
typedef enum dt_ai_opt_level_t
{
  DT_AI_OPT_ALL = 0,  ///< everything; the default
  DT_AI_OPT_BASIC,    ///< constant folding and removal of redundancy only
  DT_AI_OPT_DISABLED, ///< nothing
} dt_ai_opt_level_t;

/** A tensor whose memory belongs to the caller. */
typedef struct dt_ai_tensor_t
{
  void *data;         ///< elements, densely packed, row-major
  dt_ai_dtype_t type; ///< type of the elements
  int64_t *shape;     ///< @p ndim dimensions
  int ndim;
} dt_ai_tensor_t;

/** Binds a symbolic dimension to a value. */
typedef struct dt_ai_dim_override_t
{
  const char *name;
  int64_t value;
} dt_ai_dim_override_t;

typedef struct dt_ai_context_t dt_ai_context_t;

/** Loads @p model_file (NULL: "model.onnx") of the model @p model_id, everything optimised.
 *
 * A provider that cannot be used is replaced by the CPU, AUTO goes through all of this platform first; which one
 * runs and why is told by dt_ai_get_provider() and dt_ai_get_fallback(), and as a notice (DT_LOG_NOTICE). The
 * first time a provider sees a model, a child process compiles it and compares a result with the CPU's.
 * @return the context (transfer full), or NULL: see dt_ai_last_error() (DT_AI_ERROR_NO_MODEL,
 *         _PROVIDER, _DISABLED, _MEMORY). Thread-safe. */
dt_ai_context_t *dt_ai_load_model(dt_ai_environment_t *env, const char *model_id, const char *model_file,
                                  dt_ai_provider_t provider);

/** dt_ai_load_model() with a choice of optimisation and with @p n_overrides bindings of symbolic
 * dimensions. */
dt_ai_context_t *dt_ai_load_model_ext(dt_ai_environment_t *env, const char *model_id, const char *model_file,
                                      dt_ai_provider_t provider, dt_ai_opt_level_t opt_level,
                                      const dt_ai_dim_override_t *dim_overrides, int n_overrides);

/** The ONNX Runtime end of the above: loads `<model_dir>/<model_file>` without an environment. */
dt_ai_context_t *dt_ai_onnx_load_ext(const char *model_dir, const char *model_file, dt_ai_provider_t provider,
                                     dt_ai_opt_level_t opt_level, const dt_ai_dim_override_t *dim_overrides,
                                     int n_overrides);

/** Frees the context. No run may be in progress. NULL is fine. */
void dt_ai_unload_model(dt_ai_context_t *ctx);

/** Introspection. Names belong to the context; a bad index gives NULL, or DT_AI_FLOAT. @{ */
int dt_ai_get_input_count(dt_ai_context_t *ctx);
int dt_ai_get_output_count(dt_ai_context_t *ctx);
const char *dt_ai_get_input_name(dt_ai_context_t *ctx, int index);
const char *dt_ai_get_output_name(dt_ai_context_t *ctx, int index);
dt_ai_dtype_t dt_ai_get_input_type(dt_ai_context_t *ctx, int index);
dt_ai_dtype_t dt_ai_get_output_type(dt_ai_context_t *ctx, int index);
/** Writes up to @p max_dims dimensions (-1: symbolic) to @p shape.
 * @return the number of dimensions, or -1 */
int dt_ai_get_input_shape(dt_ai_context_t *ctx, int index, int64_t *shape, int max_dims);
int dt_ai_get_output_shape(dt_ai_context_t *ctx, int index, int64_t *shape, int max_dims);
/** The provider that really executes the model; never AUTO. */
dt_ai_provider_t dt_ai_get_provider(dt_ai_context_t *ctx);
/** @} */

/** Truth about what runs. Transfer none, valid as long as the context. @{ */
/** The device by name, or NULL when the provider does not tell (CPU). */
const char *dt_ai_get_device(dt_ai_context_t *ctx);
/** The address of the graphics processor as in /sys/bus/pci/devices ("0000:01:00.0"), by which other interfaces know it
 * too; NULL on the CPU, and when nothing tells: neither the driver nor, with several devices, the provider. */
const char *dt_ai_get_pci(dt_ai_context_t *ctx);
/** How many nodes of the graph were placed where, after the provider has fused some: "CUDA 118, CPU 2". */
const char *dt_ai_get_placement(dt_ai_context_t *ctx);
/** Why providers that were asked for, or come first, do not run this; NULL when there is nothing to say. */
const char *dt_ai_get_fallback(dt_ai_context_t *ctx);
/** @} */

/** Number of elements of a shape; 0 when a dimension is not positive or the product overflows. */
size_t dt_ai_tensor_element_count(const int64_t *shape, int ndim);

/** Results of dt_ai_run(). */
enum
{
  DT_AI_RUN_OK = 0,
  DT_AI_RUN_NO_CONTEXT = -1,
  DT_AI_RUN_COUNT_MISMATCH = -2, ///< not as many tensors as the model has inputs and outputs
  DT_AI_RUN_FAILED = -3,         ///< the runtime failed, or an output does not fit its buffer
  DT_AI_RUN_BAD_TENSOR = -4,     ///< a shape, type or pointer is not usable
};

/** Runs the model once.
 *
 * Inputs and outputs are in the model's order. float32 data is converted for a float16 model and
 * back. The buffer of an output holds as many elements as its shape says on entry; when the model
 * computes the shape itself, the real one is written over it, and a result that is larger than the
 * buffer is an error (DT_AI_RUN_FAILED), never an overflow.
 *
 * @return one of DT_AI_RUN_…; the reason is in dt_ai_last_error(). Contexts may be run from several
 *         threads at once. */
int dt_ai_run(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs, dt_ai_tensor_t *outputs,
              int num_outputs);

/** dt_ai_run() that another thread can stop: cancelling @p cancellable ends the run at the next
 * operator.
 * @return FALSE with @p error set: DT_AI_ERROR_CANCELLED, _MEMORY, _USAGE or _FAILED */
gboolean dt_ai_run_cancellable(dt_ai_context_t *ctx, dt_ai_tensor_t *inputs, int num_inputs,
                               dt_ai_tensor_t *outputs, int num_outputs, GCancellable *cancellable,
                               GError **error);

/** What is called around every run of a session, so that it can take turns with others on the same graphics processor.
 *
 * enter() may wait, for instance until the processor is free; the run begins when it returns, whatever came of it. leave()
 * follows on the same thread when the run is over, also when that failed or was cancelled. Where runs go side by side both
 * are called from several threads at once. @p pci is dt_ai_get_pci() of the session: NULL when nobody needs to wait. */
typedef struct dt_ai_gate_t
{
  void (*enter)(const char *pci, void *user_data);
  void (*leave)(const char *pci, void *user_data);
  void *user_data;
} dt_ai_gate_t;

/* --- Errors and build ------------------------------------------------------------------------ */

/** The reason of the last failure of a function of this header in the calling thread, or NULL.
 * Transfer none; valid until the next failure in this thread. */
const GError *dt_ai_last_error(void);

/** Whether this build contains AI support at all. */
gboolean dt_ai_is_supported(void);

G_END_DECLS

#endif
