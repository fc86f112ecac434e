/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The cache of encoded pictures: what comes back is what was stored, to the bit and quickly, or nothing at all; it stays
 * within its bounds; and it knows a picture that has changed. */
#include "support.h"

#include "ai/seg_cache.h"
#include "ai/seg_file.h"
#include "common/checksum.h"
#include "common/conf.h"
#include "common/paths.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "00000000000000000000000000000000000000000000000000000000000000aa"
#define OTHER "00000000000000000000000000000000000000000000000000000000000000bb"
#define MODEL "00000000000000000000000000000000000000000000000000000000000000cc"
/* longer than it takes a file's times to settle */
#define SETTLE_US 2300000

/* --- a world --- */

static int _empty(void **state)
{
  (void)state;
  GError *error = NULL;
  dt_conf_override(DT_CONF_AI_MASK_CACHE_LIMIT, "1G");
  assert_true(dt_seg_cache_clear(&error));
  return 0;
}

static char *_path(const char *name)
{
  char *folder = dt_seg_cache_folder(), *path = g_build_filename(folder, name, NULL);
  g_free(folder);
  return path;
}

static char *_stored_path(const char *key, const char *model)
{
  char *name = g_strdup_printf("%s-%s.seg", key, model), *path = _path(name);
  g_free(name);
  return path;
}

static void _write(const char *path, const void *bytes, gsize size)
{
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, size), size);
  close(fd);
}

/* A new file of that name: much quicker, since nobody waits for a disk. */
static void _replace(const char *path, const void *bytes, gsize size)
{
  g_unlink(path);
  _write(path, bytes, size);
}

static void _set_age(const char *path, double seconds)
{
  struct timespec now, then[2];
  clock_gettime(CLOCK_REALTIME, &now);
  then[0] = then[1] =
      (struct timespec){ .tv_sec = now.tv_sec - (time_t)floor(seconds), .tv_nsec = now.tv_nsec };
  assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
}

static gboolean _exists(const char *path)
{
  GStatBuf status;
  return g_lstat(path, &status) == 0;
}

static char *_number_key(int i)
{
  return g_strdup_printf("%064x", (unsigned)i);
}

/* --- features --- */

static void _add(dt_seg_features_t *f, const char *name, int ndim, const int64_t *dims)
{
  dt_seg_feature_t *feature = &f->features[f->n++];
  size_t count = 1;
  feature->name = g_strdup(name);
  feature->ndim = ndim;
  for(int i = 0; i < ndim; i++) count *= (size_t)(feature->dims[i] = dims[i]);
  feature->data = g_new0(float, count);
}

static size_t _count(const dt_seg_feature_t *feature)
{
  size_t count = 1;
  for(int i = 0; i < feature->ndim; i++) count *= (size_t)feature->dims[i];
  return count;
}

/* About as networks give them: a normal distribution. */
static void _fill(test_random_t *random, dt_seg_feature_t *feature)
{
  const size_t count = _count(feature);
  for(size_t i = 0; i < count; i++)
  {
    double sum = -6;
    for(int k = 0; k < 12; k++) sum += test_random_range(random, 0, 1);
    feature->data[i] = (float)sum;
  }
}

static dt_seg_features_t _make_small(uint64_t seed)
{
  test_random_t random = { seed * 2654435761u + 1 };
  dt_seg_features_t f = { .width = 640, .height = 480 };
  _add(&f, "high_res_feats_0", 4, (const int64_t[]){ 1, 3, 8, 8 });
  _add(&f, "image_embed", 4, (const int64_t[]){ 1, 16, 4, 4 });
  _add(&f, "zeros", 2, (const int64_t[]){ 40, 40 });
  _fill(&random, &f.features[0]);
  _fill(&random, &f.features[1]);
  return f;
}

/* What the encoder of SAM 2.1 gives. */
static dt_seg_features_t _make_large(void)
{
  test_random_t random = { 99 };
  dt_seg_features_t f = { .width = 6000, .height = 4000 };
  _add(&f, "high_res_feats_0", 4, (const int64_t[]){ 1, 32, 256, 256 });
  _add(&f, "high_res_feats_1", 4, (const int64_t[]){ 1, 64, 128, 128 });
  _add(&f, "image_embed", 4, (const int64_t[]){ 1, 256, 64, 64 });
  for(int i = 0; i < f.n; i++) _fill(&random, &f.features[i]);
  return f;
}

static gboolean _is_same(const dt_seg_features_t *a, const dt_seg_features_t *b)
{
  gboolean same = a->n == b->n && a->width == b->width && a->height == b->height;
  for(int i = 0; same && i < a->n; i++)
  {
    const dt_seg_feature_t *x = &a->features[i], *y = &b->features[i];
    same = strcmp(x->name, y->name) == 0 && x->ndim == y->ndim
           && memcmp(x->dims, y->dims, sizeof x->dims) == 0
           && memcmp(x->data, y->data, _count(x) * sizeof(float)) == 0;
  }
  return same;
}

