/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The check of a model's files: every published form passes, and for every rule there is a model that breaks
 * this rule alone. Such models are written here, from lines of text: "decoder in point_labels f 1,num_points"
 * is an input of decoder.onnx. */
#include "support.h"

#include "common/model_check.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- a small writer of .onnx files --- */

static void _put_varint(GByteArray *message, guint64 value)
{
  do
  {
    const guint8 byte = (guint8)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    g_byte_array_append(message, &byte, 1);
    value >>= 7;
  } while(value);
}

static void _put_number(GByteArray *message, guint field, guint64 value)
{
  _put_varint(message, (guint64)field << 3);
  _put_varint(message, value);
}

static void _put_bytes(GByteArray *message, guint field, const void *data, size_t size)
{
  _put_varint(message, (guint64)field << 3 | 2);
  _put_varint(message, size);
  g_byte_array_append(message, data, (guint)size);
}

static void _put_text(GByteArray *message, guint field, const char *text)
{
  _put_bytes(message, field, text, strlen(text));
}

static void _put(GByteArray *message, guint field, GByteArray *part)
{
  _put_bytes(message, field, part->data, part->len);
  g_byte_array_unref(part);
}

static guint64 _element_type(char letter)
{
  switch(letter)
  {
  case 'f': return 1;
  case 'h': return 10;
  case 'd': return 11;
  case 'i': return 7;
  default: return 99;
  }
}

/* A ValueInfoProto; numbers are sizes, all else is a symbol. */
static GByteArray *_tensor(const char *name, const char *type, const char *shape)
{
  GByteArray *dims = g_byte_array_new(), *tensor = g_byte_array_new(), *kind = g_byte_array_new();
  GByteArray *value = g_byte_array_new();
  char **words = g_strsplit(shape, ",", -1);
  for(char **w = words; *w; w++)
  {
    GByteArray *dim = g_byte_array_new();
    if(g_ascii_isdigit(**w))
      _put_number(dim, 1, g_ascii_strtoull(*w, NULL, 10));
    else
      _put_text(dim, 2, *w);
    _put(dims, 1, dim);
  }
  g_strfreev(words);
  _put_number(tensor, 1, _element_type(*type));
  _put(tensor, 2, dims);
  _put(kind, 1, tensor);
  _put_text(value, 1, name);
  _put(value, 2, kind);
  return value;
}

/* How the files of a test differ from plain ones. */
typedef struct _options_t
{
  const char *extra; /* in front of the manifest's closing brace */
  const char *domain;
  guint64 opset;
  gboolean external;
} _options_t;

static GByteArray *_external_tensor(void)
{
  GByteArray *tensor = g_byte_array_new(), *entry = g_byte_array_new();
  _put_number(tensor, 1, 1);
  _put_number(tensor, 2, 1);
  _put_text(tensor, 8, "weight");
  _put_text(entry, 1, "location");
  _put_text(entry, 2, "../../etc/passwd");
  _put(tensor, 13, entry);
  _put_number(tensor, 14, 1);
  return tensor;
}

/* The lines that start with @p file; an operator that says nothing about sizes. */
static GByteArray *_onnx(GPtrArray *lines, const char *file, const _options_t *options)
{
  GByteArray *model = g_byte_array_new(), *graph = g_byte_array_new(), *node = g_byte_array_new();
  GByteArray *opset = g_byte_array_new();
  _put_text(node, 4, "Einsum");
  if(options->domain) _put_text(node, 7, options->domain);
  _put(graph, 1, node);
  if(options->external) _put(graph, 5, _external_tensor());
  for(guint i = 0; i < lines->len; i++)
  {
    char **words = g_strsplit(lines->pdata[i], " ", -1);
    if(strcmp(words[0], file) == 0)
      _put(graph, strcmp(words[1], "in") == 0 ? 11 : 12, _tensor(words[2], words[3], words[4]));
    g_strfreev(words);
  }
  _put_number(model, 1, 8);
  _put_number(opset, 2, options->opset ? options->opset : 17);
  _put(model, 8, opset);
  _put(model, 7, graph);
  return model;
}

/* --- models out of lines --- */

static const char *const _denoise[] = { "model in input f 1,3,height,width",
                                        "model out output f 1,3,height,width", NULL };
static const char *const _sigma[] = { "model in input f 1,3,height,width",
                                      "model in sigma f 1,1,height,width",
                                      "model out output f 1,3,height,width", NULL };
static const char *const _upscale[] = { "model_x2 in input f 1,3,512,512",
                                        "model_x2 out output f 1,3,1024,1024",
                                        "model_x4 in input f 1,3,256,256",
                                        "model_x4 out output f 1,3,1024,1024", NULL };
static const char *const _raw[] = { "model_bayer in input f 1,4,512,512",
                                    "model_bayer out output f 1,3,1024,1024",
                                    "model_linear in input f 1,3,512,512",
                                    "model_linear out output f 1,3,512,512", NULL };
static const char *const _sam[] = { "encoder in image f 1,3,1024,1024",
                                    "encoder out high_res_feats_0 f 1,32,a,b",
                                    "encoder out high_res_feats_1 f 1,64,c,d",
                                    "encoder out image_embed f 1,256,64,64",
                                    "decoder in image_embed f 1,256,64,64",
                                    "decoder in high_res_feats_0 f 1,32,256,256",
                                    "decoder in high_res_feats_1 f 1,64,128,128",
                                    "decoder in point_coords f 1,num_points,2",
                                    "decoder in point_labels f 1,num_points",
                                    "decoder in mask_input f 1,1,256,256",
                                    "decoder in has_mask_input f 1",
                                    "decoder out masks f 1,m,256,256",
                                    "decoder out iou_predictions f 1,3",
                                    NULL };
