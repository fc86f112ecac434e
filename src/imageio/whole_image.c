/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rows of formats that can only be decoded as a whole. */
#include "imageio/whole_image.h"

#include <string.h>

/** Longest compressed file that is held. */
#define MAX_FILE ((uint64_t)1 << 30)

gboolean dt_whole_fail(const dt_whole_t *whole, GError **error, const char *problem)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, whole->input->name, "%s", problem);
  return FALSE;
}

gboolean dt_whole_fail_damaged(const dt_whole_t *whole, GError **error, const char *reason)
{
  dt_imageio_set_error(error, DT_AI_ERROR_INPUT, whole->input->name,
                       "this %s file is truncated or damaged%s%s%s; copy it again from its source",
                       whole->name, *reason ? " (" : "", reason, *reason ? ")" : "");
  return FALSE;
}

static gboolean _decode(dt_whole_t *whole, GError **error)
{
  char reason[160] = "";
  whole->pixels = g_try_malloc(whole->row_bytes * (size_t)whole->decoder.height);
  if(!whole->pixels)
  {
    dt_imageio_set_error(
        error, DT_AI_ERROR_MEMORY, whole->input->name,
        "there is not enough memory for the pixels of a %s file, which is decoded as a whole; "
        "convert it to TIFF or PNG first",
        whole->name);
    return FALSE;
  }
  const gboolean done = whole->decode(whole, reason);
  g_clear_pointer(&whole->file, g_bytes_unref);
  if(done) return TRUE;
  g_clear_pointer(&whole->pixels, g_free);
  return dt_whole_fail_damaged(whole, error, reason);
}

static gboolean _read_row(dt_decoder_t *decoder, int y, void *row, GError **error)
{
  dt_whole_t *whole = (dt_whole_t *)decoder;
  if(!whole->pixels && !whole->file) return dt_whole_fail_damaged(whole, error, "");
  if(!whole->pixels && !_decode(whole, error)) return FALSE;
  memcpy(row, whole->pixels + (size_t)y * whole->row_bytes, whole->row_bytes);
  return TRUE;
}

static void _destroy(dt_decoder_t *decoder)
{
  dt_whole_t *whole = (dt_whole_t *)decoder;
  g_clear_pointer(&whole->file, g_bytes_unref);
  g_free(whole->pixels);
  g_free(whole);
}

static GBytes *_read_file(const dt_input_t *input)
{
  void *data = input->size <= MAX_FILE ? g_try_malloc((size_t)input->size) : NULL;
  if(data && dt_input_read(input, 0, data, (size_t)input->size) == input->size)
    return g_bytes_new_take(data, (size_t)input->size);
  g_free(data);
  return NULL;
}

dt_whole_t *dt_whole_create(const dt_input_t *input, const char *name, dt_late_library_t *library,
                            gboolean (*decode)(dt_whole_t *whole, char *reason), GError **error)
{
  if(library && !dt_late_library_load(library))
  {
    dt_imageio_set_error(
        error, DT_AI_ERROR_INPUT, input->name,
        "%s is read by %s, which is not there or too old; install it, or convert the file to TIFF, PNG "
        "or JPEG",
        name, library->file);
    return NULL;
  }
  dt_whole_t *whole = g_new0(dt_whole_t, 1);
  whole->decoder.read_row = _read_row;
  whole->decoder.destroy = _destroy;
  whole->input = input;
  whole->name = name;
  whole->decode = decode;
  whole->file = _read_file(input);
  if(whole->file) return whole;
  dt_whole_fail(whole, error,
                "the file cannot be read whole, as its format wants; convert it to TIFF or PNG first");
  _destroy(&whole->decoder);
  return NULL;
}

gboolean dt_whole_measure(dt_whole_t *whole, size_t per_pixel, GError **error)
{
  dt_decoder_t *decoder = &whole->decoder;
  if(decoder->width < 1 || decoder->height < 1) return dt_whole_fail_damaged(whole, error, "");
  if(decoder->width > DT_IMAGEIO_MAX_SIDE || decoder->height > DT_IMAGEIO_MAX_SIDE)
    return dt_whole_fail(whole, error,
                         "the picture is more than 1000000 pixels wide or high; cut it into pieces first");
  const size_t pixels = (size_t)decoder->width * (size_t)decoder->height;
  whole->row_bytes = (size_t)decoder->width * (size_t)decoder->channels * dt_sample_size(decoder->sample);
  decoder->memory = sizeof(*whole) + whole->row_bytes * (size_t)decoder->height + pixels * per_pixel
                    + (size_t)whole->input->size;
  return TRUE;
}