static void _store(const char *key, const dt_seg_features_t *f)
{
  GError *error = NULL;
  dt_seg_cache_store(key, MODEL, f, &error);
  assert_no_error(error);
}

static void _assert_loads(const char *key, const dt_seg_features_t *expected)
{
  dt_seg_features_t got;
  char *reason = NULL;
  if(!dt_seg_cache_load(key, MODEL, &got, &reason)) fail_msg("not loaded: %s", reason ? reason : "not there");
  assert_null(reason);
  assert_true(_is_same(&got, expected));
  dt_seg_features_clear(&got);
  assert_int_equal(got.n, 0);
}

static gboolean _loads(const char *key)
{
  dt_seg_features_t got;
  const gboolean ok = dt_seg_cache_load(key, MODEL, &got, NULL);
  dt_seg_features_clear(&got);
  return ok;
}

/* That nothing comes, for a reason that has @p word in it (NULL: for none, since nothing is there). */
static void _assert_refused(const char *key, const char *model, const char *word)
{
  dt_seg_features_t got;
  char *reason = NULL;
  assert_false(dt_seg_cache_load(key, model, &got, &reason));
  assert_int_equal(got.n, 0);
  if(!word)
    assert_null(reason);
  else if(!reason || !strstr(reason, word))
    fail_msg("\"%s\" instead of a reason with \"%s\"", reason ? reason : "", word);
  g_free(reason);
}

/* --- storing and loading --- */

/* The numbers that the description of the algorithm and its other implementations have. */
static void test_checksum(void **state)
{
  (void)state;
  static const char text[] = "Nobody inspects the spammish repetition";
  assert_true(dt_checksum64("", 0) == 0xEF46DB3751D8E999u);
  assert_true(dt_checksum64("a", 1) == 0xD24EC4F1A98C6E5Bu);
  assert_true(dt_checksum64("abc", 3) == 0x44BC2CF5AD770999u);
  assert_true(dt_checksum64(text, strlen(text)) == 0xFBCEA83C8A378BF1u);
}

static void test_round_trip(void **state)
{
  (void)state;
  dt_seg_features_t f = _make_small(1);
  static const uint32_t odd[] = { 0x7fc00000, 0x7f800001, 0xffffffff, 0x7f800000, 0xff800000,
                                  1,          0x80000000, 0x807fffff, 0x7f7fffff };
  memcpy(f.features[0].data, odd, sizeof odd);
  _assert_refused(KEY, MODEL, NULL);
  _store(KEY, &f);
  _assert_loads(KEY, &f);
  _assert_refused(OTHER, MODEL, NULL);
  _assert_refused(KEY, OTHER, NULL);
  dt_seg_features_t other = _make_small(2);
  _store(KEY, &other);
  _assert_loads(KEY, &other);
  dt_seg_features_clear(&other);
  dt_seg_features_clear(&f);
}

/* All sizes around those at which something begins to be done otherwise, and every kind of content. */
static void test_sizes(void **state)
{
  (void)state;
  test_random_t random = { 3 };
  for(int64_t n = 1; n < 200; n += n < 40 ? 1 : 13)
    for(int kind = 0; kind < 3; kind++)
    {
      dt_seg_features_t f = { .width = 1, .height = 20000 };
      _add(&f, "x", 1, &n);
      _add(&f, "five", 5, (const int64_t[]){ 1, 1, n, 2, 1 });
      for(int i = 0; i < f.n; i++)
      {
        uint32_t *bits = (uint32_t *)(void *)f.features[i].data;
        if(kind == 1) _fill(&random, &f.features[i]);
        for(size_t k = 0; kind == 2 && k < _count(&f.features[i]); k++) bits[k] = test_random(&random);
      }
      _store(KEY, &f);
      _assert_loads(KEY, &f);
      dt_seg_features_clear(&f);
    }
}

static void _assert_not_stored(const char *key, const dt_seg_features_t *f)
{
  GError *error = NULL;
  assert_false(dt_seg_cache_store(key, MODEL, f, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_OUTPUT));
  g_clear_error(&error);
}

