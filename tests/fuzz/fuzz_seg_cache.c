/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as the file of an encoded picture: as they are, which the digest refuses, and with a digest and checksums that
 * are right, so that everything behind them is reached. */
#include "ai/seg_file.h"
#include "common/checksum.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "1111111111111111111111111111111111111111111111111111111111111111"
#define MODEL "2222222222222222222222222222222222222222222222222222222222222222"

/* Whatever comes out can be read to its end. */
static void _use(const dt_seg_features_t *f)
{
  if(f->n < 1 || f->n > DT_SEG_MAX_FEATURES || f->width < 1 || f->height < 1) abort();
  for(int i = 0; i < f->n; i++)
  {
    uint64_t count = 1;
    for(int k = 0; k < f->features[i].ndim; k++) count *= (uint64_t)f->features[i].dims[k];
    if(count < 1 || count > DT_SEG_FILE_MAX_FLOATS || !*f->features[i].name) abort();
    dt_checksum64(f->features[i].data, count * sizeof(float));
  }
}

static void _read(const uint8_t *bytes, size_t size)
{
  dt_seg_features_t features;
  char *reason = NULL;
  const gboolean ok = dt_seg_file_unpack(bytes, size, KEY, MODEL, &features, &reason);
  if(ok == (reason != NULL)) abort();
  if(ok) _use(&features);
  dt_seg_features_clear(&features);
  g_free(reason);
}

/* Everything right but what is to be tested. */
static void _repair(uint8_t *bytes, size_t size)
{
  dt_seg_file_head_t head;
  memcpy(&head, bytes, sizeof head);
  memcpy(head.magic, DT_SEG_FILE_MAGIC, sizeof head.magic);
  memcpy(head.key, KEY, sizeof head.key);
  memcpy(head.model, MODEL, sizeof head.model);
  head.version = DT_SEG_FILE_VERSION;
  head.order = DT_SEG_FILE_ORDER;
  size_t at = sizeof head;
  for(int i = 0; i < head.n && i < DT_SEG_MAX_FEATURES; i++)
    for(int k = 0; k < DT_SEG_FILE_PLANES; k++)
    {
      const size_t stored = MIN(head.tensors[i].stored[k], size - at);
      head.tensors[i].sums[k] = dt_checksum64(bytes + at, stored);
      at += stored;
      /* the last one takes what a mutation has added or taken away */
      if(i == head.n - 1 && k == DT_SEG_FILE_PLANES - 1 && head.width % 2)
        head.tensors[i].stored[k] += size - at;
    }
  dt_seg_file_seal(&head);
  memcpy(bytes, &head, sizeof head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  _read(data, size);
  if(size < sizeof(dt_seg_file_head_t)) return 0;
  uint8_t *bytes = g_memdup2(data, size);
  _repair(bytes, size);
  _read(bytes, size);
  g_free(bytes);
  return 0;
}
