/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writes and reads the file of an encoded picture. Reading goes from the outside in: nothing is looked at
 * before what tells its size is known to be right, and nothing is allocated that the file could not fill. */
#include "seg_file.h"
#include "common/checksum.h"

#include <gio/gio.h>
#include <string.h>

/* What deflate makes of one byte at most, rounded up. */
#define MAX_RATIO 1040

G_STATIC_ASSERT(sizeof(dt_seg_file_tensor_t) == 240);
G_STATIC_ASSERT(sizeof(dt_seg_file_head_t) == 160 + DT_SEG_MAX_FEATURES * 240 + 32);

gboolean dt_seg_file_is_hash(const char *text)
{
  size_t n = 0;
  while(n <= DT_SEG_FILE_DIGITS && (g_ascii_isdigit(text[n]) || (text[n] >= 'a' && text[n] <= 'f'))) n++;
  return n == DT_SEG_FILE_DIGITS && !text[n];
}

void dt_seg_features_clear(dt_seg_features_t *features)
{
  for(int i = 0; i < features->n; i++)
  {
    g_free(features->features[i].name);
    g_free(features->features[i].data);
  }
  memset(features, 0, sizeof *features);
}

static void _compute_digest(const dt_seg_file_head_t *head, uint8_t digest[32])
{
  gsize size = 32;
  GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
  g_checksum_update(sum, (const guchar *)head, offsetof(dt_seg_file_head_t, digest));
  g_checksum_get_digest(sum, digest, &size);
  g_checksum_free(sum);
}

void dt_seg_file_seal(dt_seg_file_head_t *head)
{
  _compute_digest(head, head->digest);
}

/* The floats of a tensor, or 0 when its dimensions are none or more than may be. */
static uint64_t _count(int ndim, const int64_t *dims)
{
  if(ndim < 1 || ndim > DT_SEG_MAX_DIMS) return 0;
  uint64_t count = 1;
  for(int i = 0; i < ndim; i++)
  {
    if(dims[i] < 1 || (uint64_t)dims[i] > DT_SEG_FILE_MAX_FLOATS / count) return 0;
    count *= (uint64_t)dims[i];
  }
  return count;
}

/* --- deflating --- */

/* All of @p in through @p converter, into at most @p room bytes. @return how many there were; 0: it failed,
 * or they are more */
static size_t _convert(GConverter *converter, const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
  size_t done = 0, at = 0;
  GConverterResult result = G_CONVERTER_CONVERTED;
  while(result == G_CONVERTER_CONVERTED && done < room)
  {
    gsize taken, given;
    result = g_converter_convert(converter, in + at, size - at, out + done, room - done,
                                 G_CONVERTER_INPUT_AT_END, &taken, &given, NULL);
    if(result == G_CONVERTER_ERROR) break;
    at += taken;
    done += given;
  }
  return result == G_CONVERTER_FINISHED && at == size ? done : 0;
}

static size_t _deflate(const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
  GZlibCompressor *compressor = g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_RAW, 1);
  const size_t done = _convert(G_CONVERTER(compressor), in, size, out, room);
  g_object_unref(compressor);
  return done;
}

static size_t _inflate(const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
  GZlibDecompressor *decompressor = g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_RAW);
  const size_t done = _convert(G_CONVERTER(decompressor), in, size, out, room);
  g_object_unref(decompressor);
  return done;
}

/* --- writing --- */

/* The bytes of one plane, at @p out; @p scratch has room for half of them. @return how many they are */
static size_t _pack_plane(const float *data, size_t count, int plane, uint8_t *out, uint8_t *scratch)
{
  for(size_t i = 0; i < count; i++)
  {
    uint32_t bits;
    memcpy(&bits, data + i, sizeof bits);
    out[i] = (uint8_t)(bits >> 8 * plane);
  }
  const size_t deflated = count > 1 ? _deflate(out, count, scratch, count / 2) : 0;
  if(!deflated) return count;
  memcpy(out, scratch, deflated);
  return deflated;
}

static uint8_t *_pack_tensor(const dt_seg_feature_t *feature, dt_seg_file_tensor_t *tensor, uint8_t *out,
                             uint8_t *scratch)
{
  const size_t count = _count(feature->ndim, feature->dims);
  g_strlcpy(tensor->name, feature->name, sizeof tensor->name);
  memcpy(tensor->dims, feature->dims, (size_t)feature->ndim * sizeof *tensor->dims);
  tensor->ndim = feature->ndim;
  for(int i = 0; i < DT_SEG_FILE_PLANES; i++)
  {
    tensor->stored[i] = _pack_plane(feature->data, count, i, out, scratch);
    tensor->sums[i] = dt_checksum64(out, tensor->stored[i]);
    out += tensor->stored[i];
  }
  return out;
}