static const char *const _hq[] = { "encoder in image f 1,3,1024,1024",
                                   "encoder out embeddings f 1,256,64,64",
                                   "encoder out interm f 1,32,256,256",
                                   "decoder in image_embeddings f 1,256,64,64",
                                   "decoder in hq_features f 1,32,256,256",
                                   "decoder in point_coords f 1,num_points,2",
                                   "decoder in point_labels f 1,num_points",
                                   "decoder in mask_input f 1,1,256,256",
                                   "decoder in has_mask_input f 1",
                                   "decoder out masks f 1,1,1024,1024",
                                   "decoder out iou_predictions f 1,1",
                                   "decoder out low_res_masks f 1,1,256,256",
                                   NULL };
static const char *const _segnext[] = {
  "encoder in image f 1,3,1024,1024",       "encoder out image_feats f 1,768,64,64",
  "decoder in image_feats f 1,768,64,64",   "decoder in point_coords f 1,num_points,2",
  "decoder in point_labels f 1,num_points", "decoder in prev_mask f 1,1,1024,1024",
  "decoder out mask f 1,1,1024,1024",       NULL
};
static const char *const _lone[] = { "model in input_image h 1,3,1024,1024",
                                     "model out output_image h 1,1,1024,1024", NULL };

/* Two lines are about the same tensor when file, side and name are the same. */
static gboolean _is_same(const char *a, const char *b)
{
  char **x = g_strsplit(a, " ", 4), **y = g_strsplit(b, " ", 4);
  const gboolean same = strcmp(x[0], y[0]) == 0 && strcmp(x[1], y[1]) == 0 && strcmp(x[2], y[2]) == 0;
  g_strfreev(x);
  g_strfreev(y);
  return same;
}

/* Replaces the line about the same tensor, or adds one; "-decoder in x" takes one away. */
static void _change(GPtrArray *lines, const char *change)
{
  const char *line = *change == '-' ? change + 1 : change;
  for(guint i = 0; i < lines->len; i++)
    if(_is_same(lines->pdata[i], line))
    {
      g_free(lines->pdata[i]);
      lines->pdata[i] = g_strdup(line);
      if(*change == '-') g_ptr_array_remove_index(lines, i);
      return;
    }
  if(*change == '-') fail_msg("there is no %s", line);
  g_ptr_array_add(lines, g_strdup(line));
}

static GPtrArray *_change_all(const char *const *base, const char *changes)
{
  GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
  for(; *base; base++) g_ptr_array_add(lines, g_strdup(*base));
  char **list = g_strsplit(changes, "; ", -1);
  for(char **c = list; *c; c++)
    if(**c) _change(lines, *c);
  g_strfreev(list);
  return lines;
}

static void _clear(const char *folder)
{
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    char *path = g_build_filename(folder, name, NULL);
    if(g_unlink(path) != 0) g_rmdir(path);
    g_free(path);
  }
  if(dir) g_dir_close(dir);
}

static void _write_files(const char *folder, GPtrArray *lines, const _options_t *options)
{
  for(guint i = 0; i < lines->len; i++)
  {
    const char *line = lines->pdata[i];
    char *stem = g_strndup(line, strcspn(line, " "));
    char *path = g_strdup_printf("%s/%s.onnx", folder, stem);
    GByteArray *bytes = _onnx(lines, stem, options);
    assert_true(g_file_set_contents(path, (const char *)bytes->data, bytes->len, NULL));
    g_byte_array_unref(bytes);
    g_free(path);
    g_free(stem);
  }
}

static dt_manifest_t *_write(const char *task, const char *const *base, const char *changes,
                             const _options_t *options)
{
  char *folder = g_build_filename(test_world, "model", NULL),
       *config = g_build_filename(folder, "config.json", NULL);
  g_mkdir(folder, 0700);
  _clear(folder);
  GPtrArray *lines = _change_all(base, changes);
  _write_files(folder, lines, options);
  g_ptr_array_unref(lines);
  char *json = g_strdup_printf("{\"id\": \"model\", \"name\": \"X\", \"task\": \"%s\"%s}", task,
                               options->extra ? options->extra : "");
  assert_true(g_file_set_contents(config, json, -1, NULL));
  GError *error = NULL;
  dt_manifest_t *m = dt_manifest_read(folder, &error);
  assert_no_error(error);
  g_free(json);
  g_free(config);
  g_free(folder);
  return m;
}

/* --- asserting --- */

/* @p text holds each of the words, which are separated by bars. */
static void _assert_words(const char *what, const char *text, const char *words)
{
  char **list = g_strsplit(words, "|", -1);
  for(char **w = list; *w; w++)
    if(!strstr(text, *w)) fail_msg("%s: \"%s\" lacks \"%s\"", what, text, *w);
  g_strfreev(list);
}

static void _assert_refused(const dt_manifest_t *m, const char *what, const char *words)
{
  GError *error = NULL;
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  if(dt_model_check(m, remarks, &error)) fail_msg("%s: accepted", what);
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL));
  assert_true(g_utf8_validate(error->message, -1, NULL));
  assert_true(g_str_has_prefix(error->message, m->directory));
  assert_true(g_str_has_suffix(error->message, "."));
  if(strstr(error->message + strlen(m->directory), ".. "))
    fail_msg("two sentences in one: %s", error->message);
  if(g_getenv("DT_TEST_VERBOSE")) print_message("%s\n", error->message);
  _assert_words(what, error->message, words);
  g_error_free(error);
  g_ptr_array_unref(remarks);
  assert_false(dt_model_check(m, NULL, NULL));
}

