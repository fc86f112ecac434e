/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target as a plain test: over the files of its corpus, because what a fuzzer once found stays found,
 * and over mutations of them, because most trouble is a few bytes away from what is right.
 *
 *   fuzz_TARGET CORPUS
 *
 * DT_FUZZ_RUNS is the number of mutations (300; 10000 with DT_TEST_LONG), DT_FUZZ_SEED where they start from. Each
 * mutation depends on the seed and its number alone; the line in front of a crash's report says how to have it
 * again. */
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNS 300
#define LONG_RUNS 10000
#define MAX_STEPS 8          /* changes in one mutation */
#define MAX_BYTES (1u << 20) /* what grows stays within this, or within its file's size */
#define MAX_BLOCK 64         /* bytes inserted or copied at once */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct _file_t
{
  char *name;
  char *bytes;
  gsize size;
} _file_t;

/* The input in a block of exactly its size, so that a sanitizer sees every byte read too many. */
static void _run(const void *bytes, size_t size)
{
  uint8_t *exact = malloc(size ? size : 1);
  if(!exact) exit(1);
  if(size) memcpy(exact, bytes, size);
  LLVMFuzzerTestOneInput(exact, size);
  free(exact);
}

/* --- the corpus --- */

static void _free_file(gpointer data)
{
  _file_t *f = data;
  g_free(f->bytes);
  g_free(f->name);
  g_free(f);
}

