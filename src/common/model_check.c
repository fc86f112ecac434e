/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks the .onnx files of a model against its manifest and its task, from their structure alone. What
 * a task needs stands in tables of tensors; the rules that tensors have with each other (sizes that must
 * agree, an encoder that must fit its decoder) follow below them. */
#include "common/model_check.h"
#include "common/onnx_graph.h"

#include <glib/gstdio.h>
#include <string.h>

#define MAX_FILES 64
#define MAX_FILE_BYTES ((gint64)1 << 31) /* protobuf has no larger messages */
#define MIN_OPSET 7                      /* older operators mean something else by broadcasting */
#define MAX_SIDE 16384
#define MAX_SHOWN 64
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

typedef struct _file_t
{
  char *name;
  GMappedFile *map;
  dt_onnx_graph_t *graph;
  const dt_onnx_value_t *in, *out; /* owned by graph */
  int n_in, n_out;
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
  char *path =
      *file ? g_build_filename(c->manifest->directory, file, NULL) : g_strdup(c->manifest->directory);
  g_set_error(c->error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL, "%s: %s", path, why);
  g_free(path);
  g_free(why);
  return FALSE;
}

static void _remark(const _check_t *c, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void _remark(const _check_t *c, const char *format, ...)
{
  if(!c->remarks) return;
  va_list args;
  va_start(args, format);
  g_ptr_array_add(c->remarks, g_strdup_vprintf(format, args));
  va_end(args);
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

static void _free_file(gpointer data)
{
  _file_t *f = data;
  dt_onnx_graph_destroy(f->graph);
  if(f->map) g_mapped_file_unref(f->map);
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

static gboolean _list_files(const _check_t *c)
{
  GDir *dir = g_dir_open(c->manifest->directory, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    if(!g_str_has_suffix(name, ".onnx")) continue;
    _file_t *f = g_new0(_file_t, 1);
    f->name = g_strdup(name);
    g_ptr_array_add(c->files, f);
  }
  if(dir) g_dir_close(dir);
  g_ptr_array_sort(c->files, _compare_files);
  if(c->files->len == 0) return _refuse(c, "", "there is no .onnx file in it. Install the model again.");
  if(c->files->len > MAX_FILES)
    return _refuse(c, "", "it has %u .onnx files; a model has at most %d. Install the model again.",
                   c->files->len, MAX_FILES);
  return TRUE;
}

/* Mapped, not read: of weights that fill gigabytes only the lengths are looked at. */
static gboolean _map_file(const _check_t *c, _file_t *f)
{
  char *path = g_build_filename(c->manifest->directory, f->name, NULL);
  GStatBuf info;
  GError *cause = NULL;
  gboolean ok = FALSE;
  if(g_stat(path, &info) != 0 || !S_ISREG(info.st_mode))
    _refuse(c, f->name, "it is not a plain file. Install the model again.");
  else if(info.st_size > MAX_FILE_BYTES)
    _refuse(c, f->name,
            "it has %" G_GINT64_FORMAT " bytes; at most 2 GiB are supported. Install another model.",
            (gint64)info.st_size);
  else if(!(f->map = g_mapped_file_new(path, FALSE, &cause)))
    _refuse(c, f->name, "it cannot be read: %s. Install the model again.", cause->message);
  else
    ok = TRUE;
  g_clear_error(&cause);
  g_free(path);
  return ok;
}

static gboolean _parse_file(const _check_t *c, _file_t *f)
{
  GError *cause = NULL;
  f->graph =
      dt_onnx_graph_parse(g_mapped_file_get_contents(f->map), g_mapped_file_get_length(f->map), &cause);
  if(!f->graph)
  {
    _refuse(c, f->name, "%s", cause->message);
    g_error_free(cause);
    return FALSE;
  }
  f->in = dt_onnx_graph_inputs(f->graph, &f->n_in);
  f->out = dt_onnx_graph_outputs(f->graph, &f->n_out);
  return TRUE;
}

static gboolean _check_domain(const _check_t *c, const _file_t *f)
{
  const char *domain = dt_onnx_graph_custom_domain(f->graph);
  if(!domain || strcmp(domain, "com.microsoft") == 0) return TRUE;
  char *shown = dt_manifest_printable(domain, MAX_SHOWN);
  _refuse(c, f->name,
          "it uses operators of \"%s\"; only the standard ones and those of \"com.microsoft\" are accepted. "
          "Export the model with standard operators.",
          shown);
  g_free(shown);
  return FALSE;
}

static gboolean _check_file(const _check_t *c, _file_t *f)
{
  if(!_map_file(c, f) || !_parse_file(c, f)) return FALSE;
  if(dt_onnx_graph_has_external_data(f->graph))
    return _refuse(c, f->name,
                   "it keeps its weights in another file, which is not followed for safety. Export the model "
                   "as one file.");
  const int64_t opset = dt_onnx_graph_opset(f->graph);
  if(opset < MIN_OPSET)
    return _refuse(c, f->name,
                   "it is written for operator set %" G_GINT64_FORMAT
                   ", but %d or newer is needed. Export the model for a newer one.",
                   opset, MIN_OPSET);
  return _check_domain(c, f);
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
  const dt_onnx_locality_t locality = dt_onnx_graph_locality(f->graph);
  if(!locality.local || locality.scale == factor) return TRUE;
  char *found = _describe_factor(locality.scale), *needed = _describe_factor(factor);
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

static gboolean _check_image(const _check_t *c, _file_t *f, const _image_rule_t *rule)
{
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

static gboolean _check_answers(const _check_t *c, const _file_t *f)
{
  for(int i = 0; i < f->n_out; i++)
  {
    const _slot_t *slot = _find_slot(_answers, G_N_ELEMENTS(_answers), f->out[i].name);
    if(slot && !_check_value(c, f, "output", &f->out[i], slot)) return FALSE;
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
  return _check_value(c, f, "input", &f->in[0], &_lone_input)
         && _check_value(c, f, "output", &f->out[0], &_lone_output);
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