/* @p remarks are those expected, in order, separated by bars; NULL for none. */
static void _assert_accepted(const dt_manifest_t *m, const char *what, const char *expected)
{
  GError *error = NULL;
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  if(!dt_model_check(m, remarks, &error)) fail_msg("%s: %s", what, error->message);
  char **list = g_strsplit(expected ? expected : "", "|", -1);
  const guint n = g_strv_length(list);
  for(guint i = 0; i < n && i < remarks->len; i++) _assert_words(what, remarks->pdata[i], list[i]);
  if(remarks->len != n)
    fail_msg("%s: %u remarks instead of %u: %s", what, remarks->len, n,
             remarks->len ? (const char *)remarks->pdata[remarks->len - 1] : "");
  g_strfreev(list);
  g_ptr_array_unref(remarks);
}

static void _refused_with(const char *task, const char *const *base, const char *changes,
                          const _options_t *options, const char *words)
{
  dt_manifest_t *m = _write(task, base, changes, options);
  _assert_refused(m, changes, words);
  dt_manifest_unref(m);
}

static void _refused(const char *task, const char *const *base, const char *changes, const char *words)
{
  _refused_with(task, base, changes, &(_options_t){ 0 }, words);
}

static void _accepted_with(const char *task, const char *const *base, const char *changes,
                           const _options_t *options, const char *remarks)
{
  dt_manifest_t *m = _write(task, base, changes, options);
  _assert_accepted(m, changes, remarks);
  dt_manifest_unref(m);
}

static void _accepted(const char *task, const char *const *base, const char *changes, const char *remarks)
{
  _accepted_with(task, base, changes, &(_options_t){ 0 }, remarks);
}

/* --- every task --- */

static void test_general_rules(void **state)
{
  (void)state;
  static const char *const tasks[] = { "denoise", "general", "person" };
  for(size_t i = 0; i < G_N_ELEMENTS(tasks); i++)
  {
    const char *task = tasks[i];
    _accepted(task, _denoise, "", NULL);
    _accepted_with(task, _denoise, "", &(_options_t){ .domain = "ai.onnx" }, NULL);
    _accepted_with(task, _denoise, "", &(_options_t){ .domain = "com.microsoft" }, NULL);
    _accepted_with(task, _denoise, "", &(_options_t){ .opset = 7 }, NULL);
    _refused_with(task, _denoise, "", &(_options_t){ .domain = "com.example" },
                  "/model.onnx: |operators of \"com.example\"|\"com.microsoft\" are accepted|Export");
    _refused_with(task, _denoise, "", &(_options_t){ .domain = "a\x1b[31m" }, "operators of \"a?[31m\"");
    _refused_with(task, _denoise, "", &(_options_t){ .opset = 6 },
                  "/model.onnx: |operator set 6|7 or newer is needed|Export");
    _refused_with(task, _denoise, "", &(_options_t){ .external = TRUE },
                  "/model.onnx: |weights in another file|Export the model as one file");
  }
  /* all other tasks may have any inputs */
  _accepted("inpaint", _sam, "", NULL);
  _accepted_with("general", _sigma, "", &(_options_t){ .extra = ", \"num_inputs\": 5" }, NULL);
}

static void test_files(void **state)
{
  (void)state;
  dt_manifest_t *m = _write("general", _denoise, "-model in input; -model out output", &(_options_t){ 0 });
  char *path = g_build_filename(m->directory, "model.onnx", NULL);
  _assert_refused(m, "no file", "there is no .onnx file|Install the model again");
  assert_true(g_file_set_contents(path, "This is not a model.\n", -1, NULL));
  _assert_refused(m, "text", "/model.onnx: |not a usable ONNX model|Download or export it again");
  assert_true(g_file_set_contents(path, "", 0, NULL));
  _assert_refused(m, "empty", "/model.onnx: |not a usable ONNX model");
  assert_int_equal(truncate(path, ((off_t)2 << 30) + 1), 0);
  _assert_refused(m, "huge", "/model.onnx: |2147483649 bytes|at most 2 GiB|Install another");
  g_unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  _assert_refused(m, "pipe", "/model.onnx: |not a plain file");
  g_unlink(path);
  assert_int_equal(g_mkdir(path, 0700), 0);
  _assert_refused(m, "directory", "/model.onnx: |not a plain file");
  g_rmdir(path);
  assert_int_equal(symlink("nowhere", path), 0);
  _assert_refused(m, "dangling link", "/model.onnx: |not a plain file");
  g_free(path);
  dt_manifest_unref(m);
}

/* Moves model.onnx to @p name below the model's directory and back. */
static void _assert_misplaced(const char *name, const char *words)
{
  dt_manifest_t *m = _write("general", _denoise, "", &(_options_t){ 0 });
  char *path = g_build_filename(m->directory, name, NULL), *folder = g_path_get_dirname(path);
  char *right = g_build_filename(m->directory, "model.onnx", NULL);
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  assert_int_equal(g_rename(right, path), 0);
  _assert_refused(m, name, words);
  /* nor beside one that is right */
  char *bytes;
  gsize size;
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  assert_true(g_file_set_contents(right, bytes, (gssize)size, NULL));
  _assert_refused(m, name, words);
  /* and it is looked into all the same */
  assert_true(g_file_set_contents(path, "This is not a model.\n", -1, NULL));
  _assert_refused(m, name, "not a usable ONNX model");
  g_unlink(path);
  _assert_accepted(m, name, NULL);
  while(g_str_has_prefix(folder, m->directory) && strcmp(folder, m->directory) != 0)
  {
    g_rmdir(folder);
    char *parent = g_path_get_dirname(folder);
    g_free(folder);
    folder = parent;
  }
  g_free(bytes);
  g_free(right);
  g_free(folder);
  g_free(path);
  dt_manifest_unref(m);
}