/* In the order of their names: directories are in none, and results are to be the same everywhere. */
static int _compare_files(gconstpointer a, gconstpointer b)
{
  const _file_t *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

static GPtrArray *_read_corpus(const char *folder)
{
  GPtrArray *files = g_ptr_array_new_with_free_func(_free_file);
  GDir *dir = g_dir_open(folder, 0, NULL);
  for(const char *name; dir && (name = g_dir_read_name(dir));)
  {
    char *path = g_build_filename(folder, name, NULL);
    _file_t *f = g_new0(_file_t, 1);
    f->name = g_strdup(name);
    if(!g_file_get_contents(path, &f->bytes, &f->size, NULL)) exit(1);
    g_ptr_array_add(files, f);
    g_free(path);
  }
  if(dir) g_dir_close(dir);
  g_ptr_array_sort(files, _compare_files);
  return files;
}

/* Whole, and cut short, as files are. */
static void _run_file(const _file_t *f)
{
  _run(f->bytes, f->size);
  for(gsize part = f->size / 2; part > 0 && part > f->size / 64; part /= 2) _run(f->bytes, part);
}

/* --- mutations --- */

/* splitmix64: any seed is as good as any other */
static uint64_t _next(uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* From 0 to @p n - 1; 0 for none. */
static size_t _below(uint64_t *state, size_t n)
{
  return n ? (size_t)(_next(state) % n) : 0;
}

static void _flip_bit(GByteArray *b, uint64_t *state)
{
  if(b->len) b->data[_below(state, b->len)] ^= (uint8_t)(1u << _below(state, 8));
}

/* Bytes at which sizes, signs and texts end. */
static void _set_byte(GByteArray *b, uint64_t *state)
{
  static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '\\', '{', '[', ']', '/', '.', '\n', 0x1b };
  if(b->len) b->data[_below(state, b->len)] = odd[_below(state, sizeof odd)];
}

static void _insert(GByteArray *b, size_t at, const uint8_t *bytes, size_t n)
{
  const guint before = b->len;
  g_byte_array_set_size(b, before + (guint)n);
  memmove(b->data + at + n, b->data + at, before - at);
  memcpy(b->data + at, bytes, n);
}

static void _insert_bytes(GByteArray *b, uint64_t *state)
{
  uint8_t bytes[MAX_BLOCK];
  const size_t n = 1 + _below(state, _below(state, 4) ? 4 : MAX_BLOCK);
  const gboolean same = _below(state, 2);
  for(size_t i = 0; i < n; i++) bytes[i] = same && i ? bytes[0] : (uint8_t)_next(state);
  _insert(b, _below(state, b->len + 1u), bytes, n);
}

static void _remove_bytes(GByteArray *b, uint64_t *state)
{
  const size_t at = _below(state, b->len), n = 1 + _below(state, MAX_BLOCK);
  if(b->len) g_byte_array_remove_range(b, (guint)at, (guint)MIN(n, b->len - at));
}

/* A part again somewhere else, over what is there or between. */
static void _copy_block(GByteArray *b, uint64_t *state)
{
  if(!b->len) return;
  uint8_t block[MAX_BLOCK];
  const size_t from = _below(state, b->len), n = 1 + _below(state, MIN(MAX_BLOCK, b->len - from));
  memcpy(block, b->data + from, n);
  const size_t to = _below(state, b->len);
  if(_below(state, 2))
    _insert(b, to, block, n);
  else
    memcpy(b->data + to, block, MIN(n, b->len - to));
}

static void _truncate(GByteArray *b, uint64_t *state)
{
  g_byte_array_set_size(b, (guint)_below(state, b->len + 1u));
}

/* The beginning of the one and the end of the other. */
static void _splice(GByteArray *b, const _file_t *other, uint64_t *state)
{
  const size_t from = _below(state, other->size + 1);
  _truncate(b, state);
  g_byte_array_append(b, (const guint8 *)other->bytes + from, (guint)(other->size - from));
}

/* Small changes more often than those after which little is left. */
static void _change(GByteArray *b, const GPtrArray *files, uint64_t *state)
{
  switch(_below(state, 16))
  {
  case 0: _truncate(b, state); break;
  case 1: _splice(b, files->pdata[_below(state, files->len)], state); break;
  case 2:
  case 3: _remove_bytes(b, state); break;
  case 4:
  case 5:
  case 6: _insert_bytes(b, state); break;
  case 7:
  case 8:
  case 9: _copy_block(b, state); break;
  case 10:
  case 11:
  case 12: _set_byte(b, state); break;
  default: _flip_bit(b, state); break;
  }
}

static GByteArray *_mutate(const GPtrArray *files, guint64 seed, guint run)
{
  const _file_t *f = files->pdata[run % files->len];
  uint64_t state = seed + ((uint64_t)run << 32);
  GByteArray *b = g_byte_array_new();
  g_byte_array_append(b, (const guint8 *)f->bytes, (guint)f->size);
  const size_t steps = 1 + _below(&state, MAX_STEPS);
  for(size_t i = 0; i < steps; i++) _change(b, files, &state);
  if(b->len > MAX(MAX_BYTES, f->size)) g_byte_array_set_size(b, MAX(MAX_BYTES, (guint)f->size));
  return b;
}

/* --- the loop --- */

static guint64 _read_number(const char *variable, guint64 fallback)
{
  const char *text = g_getenv(variable);
  return text && *text ? g_ascii_strtoull(text, NULL, 10) : fallback;
}

static char _last[128]; /* how to have the mutation that runs again */

static void _say_last(void)
{
  const ssize_t written = write(STDERR_FILENO, _last, strlen(_last));
  (void)written;
}

static void _on_crash(int number)
{
  _say_last();
  signal(number, SIG_DFL);
  raise(number);
}

/* a sanitizer reports and leaves by itself; not there without one */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void _watch_for_crashes(void)
{
  signal(SIGABRT, _on_crash);
  if(__sanitizer_set_death_callback)
    __sanitizer_set_death_callback(_say_last);
  else
    signal(SIGSEGV, _on_crash);
}

static void _run_mutations(const GPtrArray *files)
{
  const guint64 seed = _read_number("DT_FUZZ_SEED", 1);
  const guint first = (guint)_read_number("DT_FUZZ_FIRST", 0);
  const guint runs = (guint)_read_number("DT_FUZZ_RUNS", g_getenv("DT_TEST_LONG") ? LONG_RUNS : RUNS);
  printf("%u files; %u mutations from number %u, seed %" G_GUINT64_FORMAT "\n", files->len, runs, first,
         seed);
  fflush(stdout);
  _watch_for_crashes();
  for(guint run = first; run < first + runs; run++)
  {
    const _file_t *f = files->pdata[run % files->len];
    g_snprintf(_last, sizeof _last,
               "again: DT_FUZZ_SEED=%" G_GUINT64_FORMAT " DT_FUZZ_FIRST=%u DT_FUZZ_RUNS=1 (%.40s)\n", seed,
               run, f->name);
    GByteArray *b = _mutate(files, seed, run);
    _run(b->data, b->len);
    g_byte_array_unref(b);
  }
}

int main(int argc, char **argv)
{
  GPtrArray *files = argc > 1 ? _read_corpus(argv[1]) : NULL;
  if(!files || files->len == 0) return 1;
  for(guint i = 0; i < files->len; i++) _run_file(files->pdata[i]);
  _run_mutations(files);
  g_ptr_array_unref(files);
  return 0;
}