static void test_impossible(void **state)
{
  (void)state;
  dt_seg_features_t f = _make_small(1), changed = f;
  char *long_name = g_strnfill(128, 'n');
  _assert_not_stored("../../etc/passwd", &f);
  _assert_not_stored("", &f);
  changed.n = 0;
  _assert_not_stored(KEY, &changed);
  changed.n = 5;
  _assert_not_stored(KEY, &changed);
  changed = f;
  changed.width = 0;
  _assert_not_stored(KEY, &changed);
  changed = f;
  changed.features[1].dims[0] = 0;
  _assert_not_stored(KEY, &changed);
  changed.features[1].dims[0] = INT64_MAX;
  _assert_not_stored(KEY, &changed);
  changed = f;
  changed.features[1].ndim = 6;
  _assert_not_stored(KEY, &changed);
  changed = f;
  changed.features[1].name = long_name;
  _assert_not_stored(KEY, &changed);
  _assert_refused("../../etc/passwd", MODEL, NULL);
  _assert_refused(KEY, "ABC", NULL);
  g_free(long_name);
  dt_seg_features_clear(&f);
}

static void test_private(void **state)
{
  (void)state;
  dt_seg_features_t f = _make_small(1);
  char *folder = dt_seg_cache_folder(), *path = _stored_path(KEY, MODEL);
  GStatBuf status;
  g_rmdir(folder);
  _store(KEY, &f);
  assert_int_equal(g_stat(folder, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0700);
  assert_int_equal(g_stat(path, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0600);
  g_free(path);
  g_free(folder);
  dt_seg_features_clear(&f);
}

/* A cache directory that cannot be written to is said, and nothing else. */
static void test_no_folder(void **state)
{
  (void)state;
  dt_seg_features_t f = _make_small(1);
  char *cache = dt_paths_get(DT_DIR_CACHE), *file = g_build_filename(test_world, "file", NULL);
  dt_seg_cache_facts_t facts;
  _write(file, "x", 1);
  dt_paths_set(DT_DIR_CACHE, file);
  _assert_not_stored(KEY, &f);
  dt_seg_features_t got;
  assert_false(dt_seg_cache_load(KEY, MODEL, &got, NULL));
  dt_seg_cache_measure(&facts);
  assert_true(facts.bytes == 0 && facts.pictures == 0 && facts.used == 0 && dt_seg_cache_clear(NULL));
  char *key = dt_seg_cache_key(file, NULL);
  assert_non_null(key);
  g_free(key);
  dt_paths_set(DT_DIR_CACHE, cache);
  g_free(file);
  g_free(cache);
  dt_seg_features_clear(&f);
}

/* A second look begins within a tenth of a second. */
static void test_speed(void **state)
{
  (void)state;
  dt_seg_features_t f = _make_large(), got;
  double best = INFINITY;
  gint64 start = g_get_monotonic_time();
  _store(KEY, &f);
  const double stored = (double)(g_get_monotonic_time() - start) / 1000;
  for(int i = 0; i < 5; i++)
  {
    start = g_get_monotonic_time();
    assert_true(dt_seg_cache_load(KEY, MODEL, &got, NULL));
    best = MIN(best, (double)(g_get_monotonic_time() - start) / 1000);
    assert_true(_is_same(&f, &got));
    dt_seg_features_clear(&got);
  }
  dt_seg_cache_facts_t facts;
  dt_seg_cache_measure(&facts);
  print_message("stored in %.0f ms, loaded in %.0f ms, %.1f of 16.8 MB\n", stored, best,
                (double)facts.bytes / 1e6);
  assert_true(facts.bytes < 15000000);
  if(!test_is_sanitized()) assert_true(best < 100);
  dt_seg_features_clear(&f);
}

/* --- files that are not what they should be --- */

typedef struct _original_t
{
  char *bytes, *path;
  gsize size;
} _original_t;

static _original_t _make_original(void)
{
  _original_t o = { .path = _stored_path(KEY, MODEL) };
  dt_seg_features_t f = _make_small(7);
  _store(KEY, &f);
  dt_seg_features_clear(&f);
  assert_true(g_file_get_contents(o.path, &o.bytes, &o.size, NULL));
  return o;
}

static void _free_original(_original_t *o)
{
  g_free(o->bytes);
  g_free(o->path);
}

/* Each change of a single bit, of the length, and whatever else happens to files. */
static void test_damaged(void **state)
{
  (void)state;
  _original_t o = _make_original();
  test_random_t random = { 11 };
  for(int i = 0; i < 8000; i++)
  {
    char *bytes = g_memdup2(o.bytes, o.size);
    gsize size = o.size;
    const int at = test_random_int(&random, 0, (int)size - 1);
    if(i % 8 == 0)
      size = (gsize)at;
    else if(i % 8 == 1)
      for(int k = at; k < (int)MIN(size, (gsize)at + 512); k++) bytes[k] = (char)~test_random(&random);
    else
      bytes[at] = (char)(bytes[at] ^ 1 << test_random_int(&random, 0, 7));
    if(memcmp(bytes, o.bytes, size) == 0 && size == o.size) bytes[at] ^= 1;
    _replace(o.path, bytes, size);
    _assert_refused(KEY, MODEL, "");
    g_free(bytes);
  }
  _free_original(&o);
}

/* A head that says something else, with a digest that is right: only sense can tell. */
static void _lie(test_random_t *random, dt_seg_file_head_t *head)
{
  static const int64_t numbers[] = { 0,         -1,        1,         2,         3,       4,    5,
                                     255,       256,       1040,      1 << 20,   1600,    6400, 192,
                                     INT32_MAX, INT64_MAX, INT64_MIN, INT32_MIN, 64 << 20 };
  const int64_t number = numbers[test_random_int(random, 0, G_N_ELEMENTS(numbers) - 1)];
  dt_seg_file_tensor_t *t = &head->tensors[test_random_int(random, 0, DT_SEG_MAX_FEATURES - 1)];
  switch(test_random_int(random, 0, 8))
  {
  case 0: head->n = (int32_t)number; break;
  case 1: head->width = (int32_t)number; break;
  case 2: t->ndim = (int32_t)number; break;
  case 3: t->dims[test_random_int(random, 0, DT_SEG_MAX_DIMS - 1)] = number; break;
  case 4: t->stored[test_random_int(random, 0, DT_SEG_FILE_PLANES - 1)] = (uint64_t)number; break;
  case 5: t->stored[test_random_int(random, 0, DT_SEG_FILE_PLANES - 1)] -= (uint64_t)number; break;
  case 6: memset(t->name, test_random_int(random, 0, 1) ? 'x' : 0, sizeof t->name); break;
  case 7: t->sums[test_random_int(random, 0, DT_SEG_FILE_PLANES - 1)] = (uint64_t)number; break;
  default: *t = head->tensors[test_random_int(random, 0, DT_SEG_MAX_FEATURES - 1)]; break;
  }
}

static void _assert_sane(const dt_seg_features_t *f, float *sum)
{
  assert_in_range(f->n, 1, DT_SEG_MAX_FEATURES);
  for(int i = 0; i < f->n; i++)
  {
    assert_non_null(f->features[i].name);
    const size_t count = _count(&f->features[i]);
    for(size_t k = 0; k < count; k++) *sum += f->features[i].data[k];
  }
}

static void test_lies(void **state)
{
  (void)state;
  _original_t o = _make_original();
  test_random_t random = { 12 };
  dt_seg_features_t got;
  float sum = 0;
  int accepted = 0;
  for(int i = 0; i < 2000; i++)
  {
    char *bytes = g_memdup2(o.bytes, o.size);
    dt_seg_file_head_t head;
    memcpy(&head, bytes, sizeof head);
    for(int k = test_random_int(&random, 1, 3); k > 0; k--) _lie(&random, &head);
    dt_seg_file_seal(&head);
    memcpy(bytes, &head, sizeof head);
    _replace(o.path, bytes, o.size);
    char *reason = NULL;
    const gboolean ok = dt_seg_cache_load(KEY, MODEL, &got, &reason);
    assert_true(ok == !reason);
    if(ok) _assert_sane(&got, &sum);
    accepted += ok;
    dt_seg_features_clear(&got);
    g_free(reason);
    g_free(bytes);
  }
  /* another width of the picture, or one in the place of another 1, is nothing to be seen */
  assert_in_range(accepted, 0, 1000);
  _free_original(&o);
}

static void _assert_sealed_refused(const _original_t *o, const dt_seg_file_head_t *head, const char *word)
{
  dt_seg_file_head_t sealed = *head;
  char *bytes = g_memdup2(o->bytes, o->size);
  dt_seg_file_seal(&sealed);
  memcpy(bytes, &sealed, sizeof sealed);
  _write(o->path, bytes, o->size);
  _assert_refused(KEY, MODEL, word);
  g_free(bytes);
}

static void test_reasons(void **state)
{
  (void)state;
  _original_t o = _make_original();
  dt_seg_file_head_t good, head;
  memcpy(&good, o.bytes, sizeof good);
  head = good;
  head.version = 2;
  _assert_sealed_refused(&o, &head, "version 2");
  head = good;
  head.order = GUINT32_SWAP_LE_BE(head.order);
  _assert_sealed_refused(&o, &head, "byte order");
  head = good;
  head.tensors[0].dims[3] = INT64_MAX;
  _assert_sealed_refused(&o, &head, "too large");
  head.tensors[0].dims[3] = 64 << 20;
  _assert_sealed_refused(&o, &head, "too large");
  head = good;
  head.n = 1000000;
  _assert_sealed_refused(&o, &head, "1000000 tensors");
  head = good;
  head.tensors[0].stored[0]++;
  _assert_sealed_refused(&o, &head, "size of plane");
  _write(o.path, o.bytes, o.size - 1);
  _assert_refused(KEY, MODEL, "instead of");
  _write(o.path, "", 0);
  _assert_refused(KEY, MODEL, "cut short");
  char *photo = g_strnfill(5000, 'p');
  _write(o.path, photo, 5000);
  _assert_refused(KEY, MODEL, "no encoded picture");
  g_free(photo);
  _free_original(&o);
}

/* Under another's name, as a directory, and much too large. */
static void test_foreign(void **state)
{
  (void)state;
  _original_t o = _make_original();
  char *key = _stored_path(OTHER, MODEL), *model = _stored_path(KEY, OTHER);
  _write(key, o.bytes, o.size);
  _write(model, o.bytes, o.size);
  _assert_refused(OTHER, MODEL, "another picture");
  _assert_refused(KEY, OTHER, "another model");
  assert_int_equal(truncate(key, (off_t)1 << 34), 0);
  _assert_refused(OTHER, MODEL, "larger than");
  assert_int_equal(g_unlink(model), 0);
  assert_int_equal(g_mkdir(model, 0700), 0);
  _assert_refused(KEY, OTHER, "no ordinary file");
  /* what is stored takes its place, where it can */
  _write(o.path, "rubbish", 7);
  dt_seg_features_t f = _make_small(1);
  _store(KEY, &f);
  _assert_loads(KEY, &f);
  dt_seg_features_clear(&f);
  g_free(model);
  g_free(key);
  _free_original(&o);
}

/* --- bounds --- */

/* Ten pictures, each a minute older than the next. @return bytes of one */
static guint64 _store_ten(void)
{
  dt_seg_cache_facts_t facts;
  dt_seg_features_t f = _make_small(1);
  for(int i = 0; i < 10; i++)
  {
    char *key = _number_key(i), *path = _stored_path(key, MODEL);
    _store(key, &f);
    _set_age(path, 60 * (10 - i));
    g_free(path);
    g_free(key);
  }
  dt_seg_cache_measure(&facts);
  assert_int_equal(facts.pictures, 10);
  /* the last was used a minute ago */
  assert_true(ABS(g_get_real_time() / 1000000 - 60 - facts.used) < 30);
  dt_seg_features_clear(&f);
  return facts.bytes / 10;
}

static void _set_limit(guint64 bytes)
{
  char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);
  dt_conf_override(DT_CONF_AI_MASK_CACHE_LIMIT, text);
  g_free(text);
}

/* Which of the numbered ones are there: "0123456789". Looked at, not loaded. */
static void _assert_there(const char *expected)
{
  char *there = g_strdup("");
  for(int i = 0; i < 16; i++)
  {
    char *key = _number_key(i), *path = _stored_path(key, MODEL), *old = there;
    there = g_strdup_printf("%s%.*x", old, 1, (unsigned)i);
    if(!_exists(path))
    {
      g_free(there);
      there = g_strdup(old);
    }
    g_free(old);
    g_free(path);
    g_free(key);
  }
  assert_string_equal(there, expected);
  g_free(there);
}

static void _store_number(int i)
{
  char *key = _number_key(i);
  dt_seg_features_t f = _make_small(1);
  _store(key, &f);
  dt_seg_features_clear(&f);
  g_free(key);
}

static void test_order(void **state)
{
  (void)state;
  const guint64 one = _store_ten();
  _set_limit(10 * one);
  _store_number(10);
  _assert_there("123456789a");
  char *key = _number_key(1);
  assert_true(_loads(key)); /* used now */
  g_free(key);
  _set_limit(5 * one + one / 2);
  _store_number(11);
  _assert_there("189ab");
}

static void test_small_limits(void **state)
{
  (void)state;
  const guint64 one = _store_ten();
  GError *error = NULL;
  dt_seg_features_t f = _make_small(1);
  _set_limit(one - 1); /* not one fits: those that are there stay */
  assert_true(dt_seg_cache_store(KEY, MODEL, &f, &error));
  _set_limit(0);
  assert_true(dt_seg_cache_store(KEY, MODEL, &f, &error));
  assert_false(_loads(KEY));
  _assert_there("0123456789");
  _set_limit(one); /* just what is stored, though a clock says that others are newer */
  char *key = _number_key(5), *path = _stored_path(key, MODEL);
  _set_age(path, -600);
  _store_number(12);
  _assert_there("c");
  g_free(path);
  g_free(key);
  dt_seg_features_clear(&f);
}

/* What a killed writer left goes, what is being written stays, and a time far ahead is no reason to stay. */
static void test_sweep(void **state)
{
  (void)state;
  const guint64 one = _store_ten();
  char *old = _path("something.seg.ABC123"), *young = _path("something.seg.DEF456"), *key = _number_key(7);
  char *folder = _path("folder"), *inner = _path("folder/inner"), *ahead = _stored_path(key, MODEL);
  _write(old, "x", 1);
  _write(young, "x", 1);
  g_mkdir(folder, 0700);
  _write(inner, "x", 1);
  _set_age(old, 4000);
  _set_age(folder, 4000);
  _set_age(ahead, -100000);
  _set_limit(10 * one + 100);
  _store_number(10);
  assert_false(_exists(old) || _exists(folder));
  assert_true(_exists(young));
  _assert_there("012345689a");
  g_free(ahead);
  g_free(inner);
  g_free(folder);
  g_free(key);
  g_free(young);
  g_free(old);
}

static void test_clear(void **state)
{
  (void)state;
  _store_ten();
  char *name = _path("anything"), *folder = dt_seg_cache_folder(), *link = _path("link");
  char *precious = g_build_filename(test_world, "precious", NULL);
  GError *error = NULL;
  dt_seg_cache_facts_t facts;
  _write(precious, "x", 1);
  _write(name, "x", 1);
  assert_int_equal(symlink(precious, link), 0);
  assert_true(dt_seg_cache_clear(&error));
  dt_seg_cache_measure(&facts);
  assert_true(facts.bytes == 0 && facts.pictures == 0 && facts.used == 0);
  assert_true(_exists(precious) && _exists(folder));
  g_free(precious);
  g_free(link);
  g_free(folder);
  g_free(name);
}

/* Paths are remembered, but not all there ever were. */
static void test_many_paths(void **state)
{
  (void)state;
  int left = 0;
  for(int i = 0; i < 1100; i++)
  {
    char *key = _number_key(i), *name = g_strconcat(key, ".key", NULL), *path = _path(name);
    _write(path, "x", 1);
    _set_age(path, 2000 - i);
    g_free(path);
    g_free(name);
    g_free(key);
  }
  _store_number(1);
  _assert_there("1");
  for(int i = 0; i < 1100; i++)
  {
    char *key = _number_key(i), *name = g_strconcat(key, ".key", NULL), *path = _path(name);
    left += _exists(path);
    assert_true(_exists(path) == (i >= 100));
    g_free(path);
    g_free(name);
    g_free(key);
  }
  assert_int_equal(left, 1000);
}

/* --- several at once --- */

/* Stores and loads a few pictures again and again; whatever is loaded is right. */
static gboolean _hammer(uint64_t seed, int rounds)
{
  test_random_t random = { seed * 7919 + 1 };
  gboolean ok = TRUE;
  for(int i = 0; ok && i < rounds; i++)
  {
    const int number = test_random_int(&random, 0, 5);
    char *key = _number_key(number);
    dt_seg_features_t f = _make_small((uint64_t)number), got;
    if(test_random_int(&random, 0, 2) == 0)
      ok = dt_seg_cache_store(key, MODEL, &f, NULL);
    else
    {
      char *reason = NULL;
      if(dt_seg_cache_load(key, MODEL, &got, &reason)) ok = _is_same(&f, &got);
      ok &= !reason;
      dt_seg_features_clear(&got);
      g_free(reason);
    }
    dt_seg_features_clear(&f);
    g_free(key);
  }
  return ok;
}

static gpointer _hammer_thread(gpointer data)
{
  return GINT_TO_POINTER(_hammer(GPOINTER_TO_UINT(data), 300));
}

/* Another process of this program, with this world's cache. */
static void _start(GPid *pid, const char *what, const char *number, char **environment)
{
  char *cache = dt_paths_get(DT_DIR_CACHE);
  char *self = g_file_read_link("/proc/self/exe", NULL);
  char *arguments[] = { self, (char *)what, (char *)number, cache, NULL };
  GError *error = NULL;
  g_spawn_async(NULL, arguments, environment, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, pid, &error);
  assert_no_error(error);
  g_free(self);
  g_free(cache);
}

static int _wait(GPid pid)
{
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  g_spawn_close_pid(pid);
  return status;
}

/* Two processes and four threads, with room for half of it. */
static void test_concurrent(void **state)
{
  (void)state;
  GPid pids[2];
  GThread *threads[4];
  const guint64 one = _store_ten();
  _empty(NULL);
  _set_limit(3 * one + one / 2);
  _start(&pids[0], "--hammer", "101", NULL);
  _start(&pids[1], "--hammer", "102", NULL);
  for(guint i = 0; i < 4; i++) threads[i] = g_thread_new("hammer", _hammer_thread, GUINT_TO_POINTER(i));
  for(int i = 0; i < 4; i++) assert_true(GPOINTER_TO_INT(g_thread_join(threads[i])));
  for(int i = 0; i < 2; i++) assert_int_equal(_wait(pids[i]), 0);
  dt_seg_cache_facts_t facts;
  _store_number(1);
  dt_seg_cache_measure(&facts);
  assert_in_range(facts.pictures, 1, 3);
}

#ifdef DT_TEST_FAIL_IO
/* The exit status of a process that stores while its call @p number fails or kills it. */
static int _store_elsewhere(const char *variable, int number)
{
  GPid pid;
  char *text = g_strdup_printf("%d", number), **environment = g_get_environ();
  environment = g_environ_setenv(environment, "LD_PRELOAD", DT_TEST_FAIL_IO, TRUE);
  environment = g_environ_setenv(environment, variable, text, TRUE);
  _start(&pid, "--store", "2", environment);
  g_strfreev(environment);
  g_free(text);
  return _wait(pid);
}

/* Whatever call a process dies at or fails in: the old is there, or the new. */
static void test_crash(void **state)
{
  (void)state;
  static const char *const variables[] = { "DT_KILL_AT", "DT_FAIL_AT" };
  dt_seg_features_t old = _make_small(1), new = _make_small(2), got;
  for(size_t v = 0; v < G_N_ELEMENTS(variables); v++)
  {
    int status = -1, number = 0;
    while(status != 0 && ++number < 100)
    {
      _empty(NULL);
      if(number % 2) _store(KEY, &old);
      status = _store_elsewhere(variables[v], number);
      char *reason = NULL;
      const gboolean there = dt_seg_cache_load(KEY, MODEL, &got, &reason);
      assert_null(reason);
      assert_true(there ? _is_same(&got, &new) || (status != 0 && _is_same(&got, &old))
                        : status != 0 && number % 2 == 0);
      dt_seg_features_clear(&got);
    }
    assert_in_range(number, 3, 99); /* once each, and once without */
  }
  dt_seg_features_clear(&new);
  dt_seg_features_clear(&old);
}
#endif

/* --- keys of files --- */

static char *_photo(const char *name, const char *text)
{
  char *path = g_build_filename(test_world, name, NULL);
  if(text) _write(path, text, strlen(text));
  return path;
}

static void _assert_key(const char *path, const char *text)
{
  GError *error = NULL;
  char *key = dt_seg_cache_key(path, &error);
  assert_no_error(error);
  char *expected = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
  assert_string_equal(key, expected);
  g_free(expected);
  g_free(key);
}

/* The files that remember a path. */
static GPtrArray *_list_memos(void)
{
  GPtrArray *memos = g_ptr_array_new_with_free_func(g_free);
  char *folder = dt_seg_cache_folder();
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
    if(g_str_has_suffix(name, ".key")) g_ptr_array_add(memos, g_build_filename(folder, name, NULL));
  if(dir) g_dir_close(dir);
  g_free(folder);
  return memos;
}

static void _assert_memos(guint n)
{
  GPtrArray *memos = _list_memos();
  assert_int_equal(memos->len, n);
  g_ptr_array_unref(memos);
}

/* Makes the only memory say another key, checksum included, so that using it shows. */
static void _forge(void)
{
  GPtrArray *memos = _list_memos();
  assert_int_equal(memos->len, 1);
  char *line;
  assert_true(g_file_get_contents(memos->pdata[0], &line, NULL, NULL));
  *strrchr(line, ' ') = 0;
  memcpy(line + strlen(line) - 64, OTHER, 64);
  char *forged =
      g_strdup_printf("%s %016" G_GINT64_MODIFIER "x\n", line, (guint64)dt_checksum64(line, strlen(line)));
  _write(memos->pdata[0], forged, strlen(forged));
  g_free(forged);
  g_free(line);
  g_ptr_array_unref(memos);
}

static void _assert_forged(const char *path)
{
  char *key = dt_seg_cache_key(path, NULL);
  assert_string_equal(key, OTHER);
  g_free(key);
}

/* Changed with the same size, within one tick of any clock, and with its time put back. */
static void test_key_changes(void **state)
{
  (void)state;
  char *path = _photo("photo.jpg", NULL), text[] = "content 0";
  for(int i = 0; i < 50; i++)
  {
    text[8] = (char)('0' + i % 10);
    _write(path, text, strlen(text));
    if(i % 2) _set_age(path, 1000);
    _assert_key(path, text);
  }
  _assert_memos(0);
  g_free(path);
}

/* Files that have been there long enough. */
static int _settle(void **state)
{
  g_free(_photo("settled.jpg", "content A"));
  g_free(_photo("damaged.jpg", "content A"));
  g_usleep(SETTLE_US);
  return _empty(state);
}

/* Looked up, and not when anything about the file has changed. */
static void test_key_lookup(void **state)
{
  (void)state;
  char *path = _photo("settled.jpg", NULL), *moved = _photo("moved.jpg", NULL);
  char *link = _photo("link.jpg", NULL);
  _assert_key(path, "content A");
  _assert_memos(1);
  _assert_key(path, "content A");
  _forge();
  _assert_forged(path);
  g_unlink(link);
  assert_int_equal(symlink(path, link), 0);
  _assert_forged(link); /* one and the same file */
  GStatBuf status;
  assert_int_equal(g_stat(path, &status), 0);
  const int fd = open(path, O_WRONLY);
  assert_int_equal(write(fd, "content B", 9), 9);
  assert_int_equal(futimens(fd, (const struct timespec[]){ status.st_atim, status.st_mtim }), 0);
  close(fd);
  _assert_key(path, "content B");
  _assert_key(link, "content B");
  g_usleep(SETTLE_US);
  _assert_key(path, "content B"); /* remembered anew */
  _forge();
  _assert_forged(path);
  assert_int_equal(g_rename(path, moved), 0);
  _assert_key(moved, "content B");
  _write(path, "content C", 9);
  _assert_key(path, "content C");
  _assert_key(link, "content C");
  g_free(link);
  g_free(moved);
  g_free(path);
}

/* A memory that is not what was written is none. */
static void test_key_damaged(void **state)
{
  (void)state;
  char *path = _photo("damaged.jpg", NULL), *line;
  gsize size;
  _assert_key(path, "content A");
  GPtrArray *memos = _list_memos();
  assert_int_equal(memos->len, 1);
  assert_true(g_file_get_contents(memos->pdata[0], &line, &size, NULL));
  for(gsize i = 0; i < size; i++)
  {
    line[i] ^= 1;
    _replace(memos->pdata[0], line, size);
    _assert_key(path, "content A");
    line[i] ^= 1;
    _replace(memos->pdata[0], line, i);
    _assert_key(path, "content A");
  }
  g_free(line);
  char *rubbish = g_strnfill(100000, 'r');
  _write(memos->pdata[0], rubbish, 100000);
  _assert_key(path, "content A");
  g_free(rubbish);
  g_ptr_array_unref(memos);
  g_free(path);
}

static void _assert_no_key(const char *path)
{
  GError *error = NULL;
  assert_null(dt_seg_cache_key(path, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
}

static void test_key_errors(void **state)
{
  (void)state;
  char *missing = _photo("missing", NULL), *pipe = _photo("pipe", NULL), *empty = _photo("empty", "");
  assert_int_equal(mkfifo(pipe, 0600), 0);
  _assert_no_key(missing);
  _assert_no_key(pipe);
  _assert_no_key(test_world);
  _assert_no_key("");
  _assert_key(empty, "");
  g_free(empty);
  g_free(pipe);
  g_free(missing);
}

/* --- */

/* What this program does for itself in another process: hammers, or stores one picture. */
static int _serve(char **argv)
{
  dt_paths_set(DT_DIR_CACHE, argv[3]);
  const int number = (int)g_ascii_strtoll(argv[2], NULL, 10);
  if(strcmp(argv[1], "--hammer") == 0) return _hammer((uint64_t)number, 200) ? 0 : 1;
  dt_seg_features_t f = _make_small((uint64_t)number);
  const gboolean ok = dt_seg_cache_store(KEY, MODEL, &f, NULL);
  dt_seg_features_clear(&f);
  return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_checksum),
    cmocka_unit_test_setup(test_round_trip, _empty),
    cmocka_unit_test_setup(test_sizes, _empty),
    cmocka_unit_test_setup(test_impossible, _empty),
    cmocka_unit_test_setup(test_private, _empty),
    cmocka_unit_test_setup(test_no_folder, _empty),
    cmocka_unit_test_setup(test_speed, _empty),
    cmocka_unit_test_setup(test_damaged, _empty),
    cmocka_unit_test_setup(test_lies, _empty),
    cmocka_unit_test_setup(test_reasons, _empty),
    cmocka_unit_test_setup(test_foreign, _empty),
    cmocka_unit_test_setup(test_order, _empty),
    cmocka_unit_test_setup(test_small_limits, _empty),
    cmocka_unit_test_setup(test_sweep, _empty),
    cmocka_unit_test_setup(test_clear, _empty),
    cmocka_unit_test_setup(test_many_paths, _empty),
    cmocka_unit_test_setup(test_concurrent, _empty),
#ifdef DT_TEST_FAIL_IO
    cmocka_unit_test_setup(test_crash, _empty),
#endif
    cmocka_unit_test_setup(test_key_changes, _empty),
    cmocka_unit_test_setup(test_key_lookup, _settle),
    cmocka_unit_test_setup(test_key_damaged, _empty),
    cmocka_unit_test_setup(test_key_errors, _empty),
  };
  if(argc == 4) return _serve(argv);
  return cmocka_run_group_tests_name("seg_cache", tests, test_world_set_up, test_world_tear_down);
}