static void test_files_that_no_loader_finds(void **state)
{
  (void)state;
  _assert_misplaced("Other.ONNX", "/Other.ONNX: |Put it beside config.json, and call it \"Other.onnx\"");
  _assert_misplaced("model.Onnx", "call it \"model.onnx\"");
  _assert_misplaced("more/model.onnx",
                    "/more/model.onnx: |no program would find it there|call it \"model.onnx\"");
  _assert_misplaced("1/2/3/4/5/6/7/8/x.onnx", "/8/x.onnx: |call it \"x.onnx\"");
  _assert_misplaced(".git/a\x1b[31m.onnx", "/.git/a?[31m.onnx: |call it \"a?[31m.onnx\"");
}

static void test_directories(void **state)
{
  (void)state;
  dt_manifest_t *m = _write("general", _denoise, "", &(_options_t){ 0 });
  char *deep = g_build_filename(m->directory, "1/2/3/4/5/6/7/8/9", NULL);
  assert_int_equal(g_mkdir_with_parents(deep, 0700), 0);
  _assert_refused(m, "deep", "/1/2/3/4/5/6/7/8/9: |more than 8 directories deep|Install");
  for(; strcmp(deep, m->directory) != 0; *strrchr(deep, '/') = '\0') g_rmdir(deep);
  g_free(deep);
  /* a link is not followed, be it in a circle */
  char *link = g_build_filename(m->directory, "again", NULL);
  assert_int_equal(symlink(".", link), 0);
  _assert_accepted(m, "circle", NULL);
  g_unlink(link);
  g_free(link);
  dt_manifest_unref(m);
}

static void test_files_beside(void **state)
{
  (void)state;
  static const char *const names[] = { "model.onnx.data", "weights.ONNX_data", "model.onnx.bak" };
  dt_manifest_t *m = _write("general", _denoise, "", &(_options_t){ 0 });
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    char *path = g_build_filename(m->directory, names[i], NULL);
    assert_true(g_file_set_contents(path, "x", 1, NULL));
    _assert_accepted(m, names[i], "is not read: the weights belong into the .onnx file");
    g_unlink(path);
    g_free(path);
  }
  char *path = g_build_filename(m->directory, "about.onnxruntime", NULL);
  assert_true(g_file_set_contents(path, "x", 1, NULL));
  _assert_accepted(m, "other words", NULL);
  g_unlink(path);
  g_free(path);
  dt_manifest_unref(m);
}

/* --- a file that changes --- */

/* A file of /proc holds more than the size it has. */
static void test_more_than_promised(void **state)
{
  (void)state;
  dt_manifest_t *m = _write("general", _denoise, "-model in input; -model out output", &(_options_t){ 0 });
  char *path = g_build_filename(m->directory, "model.onnx", NULL);
  assert_int_equal(symlink("/proc/self/maps", path), 0);
  _assert_refused(m, "growing", "/model.onnx: |it changed while it was read|try again");
  g_unlink(path);
  g_free(path);
  dt_manifest_unref(m);
}

#define BIG ((off_t)32 << 20)

typedef struct _writer_t
{
  const char *path;
  gint stop; /* atomic */
} _writer_t;

static gpointer _cut_and_grow(gpointer data)
{
  _writer_t *w = data;
  while(!g_atomic_int_get(&w->stop))
  {
    if(truncate(w->path, 0) != 0 || truncate(w->path, BIG) != 0) break;
    g_usleep(200);
  }
  return NULL;
}

/* Whatever is seen of it, the program lives on, and now and then the reason is told. */
static void test_changed_meanwhile(void **state)
{
  (void)state;
  dt_manifest_t *m = _write("general", _denoise, "", &(_options_t){ 0 });
  _writer_t w = { .path = g_build_filename(m->directory, "model.onnx", NULL) };
  GThread *thread = g_thread_new("writer", _cut_and_grow, &w);
  gboolean told = FALSE;
  /* a busy machine may take its time to start the writer */
  for(const gint64 end = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;
      !told && g_get_monotonic_time() < end;)
  {
    GError *error = NULL;
    dt_model_check(m, NULL, &error); /* whole, until it is first cut */
    told = error && strstr(error->message, "it changed while it was read");
    g_clear_error(&error);
  }
  g_atomic_int_set(&w.stop, 1);
  g_thread_join(thread);
  assert_true(told);
  g_free((char *)w.path);
  dt_manifest_unref(m);
}

static void test_too_many_files(void **state)
{
  (void)state;
  GString *changes = g_string_new("");
  for(int i = 0; i < 64; i++) g_string_append_printf(changes, "; f%d out output f 1", i);
  _refused("general", _denoise, changes->str, "65 .onnx files|at most 64");
  g_string_free(changes, TRUE);
}

/* --- image to image --- */

static void test_images_that_fit(void **state)
{
  (void)state;
  static const _options_t two = { .extra = ", \"num_inputs\": 2" };
  _accepted("denoise", _denoise, "", NULL);
  _accepted("denoise", _denoise, "model in input h N,3,h,w; model out output h N,3,h,w", NULL);
  _accepted("denoise", _denoise, "model in input f 1,c,h,w; model out output f 1,c,768,768", NULL);
  _accepted("denoise", _denoise, "model in input f 1,3,768,768; model out output f 1,3,768,768", NULL);
  _accepted_with("denoise", _sigma, "", &two, NULL);
  _accepted("upscale", _upscale, "", NULL);
  _accepted("upscale", _upscale, "-model_x4 in input; -model_x4 out output", NULL);
  _accepted("upscale", _upscale, "-model_x2 in input; -model_x2 out output", NULL);
  _accepted("upscale", _upscale, "model_x2 in input f b,3,h,w; model_x2 out output f b,3,oh,ow", NULL);
  _accepted("rawdenoise", _raw, "", NULL);
  _accepted("rawdenoise", _raw, "-model_bayer in input; -model_bayer out output", NULL);
  _accepted("rawdenoise", _raw, "-model_linear in input; -model_linear out output", NULL);
  /* num_inputs is only meant for denoise */
  _accepted_with("upscale", _upscale, "", &two, NULL);
}

