/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds a program's source, opens what was compiled of it before, or compiles it; keeps what was compiled. */
#include "common/opencl_program.h"

#include "common/checksum.h"
#include "common/log.h"
#include "common/part_file.h"
#include "common/paths.h"

#include <glib/gstdio.h>
#include <string.h>

#define FOLDER "opencl_v1"
#define MAGIC "DTCLBIN1"
#define KEY_DIGITS 64
/* the same arithmetic everywhere, as far as a device can: no option that trades correctness for speed */
#define OPTIONS "-cl-std=CL1.2"
#define OPTION_ROUNDING " -cl-fp32-correctly-rounded-divide-sqrt" /* an error where a device cannot */
#define MAX_SOURCE ((gsize)1 << 20)
#define MAX_BINARY ((gsize)64 << 20)
/* of a compiler's words */
#define MAX_WORDS 2000

typedef struct _head_t
{
  char magic[8];
  char key[KEY_DIGITS];
  guint64 size, sum;
} _head_t;

/* What every step needs. */
typedef struct _target_t
{
  const dt_opencl_driver_t *cl;
  cl_context context;
  const dt_opencl_device_t *device;
  const char *name;
} _target_t;

/* --- the source --- */

static gint _compare(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

char **dt_opencl_program_list(void)
{
  GPtrArray *names = g_ptr_array_new();
  char *folder = dt_paths_bundled("kernels");
  GDir *dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
  for(const char *name; dir && (name = g_dir_read_name(dir));)
    if(g_str_has_suffix(name, ".cl")) g_ptr_array_add(names, g_strndup(name, strlen(name) - strlen(".cl")));
  if(dir) g_dir_close(dir);
  g_free(folder);
  g_ptr_array_sort(names, _compare);
  g_ptr_array_add(names, NULL);
  return (char **)g_ptr_array_free(names, FALSE);
}

static char *_read_source(const char *name, GError **error)
{
  char *folder = dt_paths_bundled("kernels");
  char *file = g_strconcat(name, ".cl", NULL);
  char *path = g_build_filename(folder ? folder : "kernels", file, NULL);
  char *source = NULL;
  gsize size = 0;
  GError *reason = NULL;
  if(!g_file_get_contents(path, &source, &size, &reason))
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
                "The OpenCL program %s cannot be read (%s). It comes with this software; install it anew.",
                file, reason->message);
  else if(size > MAX_SOURCE)
  {
    g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "The OpenCL program %s is too large to be one.", path);
    g_clear_pointer(&source, g_free);
  }
  g_clear_error(&reason);
  g_free(path);
  g_free(file);
  g_free(folder);
  return source;
}

static const char *_options(const dt_opencl_device_t *device)
{
  return device->rounds ? OPTIONS OPTION_ROUNDING : OPTIONS;
}

/* --- where the compiled form lies --- */

char *dt_opencl_program_cache(void)
{
  char *cache = dt_paths_get(DT_DIR_CACHE);
  char *folder = g_build_filename(cache, FOLDER, NULL);
  g_free(cache);
  return folder;
}

/* The hash of strings, each with its end, so that no two lists have the same bytes. */
static char *_hash(const char *const *words)
{
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  for(; *words; words++) g_checksum_update(sum, (const guchar *)*words, (gssize)strlen(*words) + 1);
  char *digits = g_strdup(g_checksum_get_string(sum));
  g_checksum_free(sum);
  return digits;
}

static char *_key(const dt_opencl_device_t *device, const char *source)
{
  return _hash((const char *[]){ source, _options(device), device->platform, device->name,
                                 device->driver_version, device->version, NULL });
}

/* One file for each program and kind of device: twins share it, a new driver replaces it. */
static char *_path(const _target_t *target)
{
  char *kind = _hash((const char *[]){ target->device->platform, target->device->name, NULL });
  char *file = g_strdup_printf("%s-%.16s.bin", target->name, kind);
  char *folder = dt_opencl_program_cache();
  char *path = g_build_filename(folder, file, NULL);
  g_free(folder);
  g_free(file);
  g_free(kind);
  return path;
}

/* --- building --- */

static char *_compilers_words(const _target_t *target, cl_program program)
{
  char words[MAX_WORDS + 1] = "";
  gsize size = 0;
  const dt_opencl_driver_t *cl = target->cl;
  if(cl->GetProgramBuildInfo(program, target->device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS
     || size == 0 || size > MAX_SOURCE)
    return g_strdup("");
  char *log = g_malloc0(size + 1);
  if(cl->GetProgramBuildInfo(program, target->device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL)
     == CL_SUCCESS)
    g_strlcpy(words, log, sizeof(words));
  g_free(log);
  return g_strstrip(g_utf8_make_valid(words, -1));
}

static void _set_refusal(const _target_t *target, cl_program program, GError **error)
{
  char *words = _compilers_words(target, program);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT,
              "The OpenCL compiler of \"%s\" does not accept %s.cl%s%s", target->device->name, target->name,
              *words ? ":\n" : ".", words);
  g_free(words);
}

/* Takes @p program over: released when it cannot be built. */
static cl_program _build(const _target_t *target, cl_program program, GError **error)
{
  const dt_opencl_device_t *device = target->device;
  const cl_int code = target->cl->BuildProgram(program, 1, &device->id, _options(device), NULL, NULL);
  if(code == CL_SUCCESS) return program;
  if(code == CL_BUILD_PROGRAM_FAILURE)
    _set_refusal(target, program, error);
  else
    dt_opencl_check(code, "clBuildProgram", error);
  target->cl->ReleaseProgram(program);
  return NULL;
}

