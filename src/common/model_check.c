/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks the .onnx files of a model against its manifest and its task, from their structure alone. What
 * a task needs stands in tables of tensors; the rules that tensors have with each other (sizes that must
 * agree, an encoder that must fit its decoder) follow below them. */
#include "common/model_check.h"
#include "common/onnx_graph.h"
#include "common/raw_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 64
#define MAX_DEPTH 8
#define MAX_FILE_BYTES ((gint64)1 << 31) /* protobuf has no larger messages */
#define MIN_OPSET 7                      /* older operators mean something else by broadcasting */
#define MAX_SIDE 16384
#define MAX_SHOWN 64
/* a directory full of odd names is told of, but not of each */
#define MAX_REMARKS 100
/* characters of a file's path and of a whole remark, which holds a few names */
#define MAX_PATH_SHOWN 256
#define MAX_REMARK_SHOWN 1024
/* encoders look at a square of this side, and decoders answer in the same square or a part of its scale */
#define MASK_SIDE 1024

/* --- what tasks need --- */

/* Dimensions that are not one number; -n is "n, or symbolic". */
enum
{
  SIDE = -1000, /* any size, or symbolic */
  FIXED,        /* any size that stands in the file */
  COUNT,        /* any number, or symbolic */
};

/* One tensor as a task needs it. */
typedef struct _slot_t
{
  const char *name; /* NULL: any */
  int rank;
  int64_t dims[4];
  const char *text; /* the shape, for people */
} _slot_t;

/* The files of the tasks that turn one image into another. */
typedef struct _image_rule_t
{
  const char *task, *file;
  int factor; /* output pixels per input pixel and side */
  _slot_t input;
  gboolean sigma; /* may have a noise map */
} _image_rule_t;

static const _image_rule_t _image_rules[] = {
  { "denoise", "model.onnx", 1, { "input", 4, { -1, -3, SIDE, SIDE }, "[1, 3, H, W]" }, TRUE },
  { "upscale", "model_x2.onnx", 2, { "input", 4, { -1, -3, SIDE, SIDE }, "[1, 3, H, W]" }, FALSE },
  { "upscale", "model_x4.onnx", 4, { "input", 4, { -1, -3, SIDE, SIDE }, "[1, 3, H, W]" }, FALSE },
  { "rawdenoise", "model_bayer.onnx", 2, { "input", 4, { -1, -4, SIDE, SIDE }, "[1, 4, H, W]" }, FALSE },
  { "rawdenoise", "model_linear.onnx", 1, { "input", 4, { -1, -3, SIDE, SIDE }, "[1, 3, H, W]" }, FALSE },
};

static const _slot_t _noise_map = { "sigma", 4, { -1, -1, SIDE, SIDE }, "[1, 1, H, W]" };
static const _slot_t _image_output = { "output", 4, { -1, -3, SIDE, SIDE }, "[1, 3, H, W]" };

static const _slot_t _encoder_input = { NULL, 4, { 1, 3, MASK_SIDE, MASK_SIDE }, "[1, 3, 1024, 1024]" };

/* what a decoder may ask for beside what its encoder gives */
static const _slot_t _prompts[] = {
  { "point_coords", 3, { 1, COUNT, 2 }, "[1, num_points, 2]" },
  { "point_labels", 2, { 1, COUNT }, "[1, num_points]" },
  { "mask_input", 4, { 1, 1, FIXED, FIXED }, "[1, 1, H, W] with a fixed height and width" },
  { "has_mask_input", 1, { 1 }, "[1]" },
  { "prev_mask", 4, { 1, 1, FIXED, FIXED }, "[1, 1, H, W] with a fixed height and width" },
};

static const _slot_t _answers[] = {
  { "masks", 4, { -1, COUNT, FIXED, FIXED }, "[1, M, H, W] with a fixed height and width" },
  { "mask", 4, { -1, COUNT, FIXED, FIXED }, "[1, M, H, W] with a fixed height and width" },
  { "iou_predictions", 2, { -1, COUNT }, "[1, M]" },
  { "low_res_masks", 4, { -1, COUNT, FIXED, FIXED }, "[1, M, H, W] with a fixed height and width" },
};

/* networks that find their object without being asked */
static const _slot_t _lone_input = {
  NULL, 4, { 1, 3, FIXED, FIXED }, "[1, 3, H, W] with a fixed height and width"
};
static const _slot_t _lone_output = {
  NULL, 4, { -1, 1, FIXED, FIXED }, "[1, 1, H, W] with a fixed height and width"
};

/* --- types --- */

/* The bytes of a file and what was read from them. */
typedef struct _content_t
{
  char *bytes;
  size_t size;
  dt_onnx_graph_t *graph; /* borrows bytes */
} _content_t;