/* Whether a file can hold it; with the floats of the largest tensor and of all. */
static gboolean _measure(const dt_seg_features_t *f, size_t *largest, size_t *all)
{
  *largest = *all = 0;
  if(f->n < 1 || f->n > DT_SEG_MAX_FEATURES || f->width < 1 || f->height < 1) return FALSE;
  for(int i = 0; i < f->n; i++)
  {
    const dt_seg_feature_t *feature = &f->features[i];
    const size_t count = _count(feature->ndim, feature->dims);
    if(!count || !feature->data || !feature->name || !*feature->name
       || strlen(feature->name) >= DT_SEG_FILE_NAME)
      return FALSE;
    *largest = MAX(*largest, count);
    *all += count;
  }
  return *all <= DT_SEG_FILE_MAX_FLOATS;
}

static void _start_head(dt_seg_file_head_t *head, const char *key, const char *model,
                        const dt_seg_features_t *f)
{
  *head = (dt_seg_file_head_t){ .version = DT_SEG_FILE_VERSION, .order = DT_SEG_FILE_ORDER, .n = f->n };
  memcpy(head->magic, DT_SEG_FILE_MAGIC, sizeof head->magic);
  memcpy(head->key, key, sizeof head->key);
  memcpy(head->model, model, sizeof head->model);
  head->width = f->width;
  head->height = f->height;
}

/* @return the number of bytes */
static size_t _pack(dt_seg_file_head_t *head, const dt_seg_features_t *f, uint8_t *bytes, uint8_t *scratch)
{
  uint8_t *out = bytes + sizeof *head;
  for(int i = 0; i < f->n; i++) out = _pack_tensor(&f->features[i], &head->tensors[i], out, scratch);
  dt_seg_file_seal(head);
  memcpy(bytes, head, sizeof *head);
  return (size_t)(out - bytes);
}

uint8_t *dt_seg_file_pack(const char *key, const char *model, const dt_seg_features_t *features, size_t *size,
                          char **reason)
{
  size_t largest = 0, all = 0;
  *reason = NULL;
  if(!dt_seg_file_is_hash(key) || !dt_seg_file_is_hash(model) || !_measure(features, &largest, &all))
  {
    *reason = g_strdup_printf("picture and model are not named by a SHA-256, or what the encoder gave is not "
                              "1 to %d named tensors of 1 to %d dimensions",
                              DT_SEG_MAX_FEATURES, DT_SEG_MAX_DIMS);
    return NULL;
  }
  dt_seg_file_head_t head;
  uint8_t *bytes = g_try_malloc(sizeof head + all * sizeof(float)), *scratch = g_try_malloc(largest);
  if(bytes && scratch)
  {
    _start_head(&head, key, model, features);
    *size = _pack(&head, features, bytes, scratch);
  }
  else
  {
    g_clear_pointer(&bytes, g_free);
    *reason = g_strdup("there is no memory for a copy");
  }
  g_free(scratch);
  return bytes;
}

/* --- reading --- */