static cl_program _compile(const _target_t *target, const char *source, GError **error)
{
  cl_int code = CL_SUCCESS;
  cl_program program = target->cl->CreateProgramWithSource(target->context, 1, &source, NULL, &code);
  if(!dt_opencl_check(code, "clCreateProgramWithSource", error)) return NULL;
  return _build(target, program, error);
}

static cl_program _open_binary(const _target_t *target, const guchar *binary, gsize size, GError **error)
{
  cl_int code = CL_SUCCESS, status = CL_SUCCESS;
  cl_program program = target->cl->CreateProgramWithBinary(target->context, 1, &target->device->id, &size,
                                                           &binary, &status, &code);
  if(!dt_opencl_check(code, "clCreateProgramWithBinary", error)) return NULL;
  return _build(target, program, error);
}

/* --- loading and storing the compiled form --- */

/* Why @p data is not what was stored under @p key, or NULL. Static string. */
static const char *_judge(const char *data, gsize size, const char *key)
{
  const _head_t *head = (const _head_t *)data;
  if(size < sizeof(_head_t) || memcmp(head->magic, MAGIC, sizeof(head->magic)) != 0)
    return "it is no compiled program";
  if(memcmp(head->key, key, KEY_DIGITS) != 0) return "source, driver or device have changed";
  if(head->size != size - sizeof(_head_t)) return "it is cut off";
  if(head->sum != dt_checksum64(head + 1, (size_t)head->size)) return "it is damaged";
  return NULL;
}

static cl_program _load(const _target_t *target, const char *path, const char *key)
{
  char *data = NULL;
  gsize size = 0;
  GStatBuf status;
  if(g_stat(path, &status) != 0 || !S_ISREG(status.st_mode) || (guint64)status.st_size > MAX_BINARY
     || !g_file_get_contents(path, &data, &size, NULL))
    return NULL;
  GError *error = NULL;
  cl_program program = NULL;
  const char *reason = _judge(data, size, key);
  if(!reason)
    program = _open_binary(target, (const guchar *)data + sizeof(_head_t), size - sizeof(_head_t), &error);
  if(!program) dt_log(DT_LOG_OPENCL, "[opencl] %s is not used: %s", path, reason ? reason : error->message);
  g_clear_error(&error);
  g_free(data);
  return program;
}

/* The compiled form (transfer full), or NULL when the driver does not give it. */
static guchar *_fetch_binary(const _target_t *target, cl_program program, gsize *size)
{
  *size = 0;
  const dt_opencl_driver_t *cl = target->cl;
  if(cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(*size), size, NULL) != CL_SUCCESS
     || *size == 0 || *size > MAX_BINARY - sizeof(_head_t))
    return NULL;
  guchar *binary = g_malloc0(*size);
  if(cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL) == CL_SUCCESS)
    return binary;
  g_free(binary);
  return NULL;
}

static gboolean _write(const char *path, const _head_t *head, const guchar *binary, GError **error)
{
  char *folder = g_path_get_dirname(path);
  const gboolean made = g_mkdir_with_parents(folder, 0700) == 0;
  g_free(folder);
  /* where no folder is, the file cannot be, and its error says so */
  dt_part_t *part = dt_part_create(path, TRUE, error);
  if(!part) return FALSE;
  if(made && dt_part_append(part, head, sizeof(*head)) && dt_part_append(part, binary, head->size))
    return dt_part_commit(part, error);
  dt_part_set_error(part, "it cannot be written", error);
  dt_part_abandon(part);
  return FALSE;
}

/* Only costs time when it fails, at every start: worth one sentence. */
static void _warn(const GError *error)
{
  static gint warned;
  const gboolean first = g_atomic_int_compare_and_exchange(&warned, FALSE, TRUE);
  dt_log(first ? DT_LOG_NOTICE : DT_LOG_OPENCL,
         "Compiled OpenCL programs cannot be kept, they will be compiled at every start: %s", error->message);
}

static void _store(const _target_t *target, cl_program program, const char *path, const char *key)
{
  gsize size;
  guchar *binary = _fetch_binary(target, program, &size);
  if(!binary) return;
  _head_t head = { .magic = MAGIC, .size = size, .sum = dt_checksum64(binary, size) };
  memcpy(head.key, key, KEY_DIGITS);
  GError *error = NULL;
  if(!_write(path, &head, binary, &error)) _warn(error);
  g_clear_error(&error);
  g_free(binary);
}

cl_program dt_opencl_program_open(const dt_opencl_driver_t *cl, cl_context context,
                                  const dt_opencl_device_t *device, const char *name, char **key,
                                  GError **error)
{
  const _target_t target = { cl, context, device, name };
  *key = NULL;
  char *source = _read_source(name, error);
  if(!source) return NULL;
  char *path = _path(&target), *its_key = _key(device, source);
  const gint64 begun = g_get_monotonic_time();
  cl_program program = _load(&target, path, its_key);
  const gboolean cached = program != NULL;
  if(!cached) program = _compile(&target, source, error);
  if(program)
    dt_log(DT_LOG_OPENCL, "[opencl] %s.cl for '%s' %s in %.3f s", name, device->name,
           cached ? "loaded" : "compiled", (double)(g_get_monotonic_time() - begun) / 1e6);
  if(program && !cached) *key = g_steal_pointer(&its_key);
  g_free(its_key);
  g_free(path);
  g_free(source);
  return program;
}

void dt_opencl_program_keep(const dt_opencl_driver_t *cl, const dt_opencl_device_t *device, const char *name,
                            const char *key, cl_program program)
{
  const _target_t target = { cl, NULL, device, name };
  char *path = _path(&target);
  _store(&target, program, path, key);
  g_free(path);
}
