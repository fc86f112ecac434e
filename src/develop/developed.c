/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A pipe behind the face of a reader. */
#include "develop/developed.h"

#include "common/log.h"
#include "develop/pixelpipe.h"
#include "develop/sidecar.h"

#include <stdlib.h>

/* rows taken from the pipe at once, to lose their alpha */
#define ROWS 16
/* for the pipe's pixels: bands of some hundred rows */
#define MEMORY ((guint64)256 << 20)

typedef struct _developed_t
{
  dt_imageio_reader_t reader;
  dt_dev_input_t *input;
  dt_dev_pixelpipe_t *pipe;
  dt_row_source_t *rows; /* of the pipe, with alpha */
  float *scratch;
} _developed_t;

static gboolean _read(dt_row_source_t *source, int y, int n, float *rows, GError **error)
{
  _developed_t *self = (_developed_t *)source;
  const size_t width = (size_t)source->width;
  for(int done = 0; done < n; done += ROWS)
  {
    const int now = MIN(ROWS, n - done);
    if(!self->rows->read(self->rows, y + done, now, self->scratch, error)) return FALSE;
    float *to = rows + (size_t)done * width * 3;
    for(size_t i = 0; i < (size_t)now * width; i++)
      for(size_t c = 0; c < 3; c++) to[3 * i + c] = self->scratch[4 * i + c];
  }
  return TRUE;
}

static void _destroy(dt_row_source_t *source)
{
  _developed_t *self = (_developed_t *)source;
  dt_row_source_destroy(self->rows);
  dt_dev_pixelpipe_destroy(self->pipe);
  dt_dev_input_unref(self->input);
  dt_metadata_clear(&self->reader.metadata);
  g_free(self->reader.profile_name);
  g_free(self->scratch);
  g_free(self);
}

/* What of a history is not used is said once, with the file's name. */
static gboolean _set_history(_developed_t *self, const char *path, GError **error)
{
  GPtrArray *remarks = g_ptr_array_new_with_free_func(g_free);
  dt_history_t *history = dt_sidecar_load(path, NULL, remarks, error);
  const gboolean fine = history && dt_dev_pixelpipe_set_history(self->pipe, history, error);
  for(guint i = 0; i < remarks->len; i++)
    dt_log(DT_LOG_NOTICE, "%s: %s", path, (const char *)remarks->pdata[i]);
  g_ptr_array_unref(remarks);
  dt_history_free(history);
  return fine;
}

static void _fill_reader(_developed_t *self)
{
  const dt_raw_t *raw = dt_dev_input_raw(self->input);
  dt_row_source_t *source = &self->reader.source;
  *source = (dt_row_source_t){ .channels = DT_ROW_RGB,
                               .space = DT_ROW_LINEAR_REC709,
                               .memory = MEMORY + (raw ? raw->memory : 0),
                               .read = _read,
                               .destroy = _destroy };
  dt_dev_pixelpipe_size(self->pipe, &source->width, &source->height);
  self->reader.bits = 16;
  self->reader.profile_name = g_strdup("developed raw, sRGB");
  dt_dev_input_copy_metadata(self->input, &self->reader.metadata);
  self->reader.metadata.orientation = 1;
  self->rows = dt_dev_pixelpipe_rows(self->pipe, NULL);
  self->scratch = g_new(float, (gsize)source->width *ROWS * 4);
}

dt_imageio_reader_t *dt_developed_open(const char *path, dt_opencl_t *cl, GError **error)
{
  dt_dev_input_t *input = dt_dev_input_open(path, NULL, NULL, error);
  if(!input) return NULL;
  _developed_t *self = g_new0(_developed_t, 1);
  self->input = input;
  self->pipe = dt_dev_pixelpipe_create(
      input, &(dt_dev_pixelpipe_opts_t){
                 .type = DT_OPENCL_EXPORT, .cl = cl, .name = path, .memory = MEMORY, .yields = TRUE });
  if(!_set_history(self, path, error))
  {
    _destroy(&self->reader.source);
    return NULL;
  }
  _fill_reader(self);
  return &self->reader;
}