static void test_image_remarks(void **state)
{
  (void)state;
  _accepted("denoise", _denoise, "extra out x f 1", "extra.onnx is not used by models for denoise.");
  _accepted("upscale", _upscale, "model_x3 out x f 1", "model_x3.onnx is not used");
  static const _options_t sizes = { .extra = ", \"attributes\": {\"input_sizes\": [256],"
                                             " \"model_x2\": {\"input_sizes\": [2048, 768]}}" };
  _accepted_with(
      "upscale", _upscale, "", &sizes,
      "model_x2.onnx takes 512 pixels, but \"input_sizes\" in config.json says 2048; the file counts.");
}

static void test_images_that_do_not_fit(void **state)
{
  (void)state;
  static const struct
  {
    const char *task, *const *base, *changes, *words;
  } cases[] = {
    { "denoise", _denoise, "model in image f 1,3,h,w; -model in input",
      "/model.onnx: |its input is \"image\", float32 [1, 3, h, w]|but \"input\" is needed|Export" },
    { "denoise", _denoise, "model out result f 1,3,h,w; -model out output",
      "/model.onnx: |its output is \"result\"|but \"output\" is needed" },
    { "denoise", _denoise, "model in input d 1,3,h,w",
      "its input is \"input\", float64 [1, 3, h, w]|float32 (or float16) [1, 3, H, W] is needed" },
    { "denoise", _denoise, "model in input i 1,3,h,w", "int64 [1, 3, h, w]" },
    { "denoise", _denoise, "model in input x 1,3,h,w", "of type 99 [1, 3, h, w]" },
    { "denoise", _denoise, "model in input f 3,h,w", "float32 [3, h, w]|[1, 3, H, W] is needed" },
    { "denoise", _denoise, "model in input f 1,1,h,w", "float32 [1, 1, h, w]" },
    { "denoise", _denoise, "model in input f 2,3,h,w", "float32 [2, 3, h, w]" },
    { "denoise", _denoise, "model in input f 1,3,0,w", "float32 [1, 3, 0, w]" },
    { "denoise", _denoise, "model in input f 1,3,16385,w", "float32 [1, 3, 16385, w]" },
    { "denoise", _denoise, "model out output f 1,1,h,w", "its output is \"output\", float32 [1, 1, h, w]" },
    { "denoise", _denoise, "model in input f 1,3,64,64; model out output f 1,3,128,128",
      "its output is|[1, 3, 128, 128]|but the size of the input \"input\", float32 [1, 3, "
      "64, 64]" },
    { "denoise", _denoise, "model in input f 1,3,64,64; model out output f 1,3,h,32", "[1, 3, h, 32]" },
    { "denoise", _denoise, "model in noise f 1,1,h,w",
      "its second input is \"noise\"|but \"sigma\" is needed" },
    { "denoise", _denoise, "model in sigma f 1,3,h,w",
      "its second input is \"sigma\", float32 [1, 3, h, w]|[1, 1, H, W] is needed" },
    { "denoise", _denoise,
      "model in input f 1,3,64,64; model in sigma f 1,1,32,32; model out output f 1,3,64,64",
      "its second input is \"sigma\", float32 [1, 1, 32, 32]|the size of the input" },
    { "denoise", _denoise, "model in sigma f 1,1,h,w",
      "its number of inputs is 2, but its config.json says 1|Correct \"num_inputs\"" },
    { "denoise", _denoise, "model in sigma f 1,1,h,w; model in x f 1",
      "its number of inputs is 3, but one (\"input\") or two (\"input\" and \"sigma\") are needed" },
    { "denoise", _denoise, "-model in input", "its number of inputs is 0" },
    { "denoise", _denoise, "model out x f 1", "its number of outputs is 2, but one (\"output\") is needed" },
    { "denoise", _denoise, "network out x f 1; -model in input; -model out output",
      "a model for denoise needs model.onnx, and there is none|Install" },
    { "upscale", _denoise, "", "a model for upscale needs model_x2.onnx or model_x4.onnx" },
    { "upscale", _upscale, "model_x2 out output f 1,3,2048,2048",
      "/model_x2.onnx: |but 2 times the size of the input" },
    { "upscale", _upscale, "model_x4 out output f 1,3,512,512", "/model_x4.onnx: |4 times" },
    { "upscale", _upscale, "model_x4 in sigma f 1,1,h,w", "/model_x4.onnx: |one (\"input\") is needed" },
    { "rawdenoise", _raw, "model_bayer in input f 1,3,512,512",
      "/model_bayer.onnx: |[1, 4, H, W] is needed" },
    { "rawdenoise", _raw, "model_bayer out output f 1,3,512,512", "/model_bayer.onnx: |2 times" },
    { "rawdenoise", _raw, "model_linear in input f 1,4,512,512",
      "/model_linear.onnx: |[1, 3, H, W] is needed" },
    { "rawdenoise", _denoise, "", "needs model_bayer.onnx or model_linear.onnx" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    _refused(cases[i].task, cases[i].base, cases[i].changes, cases[i].words);
  _refused_with("denoise", _denoise, "", &(_options_t){ .extra = ", \"num_inputs\": 2" },
                "its number of inputs is 1, but its config.json says 2");
}

/* --- masks --- */

#define SAM_REMARKS                                                                                          \
  "\"high_res_feats_0\", float32 [1, 32, a, b] has a size that the file does not tell|"                      \
  "\"high_res_feats_1\", float32 [1, 64, c, d] has a size|decoder.onnx does not tell how many masks"

static void test_masks_that_fit(void **state)
{
  (void)state;
  static const char told[] = "encoder out high_res_feats_0 f 1,32,256,256; encoder out high_res_feats_1 f "
                             "1,64,128,128; decoder out masks f 1,3,256,256";
  _accepted("mask", _sam, "", SAM_REMARKS);
  _accepted("mask", _sam, told, NULL);
  _accepted("mask", _hq, "", NULL);
  _accepted("mask", _hq,
            "decoder out masks f 1,4,1024,1024; decoder out iou_predictions f 1,4; "
            "decoder out low_res_masks f 1,4,256,256",
            NULL);
  _accepted("mask", _segnext, "", NULL);
  _accepted("mask", _lone, "", NULL);
}

static void test_mask_remarks(void **state)
{
  (void)state;
  _accepted("mask", _segnext, "encoder out spare f 1,8,8,8",
            "encoder.onnx: the output \"spare\", float32 [1, 8, 8, 8] is not used by decoder.onnx");
  _accepted("mask", _segnext, "decoder in point_coords f 1,2,2; decoder in point_labels f 1,2",
            "decoder.onnx takes exactly 2 points");
  _accepted("mask", _segnext, "decoder in point_coords f 1,n,2; decoder in point_labels f 1,n",
            "decoder.onnx calls the number of points \"n\" instead of \"num_points\"");
  _accepted("mask", _segnext,
            "decoder in point_coords f 1,num_points,2; decoder in point_labels f 1,num_points", NULL);
  /* open where nothing is lost by it */
  _accepted(
      "mask", _hq, "decoder out masks f b,1,1024,1024",
      "the output \"masks\", float32 [b, 1, 1024, 1024] has a size that the file does not tell, but should");
  _accepted("mask", _hq, "decoder out iou_predictions f b,1",
            "the output \"iou_predictions\", float32 [b, 1]");
  _accepted("mask", _hq, "decoder out iou_predictions f 1,m",
            "the output \"iou_predictions\", float32 [1, m]");
  _accepted("mask", _hq, "decoder out low_res_masks f 1,m,256,256", "the output \"low_res_masks\"");
  _accepted(
      "mask", _hq, "encoder out embeddings f b,256,64,64",
      "encoder.onnx: the output \"embeddings\", float32 [b, 256, 64, 64] has a size that the file does not");
  _accepted("mask", _lone, "model out output_image h b,1,1024,1024",
            "the output \"output_image\", float16 [b, ");
  _accepted("mask", _segnext, "-decoder in prev_mask", "takes no mask; a further click starts anew");
  _accepted("mask", _segnext, "model out x f 1", "model.onnx is not used by models for mask");
}

static void test_masks_that_do_not_fit(void **state)
{
  (void)state;
  static const struct
  {
    const char *const *base, *changes, *words;
  } cases[] = {
    /* files */
    { _denoise, "other out x f 1; -model in input; -model out output",
      "a model for mask needs encoder.onnx and decoder.onnx" },
    { _lone, "encoder out x f 1", "decoder.onnx belongs to encoder.onnx, but is not there" },
    { _lone, "decoder out x f 1", "encoder.onnx belongs to decoder.onnx, but is not there" },
    /* encoder */
    { _sam, "encoder in image f 1,3,h,w",
      "/encoder.onnx: |its input is \"image\", float32 [1, 3, h, w]|[1, 3, 1024, 1024] is needed" },
    { _sam, "encoder in image f 1,3,512,512", "/encoder.onnx: |[1, 3, 512, 512]" },
    { _sam, "encoder in image f 1,1,1024,1024", "/encoder.onnx: |[1, 1, 1024, 1024]" },
    { _sam, "encoder in image f b,3,1024,1024", "/encoder.onnx: |[b, 3, 1024, 1024]" },
    { _sam, "encoder in image f 1,c,1024,1024", "/encoder.onnx: |[1, c, 1024, 1024]" },
    { _sam, "encoder in image f 1,3,num_points,1024", "/encoder.onnx: |[1, 3, num_points, 1024]" },
    { _sam, "encoder in size f 2", "/encoder.onnx: |its number of inputs is 2, but one image is needed" },
    { _sam, "encoder out image_embed i 1,256,64,64",
      "/encoder.onnx: |its output is \"image_embed\", int64|float32 or float16 is needed" },
    /* what goes from one to the other */
    { _sam, "decoder in image_embed f 1,256,32,32",
      "/decoder.onnx: |its input is \"image_embed\", float32 [1, 256, 32, 32]|encoder.onnx gives "
      "\"image_embed\", float32 [1, 256, 64, 64]|same model" },
    { _sam, "decoder in high_res_feats_0 f 1,16,256,256", "[1, 16, 256, 256]|[1, 32, a, b]" },
    { _sam, "decoder in more f 1,8,8,8",
      "its input is \"more\", float32 [1, 8, 8, 8]|gives nothing of this name or shape" },
    { _hq, "decoder in hq_features f 1,32,128,128",
      "its input is \"hq_features\"|nothing of this name or shape" },
    { _hq, "decoder in twin f 1,32,256,256", "its input is \"twin\"|nothing of this name or shape" },
    { _segnext, "-decoder in image_feats", "/decoder.onnx: |takes nothing of what encoder.onnx gives" },
    { _sam, "decoder in image_embed f 1,256,h,w",
      "its input is \"image_embed\", float32 [1, 256, h, w]|only num_points may be symbolic" },
    { _sam, "decoder in image_embed f b,256,64,64", "[b, 256, 64, 64]|only num_points may be symbolic" },
    { _sam, "decoder in image_embed i 1,256,64,64", "its input is \"image_embed\", int64" },
    /* prompts */
    { _sam, "decoder in orig_im_size f 2",
      "/decoder.onnx: |its input is \"orig_im_size\", float32 [2]|must not be there|Export the model without "
      "it" },
    { _sam, "decoder in orig_im_size i 2", "orig_im_size" },
    { _sam, "-decoder in point_coords", "it has no input \"point_coords\"" },
    { _sam, "-decoder in point_labels", "it has no input \"point_labels\"" },
    { _sam, "decoder in point_coords f 1,num_points,3",
      "\"point_coords\", float32 [1, num_points, 3]|[1, num_points, 2] is needed" },
    { _sam, "decoder in point_coords f num_labels,num_points,2",
      "[num_labels, num_points, 2]|[1, num_points, 2] is needed" },
    { _sam, "decoder in point_coords i 1,num_points,2", "\"point_coords\", int64" },
    { _sam, "decoder in point_labels f num_labels,num_points",
      "[num_labels, num_points]|[1, num_points] is needed" },
    { _sam, "decoder in point_labels f 1,num_points,1", "[1, num_points, 1]" },
    { _sam, "decoder in point_labels f 1,n",
      "its input is \"point_labels\", float32 [1, n]|as many labels as points" },
    { _sam, "decoder in point_labels f 1,2", "as many labels as points" },
    { _sam, "decoder in point_coords f 1,0,2", "[1, 0, 2]" },
    { _sam, "decoder in mask_input f 1,1,h,w",
      "\"mask_input\", float32 [1, 1, h, w]|[1, 1, H, W] with a fixed height and width is needed" },
    { _sam, "decoder in mask_input f 1,3,256,256", "\"mask_input\", float32 [1, 3, 256, 256]" },
    { _sam, "decoder in mask_input f 1,1,128,128",
      "\"mask_input\", float32 [1, 1, 128, 128]|no output (\"low_res_masks\", \"masks\") has its size" },
    { _sam, "decoder in has_mask_input f 1,1", "\"has_mask_input\", float32 [1, 1]|[1] is needed" },
    { _sam, "decoder in has_mask_input f n", "\"has_mask_input\", float32 [n]|[1] is needed" },
    { _sam, "decoder in mask_input f b,1,256,256", "\"mask_input\", float32 [b, 1, 256, 256]" },
    { _sam, "decoder in mask_input f 1,num_points,256,256",
      "\"mask_input\", float32 [1, num_points, 256, 256]" },
    { _sam, "decoder in point_coords f 1,num_points,n", "\"point_coords\", float32 [1, num_points, n]" },
    { _segnext, "decoder in prev_mask f b,1,1024,1024", "\"prev_mask\", float32 [b, 1, 1024, 1024]" },
    { _segnext, "decoder in image_feats f 1,768,num_points,64", "only num_points may be symbolic" },
    { _sam, "-decoder in has_mask_input",
      "of the inputs \"mask_input\" and \"has_mask_input\" it has only one" },
    { _sam, "-decoder in mask_input", "it has only one" },
    { _segnext, "decoder in prev_mask f 1,1,h,w", "\"prev_mask\", float32 [1, 1, h, w]" },
    { _segnext, "decoder in prev_mask f 1,1,256,256", "\"prev_mask\"|has its size" },
    /* masks */
    { _sam, "-decoder out masks", "it has no output \"masks\" (or \"mask\")" },
    { _sam, "decoder out masks f 1,3,h,w",
      "its output is \"masks\", float32 [1, 3, h, w]|[1, M, H, W] with a fixed height and width is needed" },
    { _sam, "decoder out masks f 2,3,256,256", "[2, 3, 256, 256]" },
    { _sam, "decoder out masks f 3,256,256", "[3, 256, 256]" },
    { _sam, "decoder out masks i 1,3,256,256", "\"masks\", int64" },
    { _sam, "decoder out masks f 1,2,256,256", "[1, 2, 256, 256], but one, three or four masks are needed" },
    { _sam, "decoder out masks f 1,0,256,256", "[1, 0, 256, 256]" },
    { _sam, "decoder out masks f 1,3,256,128",
      "[1, 3, 256, 128], but masks of 1024×1024 (or 256×256) are needed" },
    { _sam, "decoder out masks f 1,3,300,300", "[1, 3, 300, 300]" },
    { _sam, "decoder out masks f 1,3,2048,2048", "[1, 3, 2048, 2048]" },
    { _sam, "-decoder out iou_predictions", "several masks but no \"iou_predictions\"" },
    { _sam, "decoder out masks f 1,4,256,256",
      "its output is \"iou_predictions\", float32 [1, 3], but the number of masks is 4" },
    { _sam, "decoder out iou_predictions f 3", "\"iou_predictions\", float32 [3]|[1, M] is needed" },
    { _hq, "decoder out low_res_masks f 1,1,h,w", "\"low_res_masks\", float32 [1, 1, h, w]" },
    { _hq, "decoder out low_res_masks f 1,3,256,256",
      "\"low_res_masks\", float32 [1, 3, 256, 256], but the number of masks is 1" },
    { _hq, "-decoder out low_res_masks", "\"mask_input\"|no output" },
    /* one file */
    { _lone, "model in input_image f 1,3,h,w",
      "/model.onnx: |its input is \"input_image\", float32 [1, 3, h, w]|fixed height and width is needed" },
    { _lone, "model in clicks f 1,2", "/model.onnx: |its number of inputs is 2, but one image is needed" },
    { _lone, "model in input_image f b,3,1024,1024", "\"input_image\", float32 [b, 3, 1024, 1024]" },
    { _lone, "-model out output_image", "/model.onnx: |its graph has no output" },
    { _lone, "model out output_image f 1,3,1024,1024",
      "its output is \"output_image\", float32 [1, 3, 1024, 1024]|[1, 1, H, W]" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    _refused("mask", cases[i].base, cases[i].changes, cases[i].words);
}

/* Names in a file are somebody else's: they neither command a terminal nor fill a screen. */
static void test_hostile_names(void **state)
{
  (void)state;
  char *name = g_strnfill(4000, 'n');
  char *changes = g_strdup_printf("model in %s f 1,3,\x1b[31m,%s; -model in input", name, name);
  dt_manifest_t *m = _write("denoise", _denoise, changes, &(_options_t){ 0 });
  GError *error = NULL;
  assert_false(dt_model_check(m, NULL, &error));
  assert_null(strchr(error->message, '\x1b'));
  assert_true(strlen(error->message) < 600);
  g_error_free(error);
  dt_manifest_unref(m);
  g_free(changes);
  g_free(name);
}

/* --- the fixtures --- */

static dt_manifest_t *_fixture(const char *name)
{
  char *relative = g_build_filename("models", name, NULL), *folder = test_fixture(relative);
  GError *error = NULL;
  dt_manifest_t *m = dt_manifest_read(folder, &error);
  assert_no_error(error);
  g_free(folder);
  g_free(relative);
  return m;
}

static void test_good_fixtures(void **state)
{
  (void)state;
  static const char *const names[][2] = {
    { "denoise-conv3", NULL },
    { "denoise-fp16-sigma", NULL },
    { "denoise-batch", NULL },
    { "denoise-static", NULL },
    { "denoise-published", NULL },
    { "upscale-x2", NULL },
    { "upscale-x4", NULL },
    { "upscale-published", NULL },
    { "rawdenoise-tiny", NULL },
    { "rawdenoise-published", NULL },
    { "mask-object-tiny", NULL },
    { "mask-object-published-segnext", NULL },
    { "mask-subject-lone", NULL },
    { "mask-object-plane-sam", NULL },
    { "mask-object-plane-samhq", NULL },
    { "mask-object-plane-sam2hq", NULL },
    { "mask-object-plane-segnext", NULL },
    { "mask-object-plane-sam2",
      "\"high_res_feats_0\"|\"high_res_feats_1\"|decoder.onnx does not tell how many masks" },
    { "mask-object-colour", "decoder.onnx does not tell how many masks" },
    { "broken-mask-shapes", "\"high_res_feats_0\"|decoder.onnx does not tell how many masks" },
    { "mask-object-published-sam2",
      "\"high_res_feats_0\"|\"high_res_feats_1\"|decoder.onnx does not tell how many masks" },
    { "test-types", NULL },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    dt_manifest_t *m = _fixture(names[i][0]);
    _assert_accepted(m, names[i][0], names[i][1]);
    GPtrArray *remarks = dt_manifest_remarks(m);
    if(strstr(names[i][0], "published") && remarks->len) fail_msg("%s", (char *)remarks->pdata[0]);
    g_ptr_array_unref(remarks);
    dt_manifest_unref(m);
  }
}

static void test_broken_fixtures(void **state)
{
  (void)state;
  static const char *const names[][2] = {
    { "broken-onnx", "/model.onnx: |not a usable ONNX model" },
    { "broken-external", "/model.onnx: |weights in another file" },
    { "broken-wrong-names", "/model.onnx: |its input is \"image\"" },
    { "broken-raw-kind", "/model_bayer.onnx: |\"linear_v1\" instead of \"bayer_v1\"" },
    { "broken-raw-word", "/model_bayer.onnx: |wb_norm \"moonlight\"" },
    { "broken-rank", "/model.onnx: |[3, height, width]" },
    { "broken-mask-arch", "/decoder.onnx: |its input is \"clicks\"" },
    { "broken-type", "/model.onnx: |int32" },
    { "broken-channels", "/model.onnx: |[1, 1, height, width]" },
    { "broken-check-orig-im-size", "/decoder.onnx: |orig_im_size" },
    { "broken-check-symbolic", "/decoder.onnx: |\"masks\"|height, width" },
    { "broken-check-mismatch", "/decoder.onnx: |\"image_embed\"|[1, 256, 32, 32]|[1, 256, 64, 64]" },
    { "broken-check-no-decoder", "decoder.onnx belongs to encoder.onnx, but is not there" },
    { "broken-check-domain", "/model.onnx: |com.example" },
    { "broken-check-factor", "/model_x2.onnx: |answers with 4 times the size of the input, but 2 times the "
                             "size of the input is needed" },
    { "broken-check-opset", "/model.onnx: |operator set 6" },
    { "broken-check-num-inputs", "/model.onnx: |its number of inputs is 1, but its config.json says 2" },
    { "broken-check-no-file", "model_bayer.onnx or model_linear.onnx, and there is none" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    dt_manifest_t *m = _fixture(names[i][0]);
    _assert_refused(m, names[i][0], names[i][1]);
    dt_manifest_unref(m);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_general_rules),
    cmocka_unit_test(test_files),
    cmocka_unit_test(test_too_many_files),
    cmocka_unit_test(test_files_that_no_loader_finds),
    cmocka_unit_test(test_directories),
    cmocka_unit_test(test_files_beside),
    cmocka_unit_test(test_more_than_promised),
    cmocka_unit_test(test_changed_meanwhile),
    cmocka_unit_test(test_images_that_fit),
    cmocka_unit_test(test_image_remarks),
    cmocka_unit_test(test_images_that_do_not_fit),
    cmocka_unit_test(test_masks_that_fit),
    cmocka_unit_test(test_mask_remarks),
    cmocka_unit_test(test_masks_that_do_not_fit),
    cmocka_unit_test(test_hostile_names),
    cmocka_unit_test(test_good_fixtures),
    cmocka_unit_test(test_broken_fixtures),
  };
  return cmocka_run_group_tests_name("model_check", tests, test_world_set_up, test_world_tear_down);
}