/* What is kept of a file: models of several files may be larger together than memory. */
typedef struct _file_t
{
  char *name; /* with the directories below the model's */
  dt_onnx_value_t *in, *out;
  int n_in, n_out;
  dt_onnx_locality_t locality;
  gboolean used; /* by the task */
} _file_t;

typedef struct _check_t
{
  const dt_manifest_t *manifest;
  GPtrArray *files;
  GPtrArray *remarks; /* may be NULL */
  GError **error;
} _check_t;

/* --- words --- */

static gboolean _refuse(const _check_t *c, const char *file, const char *format, ...) G_GNUC_PRINTF(3, 4);
static gboolean _refuse(const _check_t *c, const char *file, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args);
  va_end(args);
  char *shown = dt_manifest_printable(file, MAX_PATH_SHOWN);
  g_set_error(c->error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL, "%s%s%s: %s", c->manifest->directory,
              *file ? "/" : "", shown, why);
  g_free(shown);
  g_free(why);
  return FALSE;
}

static void _remark(const _check_t *c, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _remark(const _check_t *c, const char *format, ...)
{
  if(!c->remarks || c->remarks->len >= MAX_REMARKS) return;
  va_list args;
  va_start(args, format);
  char *text = g_strdup_vprintf(format, args);
  va_end(args);
  g_ptr_array_add(c->remarks, dt_manifest_printable(text, MAX_REMARK_SHOWN));
  g_free(text);
}

static void _append_type(GString *text, int type)
{
  static const char *const names[] = { "of unknown type", "float32", "uint8", "int8", "uint16",  "int16",
                                       "int32",           "int64",   "text",  "bool", "float16", "float64" };
  if(type >= 0 && type < (int)G_N_ELEMENTS(names))
    g_string_append(text, names[type]);
  else
    g_string_append_printf(text, "of type %d", type);
}

/* "\"point_coords\", float32 [1, num_points, 2]" */
static char *_describe(const dt_onnx_value_t *value)
{
  char *name = dt_manifest_printable(value->name, MAX_SHOWN);
  GString *text = g_string_new(NULL);
  g_string_append_printf(text, "\"%s\", ", name);
  _append_type(text, value->elem_type);
  g_string_append(text, value->rank < 0 ? " without a shape" : " [");
  for(int i = 0; i < value->rank; i++)
  {
    char *symbol = dt_manifest_printable(value->symbols[i] ? value->symbols[i] : "?", MAX_SHOWN);
    g_string_append(text, i ? ", " : "");
    if(value->dims[i] >= 0)
      g_string_append_printf(text, "%" G_GINT64_FORMAT, value->dims[i]);
    else
      g_string_append(text, symbol);
    g_free(symbol);
  }
  if(value->rank >= 0) g_string_append_c(text, ']');
  g_free(name);
  return g_string_free(text, FALSE);
}

/* "<side>: \"x\", float32 [1, 3], <verdict>" for a tensor that is not as it should be. */
static gboolean _refuse_value(const _check_t *c, const _file_t *f, const char *side,
                              const dt_onnx_value_t *value, const char *format, ...) G_GNUC_PRINTF(5, 6);
static gboolean _refuse_value(const _check_t *c, const _file_t *f, const char *side,
                              const dt_onnx_value_t *value, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  char *why = g_strdup_vprintf(format, args), *found = _describe(value);
  va_end(args);
  _refuse(c, f->name, "its %s is %s, %s", side, found, why);
  g_free(found);
  g_free(why);
  return FALSE;
}

/* --- files --- */

static void _free_values(dt_onnx_value_t *values, int n)
{
  for(int i = 0; i < n; i++)
  {
    g_free(values[i].name);
    for(size_t d = 0; d < G_N_ELEMENTS(values[i].symbols); d++) g_free(values[i].symbols[d]);
  }
  g_free(values);
}

static dt_onnx_value_t *_copy_values(const dt_onnx_value_t *values, int n)
{
  dt_onnx_value_t *copy = g_new0(dt_onnx_value_t, (gsize)n);
  for(int i = 0; i < n; i++)
  {
    copy[i] = values[i];
    copy[i].name = g_strdup(values[i].name);
    for(size_t d = 0; d < G_N_ELEMENTS(values[i].symbols); d++)
      copy[i].symbols[d] = g_strdup(values[i].symbols[d]);
  }
  return copy;
}

static void _free_file(gpointer data)
{
  _file_t *f = data;
  _free_values(f->in, f->n_in);
  _free_values(f->out, f->n_out);
  g_free(f->name);
  g_free(f);
}

static _file_t *_find_file(const _check_t *c, const char *name)
{
  for(guint i = 0; i < c->files->len; i++)
  {
    _file_t *f = c->files->pdata[i];
    if(strcmp(f->name, name) == 0) return f;
  }
  return NULL;
}

static int _compare_files(gconstpointer a, gconstpointer b)
{
  const _file_t *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

/* Whatever else goes by the name of a network: a loader elsewhere may look for its weights there. */
static gboolean _is_beside_onnx(const char *lower)
{
  const char *at = strstr(lower, ".onnx");
  return at && at[strlen(".onnx")] && !g_ascii_isalnum(at[strlen(".onnx")]);
}

/* Takes note of the file @p name, a path below the model's directory, when it is a network by its name. */
static void _note_file(const _check_t *c, const char *name)
{
  char *base = g_path_get_basename(name), *lower = g_ascii_strdown(base, -1);
  if(g_str_has_suffix(lower, ".onnx"))
  {
    _file_t *f = g_new0(_file_t, 1);
    f->name = g_strdup(name);
    g_ptr_array_add(c->files, f);
  }
  else if(_is_beside_onnx(lower))
    _remark(c, "%s is not read: the weights belong into the .onnx file itself.", name);
  g_free(lower);
  g_free(base);
}

/* A link to a directory is none. */
static gboolean _is_directory(const char *path)
{
  GStatBuf info;
  return g_lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* All there is in @p folder, a path below the model's directory, and below it. */
static gboolean _list_folder(const _check_t *c, const char *folder, int depth)
{
  char *path = g_build_filename(c->manifest->directory, folder, NULL);
  GDir *dir = g_dir_open(path, 0, NULL);
  gboolean ok =
      depth <= MAX_DEPTH
      || _refuse(c, folder, "it lies more than %d directories deep. Install the model again.", MAX_DEPTH);
  for(const char *entry; ok && dir && (entry = g_dir_read_name(dir));)
  {
    char *name = *folder ? g_build_filename(folder, entry, NULL) : g_strdup(entry);
    char *below = g_build_filename(path, entry, NULL);
    _note_file(c, name);
    if(_is_directory(below)) ok = _list_folder(c, name, depth + 1);
    g_free(below);
    g_free(name);
  }
  if(dir) g_dir_close(dir);
  g_free(path);
  return ok;
}

static gboolean _list_files(const _check_t *c)
{
  if(!_list_folder(c, "", 0)) return FALSE;
  g_ptr_array_sort(c->files, _compare_files);
  if(c->files->len == 0) return _refuse(c, "", "there is no .onnx file in it. Install the model again.");
  if(c->files->len > MAX_FILES)
    return _refuse(c, "", "it has %u .onnx files; a model has at most %d. Install the model again.",
                   c->files->len, MAX_FILES);
  return TRUE;
}

/* Where no loader looks for it: nothing that was not checked may lie there, nor what looks as if it had a use. */
static gboolean _check_place(const _check_t *c, const _file_t *f)
{
  if(!strchr(f->name, G_DIR_SEPARATOR) && g_str_has_suffix(f->name, ".onnx")) return TRUE;
  char *base = g_path_get_basename(f->name);
  char *stem = g_strndup(base, strlen(base) - strlen(".onnx"));
  char *shown = dt_manifest_printable(stem, MAX_SHOWN);
  _refuse(c, f->name, "no program would find it there. Put it beside config.json, and call it \"%s.onnx\".",
          shown);
  g_free(shown);
  g_free(stem);
  g_free(base);
  return FALSE;
}

static gboolean _refuse_changed(const _check_t *c, const _file_t *f)
{
  return _refuse(c, f->name, "it changed while it was read. Wait until it is written, and try again.");
}

/* All of @p fd, whose size and time were those of @p before. Read, not mapped: a file that is cut short while it
 * is mapped takes the program with it. */
static gboolean _read_bytes(const _check_t *c, const _file_t *f, int fd, const struct stat *before,
                            _content_t *content)
{
  struct stat after;
  size_t got = 0;
  const size_t room = (size_t)before->st_size + 1; /* one more, to see that there is no more */
  content->bytes = g_try_malloc(room);
  if(!content->bytes)
  {
    g_set_error(c->error, DT_AI_ERROR, DT_AI_ERROR_MEMORY,
                "There is no memory to check %s. Close other programs and try again.",
                c->manifest->directory);
    return FALSE;
  }
  for(ssize_t n = 1; n > 0 && got < room;)
  {
    n = read(fd, content->bytes + got, room - got);
    if(n > 0) got += (size_t)n;
    if(n < 0 && errno == EINTR) n = 1;
    if(n < 0)
      return _refuse(c, f->name, "it cannot be read: %s. Install the model again.", g_strerror(errno));
  }
  content->size = (size_t)before->st_size;
  const gboolean same = got == content->size && fstat(fd, &after) == 0 && after.st_size == before->st_size
                        && after.st_mtim.tv_sec == before->st_mtim.tv_sec
                        && after.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
  return same || _refuse_changed(c, f);
}

static gboolean _read_file(const _check_t *c, const _file_t *f, _content_t *content)
{
  char *path = g_build_filename(c->manifest->directory, f->name, NULL);
  struct stat info;
  /* a pipe would be waited for */
  const int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  gboolean ok = FALSE;
  if(fd < 0 && errno != ENOENT)
    _refuse(c, f->name, "it cannot be read: %s. Install the model again.", g_strerror(errno));
  else if(fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    _refuse(c, f->name, "it is not a plain file. Install the model again.");
  else if(info.st_size > MAX_FILE_BYTES)
    _refuse(c, f->name,
            "it has %" G_GINT64_FORMAT " bytes; at most 2 GiB are supported. Install another model.",
            (gint64)info.st_size);
  else
    ok = _read_bytes(c, f, fd, &info, content);
  if(fd >= 0) close(fd);
  g_free(path);
  return ok;
}

static gboolean _parse(const _check_t *c, const _file_t *f, _content_t *content)
{
  GError *cause = NULL;
  content->graph = dt_onnx_graph_parse(content->bytes, content->size, &cause);
  if(content->graph) return TRUE;
  _refuse(c, f->name, "%s", cause->message);
  g_error_free(cause);
  return FALSE;
}

static gboolean _check_domain(const _check_t *c, const _file_t *f, const dt_onnx_graph_t *graph)
{
  const char *domain = dt_onnx_graph_custom_domain(graph);
  if(!domain || strcmp(domain, "com.microsoft") == 0) return TRUE;
  char *shown = dt_manifest_printable(domain, MAX_SHOWN);
  _refuse(c, f->name,
          "it uses operators of \"%s\"; only the standard ones and those of \"com.microsoft\" are accepted. "
          "Export the model with standard operators.",
          shown);
  g_free(shown);
  return FALSE;
}

static gboolean _check_graph(const _check_t *c, const _file_t *f, const dt_onnx_graph_t *graph)
{
  if(dt_onnx_graph_has_external_data(graph))
    return _refuse(c, f->name,
                   "it keeps its weights in another file, which is not followed for safety. Export the model "
                   "as one file.");
  const int64_t opset = dt_onnx_graph_opset(graph);
  if(opset < MIN_OPSET)
    return _refuse(c, f->name,
                   "it is written for operator set %" G_GINT64_FORMAT
                   ", but %d or newer is needed. Export the model for a newer one.",
                   opset, MIN_OPSET);
  return _check_domain(c, f, graph);
}

static const _image_rule_t *_find_rule(const _check_t *c, const char *file)
{
  for(size_t i = 0; i < G_N_ELEMENTS(_image_rules); i++)
    if(strcmp(_image_rules[i].task, c->manifest->task) == 0 && strcmp(_image_rules[i].file, file) == 0)
      return &_image_rules[i];
  return NULL;
}

static void _keep_facts(const _check_t *c, _file_t *f, const dt_onnx_graph_t *graph)
{
  const dt_onnx_value_t *in = dt_onnx_graph_inputs(graph, &f->n_in);
  const dt_onnx_value_t *out = dt_onnx_graph_outputs(graph, &f->n_out);
  f->in = _copy_values(in, f->n_in);
  f->out = _copy_values(out, f->n_out);
  if(_find_rule(c, f->name)) f->locality = dt_onnx_graph_locality(graph);
}

static gboolean _check_file(const _check_t *c, _file_t *f)
{
  _content_t content = { 0 };
  const gboolean ok = _read_file(c, f, &content) && _parse(c, f, &content)
                      && _check_graph(c, f, content.graph) && _check_place(c, f);
  if(ok) _keep_facts(c, f, content.graph);
  dt_onnx_graph_destroy(content.graph);
  g_free(content.bytes);
  return ok;
}

/* --- tensors --- */

static gboolean _is_size(int64_t dim)
{
  return dim >= 1 && dim <= MAX_SIDE;
}

static gboolean _dim_fits(int64_t dim, int64_t wanted)
{
  switch(wanted)
  {
  case SIDE: return dim < 0 || _is_size(dim);
  case FIXED: return _is_size(dim);
  case COUNT: return dim != 0;
  default: return wanted > 0 ? dim == wanted : dim < 0 || dim == -wanted;
  }
}

static gboolean _is_float(const dt_onnx_value_t *value)
{
  return value->elem_type == 1 || value->elem_type == 10;
}

static gboolean _fits(const dt_onnx_value_t *value, const _slot_t *slot)
{
  if(!_is_float(value) || value->rank != slot->rank) return FALSE;
  for(int i = 0; i < slot->rank; i++)
    if(!_dim_fits(value->dims[i], slot->dims[i])) return FALSE;
  return TRUE;
}

static gboolean _check_value(const _check_t *c, const _file_t *f, const char *side,
                             const dt_onnx_value_t *value, const _slot_t *slot)
{
  if(slot->name && strcmp(value->name, slot->name) != 0)
    return _refuse_value(c, f, side, value, "but \"%s\" is needed. Export the model with this name.",
                         slot->name);
  return _fits(value, slot)
         || _refuse_value(c, f, side, value, "but float32 (or float16) %s is needed. Export the model again.",
                          slot->text);
}

static const dt_onnx_value_t *_find_value(const dt_onnx_value_t *values, int n, const char *name)
{
  for(int i = 0; i < n; i++)
    if(strcmp(values[i].name, name) == 0) return &values[i];
  return NULL;
}

static const _slot_t *_find_slot(const _slot_t *slots, size_t n, const char *name)
{
  for(size_t i = 0; i < n; i++)
    if(strcmp(slots[i].name, name) == 0) return &slots[i];
  return NULL;
}

/* --- image to image --- */

static char *_describe_factor(int factor)
{
  return factor == 1 ? g_strdup("the size of the input")
                     : g_strdup_printf("%d times the size of the input", factor);
}

/* The sizes of @p value are @p factor times those of @p base, as far as the file tells. */
static gboolean _check_scale(const _check_t *c, const _file_t *f, const char *side,
                             const dt_onnx_value_t *base, const dt_onnx_value_t *value, int factor)
{
  gboolean ok = TRUE;
  for(int i = 2; i < 4; i++)
    ok &= base->dims[i] < 0 || value->dims[i] < 0 || value->dims[i] == factor * base->dims[i];
  if(ok) return TRUE;
  char *needed = _describe_factor(factor), *input = _describe(base);
  _refuse_value(c, f, side, value, "but %s %s is needed. Export the model again.", needed, input);
  g_free(input);
  g_free(needed);
  return FALSE;
}

/* Where sizes are symbolic the operators may tell. */
static gboolean _check_locality(const _check_t *c, const _file_t *f, int factor)
{
  if(!f->locality.local || f->locality.scale == factor) return TRUE;
  char *found = _describe_factor(f->locality.scale), *needed = _describe_factor(factor);
  _refuse(c, f->name,
          "it answers with %s, but %s is needed. Export the model again, or give the file its "
          "right name.",
          found, needed);
  g_free(needed);
  g_free(found);
  return FALSE;
}

static gboolean _check_image_inputs(const _check_t *c, const _file_t *f, const _image_rule_t *rule)
{
  const int most = rule->sigma ? 2 : 1;
  if(f->n_in < 1 || f->n_in > most)
    return _refuse(c, f->name, "its number of inputs is %d, but %s needed. Export the model again.", f->n_in,
                   most == 2 ? "one (\"input\") or two (\"input\" and \"sigma\") are" : "one (\"input\") is");
  if(!_check_value(c, f, "input", &f->in[0], &rule->input)) return FALSE;
  if(f->n_in == 2
     && (!_check_value(c, f, "second input", &f->in[1], &_noise_map)
         || !_check_scale(c, f, "second input", &f->in[0], &f->in[1], 1)))
    return FALSE;
  return !rule->sigma || f->n_in == c->manifest->num_inputs
         || _refuse(c, f->name,
                    "its number of inputs is %d, but its config.json says %d. Correct \"num_inputs\" in "
                    "config.json.",
                    f->n_in, c->manifest->num_inputs);
}

/* A size in the manifest that the file contradicts: the file wins, and somebody should know. */
static void _remark_input_sizes(const _check_t *c, const _file_t *f)
{
  int sizes[16];
  char *key = g_strdup_printf("%.*s.input_sizes", (int)(strlen(f->name) - strlen(".onnx")), f->name);
  const int n = dt_manifest_attribute_ints(c->manifest, key, sizes, G_N_ELEMENTS(sizes));
  gboolean named = n == 0 || f->in[0].dims[2] < 0;
  for(int i = 0; i < n; i++) named |= sizes[i] == f->in[0].dims[2];
  if(!named)
    _remark(c,
            "%s takes %" G_GINT64_FORMAT
            " pixels, but \"input_sizes\" in config.json says %d; the file counts.",
            f->name, f->in[0].dims[2], sizes[0]);
  g_free(key);
}

/* The attributes that tell what a raw network is shown. */
static gboolean _check_raw_contract(const _check_t *c, const _file_t *f)
{
  dt_raw_contract_t contract;
  GError *cause = NULL;
  char *stem = g_strndup(f->name, strlen(f->name) - strlen(".onnx"));
  if(!dt_raw_contract_read(c->manifest, stem, &contract, &cause))
    _refuse(c, f->name, "%s. Correct config.json.", cause->message);
  const gboolean ok = !cause;
  g_clear_error(&cause);
  g_free(stem);
  return ok;
}

static gboolean _check_image(const _check_t *c, _file_t *f, const _image_rule_t *rule)
{
  if(strcmp(rule->task, "rawdenoise") == 0 && !_check_raw_contract(c, f)) return FALSE;
  f->used = TRUE;
  if(!_check_image_inputs(c, f, rule)) return FALSE;
  if(f->n_out != 1)
    return _refuse(c, f->name,
                   "its number of outputs is %d, but one (\"output\") is needed. Export the model again.",
                   f->n_out);
  if(!_check_value(c, f, "output", &f->out[0], &_image_output)
     || !_check_scale(c, f, "output", &f->in[0], &f->out[0], rule->factor)
     || !_check_locality(c, f, rule->factor))
    return FALSE;
  _remark_input_sizes(c, f);
  return TRUE;
}

/* @return whether the task is one of images; *ok then tells the outcome */
static gboolean _check_images(const _check_t *c, gboolean *ok)
{
  GString *names = g_string_new(NULL);
  gboolean found = FALSE;
  *ok = TRUE;
  for(size_t i = 0; *ok && i < G_N_ELEMENTS(_image_rules); i++)
  {
    const _image_rule_t *rule = &_image_rules[i];
    if(strcmp(rule->task, c->manifest->task) != 0) continue;
    _file_t *f = _find_file(c, rule->file);
    g_string_append_printf(names, "%s%s", names->len ? " or " : "", rule->file);
    found |= f != NULL;
    if(f) *ok = _check_image(c, f, rule);
  }
  const gboolean mine = names->len > 0;
  if(mine && !found)
    *ok = _refuse(c, "", "a model for %s needs %s, and there is none. Install the model again.",
                  c->manifest->task, names->str);
  g_string_free(names, TRUE);
  return mine;
}

/* --- masks --- */

static gboolean _is_symbolic(const dt_onnx_value_t *value)
{
  for(int i = 0; i < value->rank; i++)
    if(value->dims[i] < 0) return TRUE;
  return value->rank < 0;
}

static gboolean _check_encoder(const _check_t *c, const _file_t *f)
{
  if(f->n_in != 1)
    return _refuse(c, f->name, "its number of inputs is %d, but one image is needed. Export the model again.",
                   f->n_in);
  if(!_check_value(c, f, "input", &f->in[0], &_encoder_input)) return FALSE;
  for(int i = 0; i < f->n_out; i++)
  {
    if(!_is_float(&f->out[i]))
      return _refuse_value(c, f, "output", &f->out[i],
                           "but float32 or float16 is needed. Export the model again.");
    char *found = _is_symbolic(&f->out[i]) ? _describe(&f->out[i]) : NULL;
    if(found)
      _remark(c, "%s: the output %s has a size that the file does not tell; the decoder's is taken.", f->name,
              found);
    g_free(found);
  }
  return TRUE;
}

static gboolean _check_decoder_input(const _check_t *c, const _file_t *f, const dt_onnx_value_t *value)
{
  const _slot_t *slot = _find_slot(_prompts, G_N_ELEMENTS(_prompts), value->name);
  if(slot) return _check_value(c, f, "input", value, slot);
  if(strcmp(value->name, "orig_im_size") == 0)
    return _refuse_value(c, f, "input", value,
                         "which must not be there: masks are resized outside the model. Export the model "
                         "without it.");
  return (_is_float(value) && !_is_symbolic(value))
         || _refuse_value(c, f, "input", value,
                          "but float32 (or float16) of a fixed size is needed; only num_points may be "
                          "symbolic. Export the model again.");
}

static gboolean _check_decoder_inputs(const _check_t *c, const _file_t *f)
{
  for(int i = 0; i < f->n_in; i++)
    if(!_check_decoder_input(c, f, &f->in[i])) return FALSE;
  return TRUE;
}

static gboolean _check_points(const _check_t *c, const _file_t *f)
{
  const dt_onnx_value_t *points = _find_value(f->in, f->n_in, "point_coords");
  const dt_onnx_value_t *labels = _find_value(f->in, f->n_in, "point_labels");
  if(!points || !labels)
    return _refuse(c, f->name, "it has no input \"%s\". Export the model with one.",
                   points ? "point_labels" : "point_coords");
  const char *symbol = points->symbols[1] ? points->symbols[1] : "?";
  const char *twin = labels->symbols[1] ? labels->symbols[1] : "?";
  if(points->dims[1] != labels->dims[1] || strcmp(symbol, twin) != 0)
    return _refuse_value(
        c, f, "input", labels,
        "but as many labels as points are needed, under the same symbol (num_points). Export "
        "the model again.");
  if(points->dims[1] > 0)
    _remark(c, "%s takes exactly %" G_GINT64_FORMAT " points; more clicks than that cannot be used.", f->name,
            points->dims[1]);
  else if(strcmp(symbol, "num_points") != 0)
  {
    char *shown = dt_manifest_printable(symbol, MAX_SHOWN);
    _remark(c, "%s calls the number of points \"%s\" instead of \"num_points\".", f->name, shown);
    g_free(shown);
  }
  return TRUE;
}

/* Whether what the encoder gives can be what the decoder takes. */
static gboolean _is_compatible(const dt_onnx_value_t *given, const dt_onnx_value_t *taken)
{
  if(given->rank != taken->rank) return given->rank < 0;
  for(int i = 0; i < taken->rank; i++)
    if(given->dims[i] >= 0 && given->dims[i] != taken->dims[i]) return FALSE;
  return TRUE;
}

static gboolean _is_feature(const dt_onnx_value_t *value)
{
  return !_find_slot(_prompts, G_N_ELEMENTS(_prompts), value->name);
}

/* What goes by its name. */
static gboolean _match_names(const _check_t *c, const _file_t *encoder, const _file_t *decoder,
                             gboolean *given)
{
  for(int i = 0; i < decoder->n_in; i++)
  {
    const dt_onnx_value_t *twin = _find_value(encoder->out, encoder->n_out, decoder->in[i].name);
    if(!_is_feature(&decoder->in[i]) || !twin) continue;
    given[twin - encoder->out] = TRUE;
    if(_is_compatible(twin, &decoder->in[i])) continue;
    char *found = _describe(twin);
    _refuse_value(c, decoder, "input", &decoder->in[i],
                  "but encoder.onnx gives %s. Export both files from the same model.", found);
    g_free(found);
    return FALSE;
  }
  return TRUE;
}

/* What is left goes by shape, in order. */
static gboolean _match_shapes(const _check_t *c, const _file_t *encoder, const _file_t *decoder,
                              gboolean *given)
{
  for(int i = 0; i < decoder->n_in; i++)
  {
    if(!_is_feature(&decoder->in[i]) || _find_value(encoder->out, encoder->n_out, decoder->in[i].name))
      continue;
    int at = 0;
    while(at < encoder->n_out && (given[at] || !_is_compatible(&encoder->out[at], &decoder->in[i]))) at++;
    if(at == encoder->n_out)
      return _refuse_value(c, decoder, "input", &decoder->in[i],
                           "but encoder.onnx gives nothing of this name or shape. Export both files from the "
                           "same model.");
    given[at] = TRUE;
  }
  return TRUE;
}

static gboolean _match_features(const _check_t *c, const _file_t *encoder, const _file_t *decoder)
{
  gboolean *given = g_new0(gboolean, (gsize)encoder->n_out);
  gboolean any = FALSE;
  const gboolean ok = _match_names(c, encoder, decoder, given) && _match_shapes(c, encoder, decoder, given);
  for(int i = 0; i < encoder->n_out; i++) any |= given[i];
  for(int i = 0; ok && any && i < encoder->n_out; i++)
  {
    char *unused = given[i] ? NULL : _describe(&encoder->out[i]);
    if(unused) _remark(c, "%s: the output %s is not used by decoder.onnx.", encoder->name, unused);
    g_free(unused);
  }
  g_free(given);
  return ok
         && (any
             || _refuse(
                 c, decoder->name,
                 "it takes nothing of what encoder.onnx gives. Export both files from the same model."));
}

/* Published decoders leave the number of masks open, which is remarked upon elsewhere; they need not leave open
 * how many pictures there are, nor how many scores. */
static void _remark_open_answer(const _check_t *c, const _file_t *f, const dt_onnx_value_t *value)
{
  const gboolean is_masks = strcmp(value->name, "masks") == 0 || strcmp(value->name, "mask") == 0;
  if(value->dims[0] >= 0 && (is_masks || value->dims[1] >= 0)) return;
  char *found = _describe(value);
  _remark(c, "%s: the output %s has a size that the file does not tell, but should.", f->name, found);
  g_free(found);
}

static gboolean _check_answers(const _check_t *c, const _file_t *f)
{
  for(int i = 0; i < f->n_out; i++)
  {
    const _slot_t *slot = _find_slot(_answers, G_N_ELEMENTS(_answers), f->out[i].name);
    if(slot && !_check_value(c, f, "output", &f->out[i], slot)) return FALSE;
    if(slot) _remark_open_answer(c, f, &f->out[i]);
  }
  return TRUE;
}

static const dt_onnx_value_t *_find_masks(const _file_t *f)
{
  const dt_onnx_value_t *masks = _find_value(f->out, f->n_out, "masks");
  return masks ? masks : _find_value(f->out, f->n_out, "mask");
}

static gboolean _check_masks(const _check_t *c, const _file_t *f)
{
  const dt_onnx_value_t *masks = _find_masks(f);
  if(!masks)
    return _refuse(c, f->name, "it has no output \"masks\" (or \"mask\"). Export the model with one.");
  const int64_t n = masks->dims[1], side = masks->dims[2];
  if(n >= 0 && n != 1 && n != 3 && n != 4)
    return _refuse_value(c, f, "output", masks,
                         "but one, three or four masks are needed. Export the model again.");
  if(side != masks->dims[3] || side > MASK_SIDE || MASK_SIDE % side != 0)
    return _refuse_value(c, f, "output", masks,
                         "but masks of 1024×1024 (or 256×256) are needed. Export the model again.");
  if(n < 0) _remark(c, "%s does not tell how many masks it gives.", f->name);
  return n == 1 || _find_value(f->out, f->n_out, "iou_predictions")
         || _refuse(
             c, f->name,
             "it gives several masks but no \"iou_predictions\" to choose by. Export the model with them.");
}

/* As many scores and small masks as there are masks. */
static gboolean _check_counts(const _check_t *c, const _file_t *f)
{
  static const char *const names[] = { "iou_predictions", "low_res_masks" };
  const dt_onnx_value_t *masks = _find_masks(f);
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    const dt_onnx_value_t *value = _find_value(f->out, f->n_out, names[i]);
    if(value && value->dims[1] >= 0 && masks->dims[1] >= 0 && value->dims[1] != masks->dims[1])
      return _refuse_value(c, f, "output", value,
                           "but the number of masks is %" G_GINT64_FORMAT ". Export the model again.",
                           masks->dims[1]);
  }
  return TRUE;
}

static gboolean _is_of_size(const dt_onnx_value_t *value, const dt_onnx_value_t *size)
{
  return value && value->dims[2] == size->dims[2] && value->dims[3] == size->dims[3];
}

/* Some output must be what the next click is given as the mask so far. */
static gboolean _check_feedback(const _check_t *c, const _file_t *f)
{
  const dt_onnx_value_t *mask = _find_value(f->in, f->n_in, "mask_input");
  const dt_onnx_value_t *flag = _find_value(f->in, f->n_in, "has_mask_input");
  if(!mask != !flag)
    return _refuse(c, f->name,
                   "of the inputs \"mask_input\" and \"has_mask_input\" it has only one. Export the model "
                   "again.");
  if(!mask) mask = _find_value(f->in, f->n_in, "prev_mask");
  if(!mask) _remark(c, "%s takes no mask; a further click starts anew.", f->name);
  return !mask || _is_of_size(_find_masks(f), mask)
         || _is_of_size(_find_value(f->out, f->n_out, "low_res_masks"), mask)
         || _refuse_value(
             c, f, "input", mask,
             "but no output (\"low_res_masks\", \"masks\") has its size. Export the model again.");
}

static gboolean _check_pair(const _check_t *c, _file_t *encoder, _file_t *decoder)
{
  encoder->used = decoder->used = TRUE;
  return _check_encoder(c, encoder) && _check_decoder_inputs(c, decoder) && _check_points(c, decoder)
         && _match_features(c, encoder, decoder) && _check_answers(c, decoder) && _check_masks(c, decoder)
         && _check_counts(c, decoder) && _check_feedback(c, decoder);
}

static gboolean _check_lone(const _check_t *c, _file_t *f)
{
  f->used = TRUE;
  if(f->n_in != 1)
    return _refuse(c, f->name, "its number of inputs is %d, but one image is needed. Export the model again.",
                   f->n_in);
  if(!_check_value(c, f, "input", &f->in[0], &_lone_input)
     || !_check_value(c, f, "output", &f->out[0], &_lone_output))
    return FALSE;
  _remark_open_answer(c, f, &f->out[0]);
  return TRUE;
}

static gboolean _check_mask(const _check_t *c)
{
  _file_t *encoder = _find_file(c, "encoder.onnx"), *decoder = _find_file(c, "decoder.onnx");
  _file_t *lone = _find_file(c, "model.onnx");
  if(encoder && decoder) return _check_pair(c, encoder, decoder);
  if(encoder || decoder)
    return _refuse(c, "", "%s belongs to %s, but is not there. Install the model again.",
                   encoder ? "decoder.onnx" : "encoder.onnx", encoder ? "encoder.onnx" : "decoder.onnx");
  if(lone) return _check_lone(c, lone);
  return _refuse(
      c, "",
      "a model for mask needs encoder.onnx and decoder.onnx (or model.onnx, without clicks), which "
      "are not there. Install the model again.");
}

/* --- all of it --- */

static gboolean _check_task(const _check_t *c)
{
  gboolean ok;
  if(!_check_images(c, &ok))
  {
    if(strcmp(c->manifest->task, "mask") != 0) return TRUE;
    ok = _check_mask(c);
  }
  for(guint i = 0; ok && i < c->files->len; i++)
  {
    const _file_t *f = c->files->pdata[i];
    if(!f->used) _remark(c, "%s is not used by models for %s.", f->name, c->manifest->task);
  }
  return ok;
}

gboolean dt_model_check(const dt_manifest_t *manifest, GPtrArray *remarks, GError **error)
{
  const _check_t c = { .manifest = manifest,
                       .files = g_ptr_array_new_with_free_func(_free_file),
                       .remarks = remarks,
                       .error = error };
  gboolean ok = _list_files(&c);
  for(guint i = 0; ok && i < c.files->len; i++) ok = _check_file(&c, c.files->pdata[i]);
  ok = ok && _check_task(&c);
  g_ptr_array_unref(c.files);
  return ok;
}
