/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opens raws: finds out what the file is, has its samples decoded, and adds what its container says. */
#include "imageio/provenance.h"
#include "imageio/raw_internal.h"

#include <string.h>

static gboolean _fail(const dt_input_t *input, GError **error, const char *problem)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, input->name, "%s", problem);
  return FALSE;
}

/** Says what a file is that is no raw, whatever its name. */
static gboolean _fail_other(const dt_input_t *input, GError **error)
{
  const dt_format_t *format = dt_format_get(dt_format_recognise(input));
  if(!format)
    return _fail(input, error, "this is no raw that is known here; give a camera's raw file, or a DNG of it");
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, input->name,
                       "this is a %s, not a raw; give the camera's raw file, or use the denoise command for "
                       "finished pictures",
                       format->name);
  return FALSE;
}

static gboolean _check(const dt_raw_file_t *file, GError **error)
{
  if(file->kind == DT_RAW_NOT) return _fail_other(file->input, error);
  if(!dt_raw_file_is_whole(file))
    return _fail(file->input, error, "this raw is cut off; copy it again from its source");
  if(!dt_raw_file_is_safe(file))
    return _fail(
        file->input, error,
        "the filter array of this raw is damaged, or of a kind that is not supported; copy it again from its "
        "source");
  return TRUE;
}

#ifndef DT_WITH_LIBRAW
gboolean dt_raw_decode(dt_raw_held_t *held, const dt_raw_file_t *file, GError **error)
{
  (void)held;
  dt_imageio_set_error(error, DT_AI_ERROR_USAGE, file->input->name,
                       "this build reads no raws, as LibRaw was not there when it was made; build it with "
                       "LibRaw, or develop the raw first");
  return FALSE;
}
#endif

/** The make in front of the model, unless that begins with it: "NIKON CORPORATION" with "NIKON D850" is just that. */
static char *_join_names(const char *make, const char *model)
{
  const size_t word = strcspn(make, " ");
  return word && g_ascii_strncasecmp(make, model, word) == 0
             ? g_strdup(model)
             : g_strstrip(g_strconcat(make, " ", model, NULL));
}

static char *_copy_text(const dt_exif_entry_t *entry)
{
  gsize size;
  const char *text = g_bytes_get_data(entry->value, &size);
  char *copy = g_utf8_make_valid(text, (gssize)strnlen(text, size));
  return g_strstrip(copy);
}

/** What the file says of a name; it stays as it is where the file says nothing. */
static void _take_name(char **name, const dt_exif_entry_t *entry)
{
  char *text = entry && entry->type == DT_TYPE_ASCII ? _copy_text(entry) : NULL;
  if(text && *text)
  {
    g_free(*name);
    *name = g_steal_pointer(&text);
  }
  g_free(text);
}

static void _complete_names(dt_raw_t *raw)
{
  if(!raw->make) raw->make = g_strdup("");
  if(!raw->model) raw->model = g_strdup("");
  _take_name(&raw->make, dt_exif_find(raw->exif, DT_IFD_MAIN, DT_TAG_MAKE));
  _take_name(&raw->model, dt_exif_find(raw->exif, DT_IFD_MAIN, DT_TAG_MODEL));
  if(!raw->unique_model) raw->unique_model = _join_names(raw->make, raw->model);
  _take_name(&raw->unique_model, dt_exif_find_in(raw->dng_tags, DT_TAG_UNIQUE_MODEL));
  if(!*raw->unique_model)
  {
    g_free(raw->unique_model);
    raw->unique_model = g_strdup("Unknown camera");
  }
}

/** A DNG's own tag counts, as of all others the decoder knows best; EXIF is to say the same. */
static void _complete_orientation(dt_raw_t *raw)
{
  const int told = (int)dt_exif_get_number(raw->exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, 0.0);
  if(raw->is_dng) raw->orientation = told >= 1 && told <= 8 ? told : 1;
  if(told && told != raw->orientation)
    dt_exif_set_number(raw->exif, DT_IFD_MAIN, DT_TAG_ORIENTATION, DT_TYPE_SHORT, (uint32_t)raw->orientation);
}

/** What was made of a raw by this program has codes of its own, while its history says those of the raw. */
static void _read_original_levels(dt_raw_t *raw)
{
  GPtrArray *steps = dt_provenance_read(raw->xmp);
  for(guint i = 0; i < steps->len; i++)
  {
    const dt_provenance_t *step = steps->pdata[i];
    if(!(step->white > step->black && step->white <= G_MAXUINT16 && step->black >= 0)) continue;
    raw->mosaic.original_black = (float)step->black;
    raw->mosaic.original_white = (float)step->white;
  }
  g_ptr_array_unref(steps);
}

static gboolean _read(dt_raw_held_t *held, const dt_raw_file_t *file, GError **error)
{
  dt_raw_t *raw = &held->raw;
  raw->is_dng = file->kind == DT_RAW_DNG;
  if(!_check(file, error) || !dt_raw_decode(held, file, error)) return FALSE;
  dt_raw_read_metadata(raw, file);
  if(raw->is_dng) dt_raw_read_dng_colour(raw);
  if(raw->is_dng) _read_original_levels(raw);
  dt_raw_complete_neutral(raw);
  _complete_names(raw);
  _complete_orientation(raw);
  return TRUE;
}

dt_raw_t *dt_raw_open(const char *path, GError **error)
{
  dt_input_t *input = dt_input_open(path, error);
  if(!input) return NULL;
  dt_raw_held_t *held = g_new0(dt_raw_held_t, 1);
  held->raw.name = strcmp(path, DT_IMAGEIO_STREAM) == 0 ? g_strdup("") : g_filename_display_basename(path);
  dt_raw_file_t file;
  dt_raw_file_open(&file, input);
  const gboolean done = _read(held, &file, error);
  dt_raw_file_close(&file);
  dt_input_close(input);
  if(done) return &held->raw;
  dt_raw_free(&held->raw);
  return NULL;
}

GBytes *dt_raw_read_xmp(const char *path)
{
  dt_input_t *input = dt_input_open(path, NULL);
  if(!input) return NULL;
  dt_raw_file_t file;
  dt_raw_file_open(&file, input);
  const gboolean readable = file.kind == DT_RAW_DNG && dt_raw_file_is_whole(&file);
  dt_exif_t *exif = readable ? dt_exif_read_file(input) : NULL;
  GBytes *xmp = exif ? dt_exif_steal(exif, DT_IFD_MAIN, DT_TAG_XMP) : NULL;
  dt_exif_destroy(exif);
  dt_raw_file_close(&file);
  dt_input_close(input);
  return xmp;
}

void dt_raw_free(dt_raw_t *raw)
{
  if(!raw) return;
  dt_raw_held_t *held = (dt_raw_held_t *)raw;
  if(held->release) held->release(held->decoder);
  if(raw->dng_tags) g_array_unref(raw->dng_tags);
  if(raw->raw_tags) g_array_unref(raw->raw_tags);
  if(raw->xmp) g_bytes_unref(raw->xmp);
  dt_exif_destroy(raw->exif);
  g_free(raw->name);
  g_free(raw->make);
  g_free(raw->model);
  g_free(raw->unique_model);
  g_free(raw->decoder);
  g_free(held);
}