static gboolean _refuse(char **reason, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean _refuse(char **reason, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  *reason = g_strdup_vprintf(format, args);
  va_end(args);
  return FALSE;
}

static gboolean _check_head(const dt_seg_file_head_t *head, const char *key, const char *model, char **reason)
{
  uint8_t digest[sizeof head->digest];
  if(memcmp(head->magic, DT_SEG_FILE_MAGIC, sizeof head->magic) != 0)
    return _refuse(reason, "it is no encoded picture");
  if(head->order != DT_SEG_FILE_ORDER)
    return _refuse(reason, "it was written by a machine of another byte order");
  if(head->version != DT_SEG_FILE_VERSION)
    return _refuse(reason, "it is of version %u, not %d", head->version, DT_SEG_FILE_VERSION);
  _compute_digest(head, digest);
  if(memcmp(digest, head->digest, sizeof digest) != 0) return _refuse(reason, "its head is damaged");
  if(memcmp(head->key, key, sizeof head->key) != 0) return _refuse(reason, "it is of another picture");
  if(memcmp(head->model, model, sizeof head->model) != 0) return _refuse(reason, "it is of another model");
  if(head->n < 1 || head->n > DT_SEG_MAX_FEATURES || head->width < 1 || head->height < 1)
    return _refuse(reason, "it has %d tensors of a picture of %d × %d", head->n, head->width, head->height);
  return TRUE;
}

/* Whether tensor @p i can be there; adds its floats, and its bytes in the file. */
static gboolean _check_tensor(const dt_seg_file_tensor_t *t, int i, uint64_t *floats, uint64_t *bytes,
                              char **reason)
{
  const uint64_t count = _count(t->ndim, t->dims);
  if(!*t->name || !memchr(t->name, 0, sizeof t->name)) return _refuse(reason, "tensor %d has no name", i);
  *floats += count;
  if(!count || *floats > DT_SEG_FILE_MAX_FLOATS)
    return _refuse(reason, "the dimensions of tensor %d are none, or too large", i);
  for(int k = 0; k < DT_SEG_FILE_PLANES; k++)
  {
    if(t->stored[k] < 1 || t->stored[k] > count || t->stored[k] < count / MAX_RATIO)
      return _refuse(reason, "the size of plane %d of tensor %d cannot be", k, i);
    *bytes += t->stored[k];
  }
  return TRUE;
}

static gboolean _check_tensors(const dt_seg_file_head_t *head, size_t size, char **reason)
{
  uint64_t floats = 0, bytes = sizeof *head;
  for(int i = 0; i < head->n; i++)
    if(!_check_tensor(&head->tensors[i], i, &floats, &bytes, reason)) return FALSE;
  return bytes == size
         || _refuse(reason, "it has %" G_GSIZE_FORMAT " bytes instead of %" G_GUINT64_FORMAT, size, bytes);
}

/* One plane as it was before, in @p bytes itself or inflated into @p room, which takes one byte more than a
 * plane has: so that a stream that is too long shows. NULL: damaged. */
static const uint8_t *_unpack_plane(const uint8_t *bytes, size_t stored, uint64_t sum, uint8_t *room,
                                    size_t count)
{
  if(dt_checksum64(bytes, stored) != sum) return NULL;
  if(stored == count) return bytes;
  return _inflate(bytes, stored, room, count + 1) == count ? room : NULL;
}

static void _join_planes(const uint8_t *const planes[DT_SEG_FILE_PLANES], float *data, size_t count)
{
  const uint8_t *restrict a = planes[0], *restrict b = planes[1], *restrict c = planes[2],
                          *restrict d = planes[3];
  for(size_t i = 0; i < count; i++)
  {
    const uint32_t bits = a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;
    memcpy(data + i, &bits, sizeof bits);
  }
}

/* The planes of @p t from @p bytes on, joined. */
static gboolean _unpack_planes(const dt_seg_file_tensor_t *t, const uint8_t *bytes, size_t count,
                               uint8_t *room, float *data)
{
  const uint8_t *planes[DT_SEG_FILE_PLANES];
  for(int k = 0; k < DT_SEG_FILE_PLANES; k++)
  {
    planes[k] = _unpack_plane(bytes, t->stored[k], t->sums[k], room + (size_t)k * (count + 1), count);
    if(!planes[k]) return FALSE;
    bytes += t->stored[k];
  }
  _join_planes(planes, data, count);
  return TRUE;
}

static gboolean _unpack_tensor(const dt_seg_file_tensor_t *t, const uint8_t *bytes, dt_seg_feature_t *feature,
                               char **reason)
{
  const size_t count = _count(t->ndim, t->dims);
  uint8_t *room = g_try_malloc(DT_SEG_FILE_PLANES * (count + 1));
  feature->name = g_strdup(t->name);
  feature->ndim = t->ndim;
  memcpy(feature->dims, t->dims, sizeof feature->dims);
  feature->data = g_try_malloc(count * sizeof(float));
  const gboolean enough = room && feature->data;
  const gboolean ok = enough && _unpack_planes(t, bytes, count, room, feature->data);
  g_free(room);
  if(!enough) return _refuse(reason, "there is no memory for it");
  return ok || _refuse(reason, "its tensors are damaged");
}

gboolean dt_seg_file_unpack(const uint8_t *bytes, size_t size, const char *key, const char *model,
                            dt_seg_features_t *features, char **reason)
{
  dt_seg_file_head_t head;
  memset(features, 0, sizeof *features);
  *reason = NULL;
  if(size < sizeof head) return _refuse(reason, "it is cut short");
  memcpy(&head, bytes, sizeof head);
  if(!_check_head(&head, key, model, reason) || !_check_tensors(&head, size, reason)) return FALSE;
  features->width = head.width;
  features->height = head.height;
  bytes += sizeof head;
  gboolean ok = TRUE;
  for(int i = 0; ok && i < head.n; i++)
  {
    const dt_seg_file_tensor_t *t = &head.tensors[i];
    ok = _unpack_tensor(t, bytes, &features->features[features->n++], reason);
    for(int k = 0; k < DT_SEG_FILE_PLANES; k++) bytes += t->stored[k];
  }
  if(!ok) dt_seg_features_clear(features);
  return ok;
}
