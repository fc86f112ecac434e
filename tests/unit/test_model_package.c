/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packages: what a packer writes is unpacked as it was; each kind of hostile, damaged or mistaken archive is
 * refused with its own sentence, and nothing ever appears outside the directory. Every row of the table of
 * threats is here: traversal, absolute names, links and writing through them, lying sizes, bombs, duplicates,
 * names that differ in case, devices, permissions, damage. */
#include "support.h"
#include "zip_maker.h"

#include "common/model_package.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONFIG "{\"id\": \"tiny\", \"name\": \"Tiny\", \"task\": \"denoise\"}\n"
/** A member that is as it should be. */
#define FILE_MEMBER(path, text) .name = path, .data = text, .size = sizeof(text) - 1
#define CONFIG_MEMBER                                                                                        \
  {                                                                                                          \
    FILE_MEMBER("tiny/config.json", CONFIG)                                                                  \
  }
#define MIB ((size_t)1 << 20)

/* --- a world to unpack in: WORLD/outer/stage, and things beside it that must not change --- */

static char *_outer, *_stage, *_package;

static int _setup(void **state)
{
  (void)state;
  const char *world = test_world_create();
  _outer = g_build_filename(world, "outer", NULL);
  _stage = g_build_filename(_outer, "stage", NULL);
  _package = g_build_filename(world, "some.dtmodel", NULL);
  char *victim = g_build_filename(_outer, "victim", NULL);
  g_mkdir_with_parents(victim, 0755);
  g_free(victim);
  return 0;
}

static int _remove(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)status;
  (void)type;
  (void)place;
  return remove(path);
}

static void _renew_stage(void)
{
  nftw(_stage, _remove, 16, FTW_DEPTH | FTW_PHYS);
  assert_int_equal(g_mkdir(_stage, 0755), 0);
}

static int _teardown(void **state)
{
  (void)state;
  test_world_destroy();
  g_free(_outer);
  g_free(_stage);
  g_free(_package);
  return 0;
}

static GString *_seen;
static gboolean _with_stage;

static int _note(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)type;
  (void)place;
  if(!_with_stage && g_str_has_prefix(path, _stage)) return 0;
  if(strcmp(path, _package) == 0) return 0;
  g_string_append_printf(_seen, "%s %o", path, status->st_mode);
  if(S_ISREG(status->st_mode)) g_string_append_printf(_seen, " %ld", (long)status->st_size);
  if(S_ISDIR(status->st_mode))
    g_string_append_c(_seen, '/');
  else
    assert_true(S_ISREG(status->st_mode) && status->st_nlink == 1);
  g_string_append_c(_seen, '\n');
  return 0;
}

/** Everything in the world, with the stage or without; fails when there is anything but files and
 * directories. */
static char *_snapshot(gboolean with_stage)
{
  char *world = g_path_get_dirname(_outer);
  _seen = g_string_new(NULL);
  _with_stage = with_stage;
  assert_int_equal(nftw(world, _note, 16, FTW_PHYS), 0);
  g_free(world);
  return g_string_free(_seen, FALSE);
}

static void _write_package(const void *bytes, size_t size)
{
  assert_true(g_file_set_contents(_package, bytes, (gssize)size, NULL));
}

static char *_unpack_with(const char *sha256, GError **error)
{
  char *before = _snapshot(FALSE);
  char *id = dt_package_unpack(_package, _stage, sha256, NULL, NULL, NULL, error);
  char *after = _snapshot(FALSE);
  assert_string_equal(before, after);
  g_free(_snapshot(TRUE)); // no link in the stage
  g_free(before);
  g_free(after);
  return id;
}

static void _assert_error(GError **error, int code, const char *word)
{
  assert_non_null(*error);
  if((*error)->domain != DT_AI_ERROR || (*error)->code != code || !strstr((*error)->message, word))
    fail_msg("expected %d \"%s\", got %d: %s", code, word, (*error)->code, (*error)->message);
  assert_true(g_str_has_suffix((*error)->message, ".") && g_utf8_validate((*error)->message, -1, NULL));
  assert_null(strpbrk((*error)->message, "\n\r\t\033"));
  g_clear_error(error);
}

static void _refuse_bytes(const void *bytes, size_t size, int code, const char *word)
{
  GError *error = NULL;
  _renew_stage();
  _write_package(bytes, size);
  assert_null(_unpack_with(NULL, &error));
  _assert_error(&error, code, word);
}

static void _refuse(const zip_member_t *members, size_t count, const char *word)
{
  GByteArray *zip = zip_make(members, count);
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, word);
  g_byte_array_unref(zip);
}

/** A good config.json and then this one. */
static void _refuse_member(zip_member_t member, const char *word)
{
  const zip_member_t members[] = { CONFIG_MEMBER, member };
  _refuse(members, 2, word);
}

static void _accept_bytes(const void *bytes, size_t size, const char *id)
{
  GError *error = NULL;
  _renew_stage();
  _write_package(bytes, size);
  char *found = _unpack_with(NULL, &error);
  assert_no_error(error);
  assert_string_equal(found, id);
  g_free(found);
}

static void _accept(const zip_member_t *members, size_t count)
{
  GByteArray *zip = zip_make(members, count);
  _accept_bytes(zip->data, zip->len, "tiny");
  g_byte_array_unref(zip);
}

static void _assert_file(const char *name, const void *bytes, size_t size)
{
  char *path = g_build_filename(_stage, name, NULL), *contents = NULL;
  gsize length = 0;
  struct stat status;
  if(!g_file_get_contents(path, &contents, &length, NULL)) fail_msg("%s is not there", name);
  assert_int_equal(length, size);
  assert_memory_equal(contents, bytes, size);
  assert_int_equal(lstat(path, &status), 0);
  assert_int_equal(status.st_mode, S_IFREG | 0644);
  g_free(contents);
  g_free(path);
}

static void _assert_empty(const char *directory)
{
  GDir *names = g_dir_open(directory, 0, NULL);
  assert_non_null(names);
  assert_null(g_dir_read_name(names));
  g_dir_close(names);
}

/* --- good packages --- */

static char _noise[300000];

static void _make_noise(void)
{
  test_random_t random = { 77 };
  for(size_t i = 0; i < sizeof _noise; i++) _noise[i] = (char)(test_random(&random) >> 24);
}

static void test_good_packages(void **state)
{
  (void)state;
  const zip_member_t members[] = {
    { .name = "tiny/", .mode = S_IFDIR | 0755 },
    { FILE_MEMBER("tiny/config.json", CONFIG), .method = ZIP_DEFLATED, .mode = S_IFREG | 0600 },
    { .name = "tiny/model.onnx", .data = _noise, .size = sizeof _noise, .method = ZIP_DEFLATED },
    { .name = "tiny/more/deep/encoder.onnx", .data = _noise, .size = sizeof _noise, .mode = 0600 },
    { .name = "tiny/more/", .mode = S_IFDIR | 0700 },
    { FILE_MEMBER("tiny/empty.txt", "") },
    { FILE_MEMBER("tiny/inner.zip", "PK\3\4 a package in a package is a file like any other") },
  };
  const mode_t masks[] = { 0, 022, 077 };
  for(size_t i = 0; i < G_N_ELEMENTS(masks); i++)
  {
    const mode_t old = umask(masks[i]);
    _accept(members, G_N_ELEMENTS(members));
    umask(old);
    _assert_file("tiny/config.json", CONFIG, strlen(CONFIG));
    _assert_file("tiny/model.onnx", _noise, sizeof _noise);
    _assert_file("tiny/more/deep/encoder.onnx", _noise, sizeof _noise);
    _assert_file("tiny/empty.txt", "", 0);
    struct stat status;
    char *path = g_build_filename(_stage, "tiny", "more", "deep", NULL);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFDIR | 0755);
    g_free(path);
  }
  _accept(&members[1], 1); // only config.json
}

static void test_permissions_are_not_taken_over(void **state)
{
  (void)state;
  const zip_member_t members[] = {
    CONFIG_MEMBER,
    { FILE_MEMBER("tiny/setuid", "x"), .mode = S_IFREG | 06777 },
    { FILE_MEMBER("tiny/none", "x"), .mode = S_IFREG },
    { .name = "tiny/sticky/", .mode = S_IFDIR | 07777 },
  };
  _accept(members, G_N_ELEMENTS(members));
  _assert_file("tiny/setuid", "x", 1);
  _assert_file("tiny/none", "x", 1);
  struct stat status;
  char *path = g_build_filename(_stage, "tiny", "sticky", NULL);
  assert_int_equal(stat(path, &status), 0);
  assert_int_equal(status.st_mode, S_IFDIR | 0755);
  g_free(path);
}

/** Names are bytes of the archive, whatever the locale and whether or not they are marked as UTF-8. */
static void test_names_do_not_depend_on_the_locale(void **state)
{
  (void)state;
  static const char *const locales[] = { "C", "C.UTF-8" };
  const zip_member_t members[] = {
    CONFIG_MEMBER,
    { FILE_MEMBER("tiny/Zürich ✓.txt", "a"), .flags = 0x800 },
    { FILE_MEMBER("tiny/日本語/e\xcc\x81.txt", "b") },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(locales); i++)
  {
    assert_non_null(setlocale(LC_CTYPE, locales[i]));
    _accept(members, G_N_ELEMENTS(members));
    _assert_file("tiny/Zürich ✓.txt", "a", 1);
    _assert_file("tiny/日本語/e\xcc\x81.txt", "b", 1);
  }
  setlocale(LC_CTYPE, "C");
}

/** Sizes behind the data, as packers write that cannot go back. */
static void test_sizes_behind_the_data(void **state)
{
  (void)state;
  const zip_member_t member = { FILE_MEMBER("tiny/config.json", CONFIG), .method = ZIP_DEFLATED, .flags = 8 };
  GByteArray *zip = zip_make(&member, 1);
  memset(zip->data + 14, 0, 12);
  _accept_bytes(zip->data, zip->len, "tiny");
  _assert_file("tiny/config.json", CONFIG, strlen(CONFIG));
  g_byte_array_unref(zip);
}

/* --- names --- */

static void test_names_that_lead_elsewhere(void **state)
{
  (void)state;
  static const struct
  {
    const char *name, *word;
  } names[] = {
    { "../x", "leads out" },
    { "tiny/../../x", "leads out" },
    { "tiny/../x", "leads out" },
    { "tiny/..", "leads out" },
    { "tiny/a/../../../victim/x", "leads out" },
    { "..", "leads out" },
    { "./tiny/x", "leads out" },
    { "tiny/./x", "leads out" },
    { "tiny//x", "leads out" },
    { "/etc/passwd", "leads out" },
    { "/tiny/x", "leads out" },
    { "/", "no name" },
    { "//", "leads out" },
    { "tiny//", "leads out" },
    { "C:/x", "not allowed" },
    { "C:x", "not allowed" },
    { "tiny/C:/x", "not allowed" },
    { "tiny/file:stream", "not allowed" },
    { "\\x", "not allowed" },
    { "tiny\\x", "not allowed" },
    { "tiny/..\\..\\x", "not allowed" },
    { "\\\\server\\share", "not allowed" },
    { "tiny/a\nb", "not allowed" },
    { "tiny/a\033[2Jb", "not allowed" },
    { "tiny/\x7f", "not allowed" },
    { "tiny/\xc2\x85", "not allowed" }, // C1
    { "tiny/\xe2\x80\xae"
      "xnno.txt",
      "not allowed" }, // right to left
    { "tiny/\xff\xfe", "not UTF-8" },
    { "tiny/\xc0\xae\xc0\xae/x", "not UTF-8" }, // an overlong ".."
    { "\xff/x", "not UTF-8" },
    { "tiny/.hidden", "hidden" },
    { ".tiny/x", "hidden" },
    { "tiny/.../x", "hidden" },
    { "tiny/a/b/c/d/e/f/g/h", "too deep" },
    { "tiny", "is not in a directory" },
    { "x", "one directory" },
    { "tiny2/x", "one directory" },
    { "Tiny/x", "one directory" },
    { "tinyx", "one directory" },
    { "tiny-more/x", "one directory" }, // begins with the id, but is no such directory
  };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
    _refuse_member(
        (zip_member_t){ .name = names[i].name, .data = "x", .size = !g_str_has_suffix(names[i].name, "/") },
        names[i].word);
  const zip_member_t deepest[] = { CONFIG_MEMBER, { FILE_MEMBER("tiny/a/b/c/d/e/f/g", "x") } };
  _accept(deepest, 2);
}

static void test_names_that_are_no_names(void **state)
{
  (void)state;
  char *longest = g_strnfill(255, 'n'), *longer = g_strnfill(256, 'n');
  char *good = g_strconcat("tiny/", longest, NULL), *bad = g_strconcat("tiny/", longer, NULL);
  const zip_member_t members[] = { CONFIG_MEMBER, { .name = good, .data = "x", .size = 1 } };
  _accept(members, 2);
  _refuse_member((zip_member_t){ .name = bad, .data = "x", .size = 1 }, "too long");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/model.onnx\0.exe", "x"), .name_size = 20 }, "NUL");
  _refuse_member((zip_member_t){ FILE_MEMBER("\0", "x"), .name_size = 1 }, "NUL");
  _refuse_member((zip_member_t){ FILE_MEMBER("", "x") }, "damaged");
  g_free(longest);
  g_free(longer);
  g_free(good);
  g_free(bad);
}

static void test_the_top(void **state)
{
  (void)state;
  const zip_member_t file[] = { { FILE_MEMBER("config.json", CONFIG) } };
  _refuse(file, 1, "is not in a directory");
  const zip_member_t two[] = { { FILE_MEMBER("other/x", "x") }, CONFIG_MEMBER };
  _refuse(two, 2, "one directory");
  const zip_member_t none[] = { { FILE_MEMBER("tiny/model.onnx", "x") } };
  _refuse(none, 1, "no config.json");
  const zip_member_t deep[] = { { FILE_MEMBER("tiny/sub/config.json", "x") } };
  _refuse(deep, 1, "no config.json");
  const zip_member_t directory[] = { { .name = "tiny/", .mode = S_IFDIR } };
  _refuse(directory, 1, "no config.json");
  const zip_member_t mac[] = { CONFIG_MEMBER, { FILE_MEMBER("__MACOSX/tiny/._config.json", "x") } };
  _refuse(mac, 2, "hidden");
}

static void test_names_twice(void **state)
{
  (void)state;
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/config.json", "{}") }, "twice");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/Config.json", "{}") }, "upper and lower case");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/CONFIG.JSON", "{}") }, "upper and lower case");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/config.json/x", "x") }, "a file and a directory");
  _refuse_member((zip_member_t){ .name = "tiny/config.json/" }, "a file and a directory");
  const struct
  {
    const char *first, *second, *word;
  } pairs[] = {
    { "tiny/a/x", "tiny/a", "a file and a directory" },
    { "tiny/a/x", "tiny/A/y", "upper and lower case" },
    { "tiny/a/", "tiny/A/", "upper and lower case" },
    { "tiny/a/", "tiny/a/", "twice" },
    { "tiny/ÄÖ", "tiny/äö", "upper and lower case" },
    { "tiny/\xc3\xa9", "tiny/e\xcc\x81", "upper and lower" },
    { "tiny/ﬁ", "tiny/fi", "upper and lower case" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
  {
    const zip_member_t members[] = { CONFIG_MEMBER, { .name = pairs[i].first }, { .name = pairs[i].second } };
    _refuse(members, 3, pairs[i].word);
  }
}

/* --- kinds of entries --- */

static void test_links_and_devices(void **state)
{
  (void)state;
  static const struct
  {
    mode_t type;
    const char *word;
  } types[] = {
    { S_IFLNK | 0777, "symbolic link" },
    { S_IFCHR | 0666, "special file" },
    { S_IFBLK | 0666, "special file" },
    { S_IFIFO | 0666, "special file" },
    { S_IFSOCK | 0666, "special file" },
    { 0xf000, "special file" },
    { S_IFDIR | 0755, "a directory with the name of a file" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(types); i++)
    _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "/etc/passwd"), .mode = types[i].type },
                   types[i].word);
  _refuse_member((zip_member_t){ .name = "tiny/x/", .mode = S_IFREG | 0644 }, "with the name of a directory");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x/", "abc") }, "with contents");
}

static void test_writing_through_a_link(void **state)
{
  (void)state;
  const zip_member_t directory[] = { CONFIG_MEMBER,
                                     { FILE_MEMBER("tiny/way", "../../victim"), .mode = S_IFLNK | 0777 },
                                     { FILE_MEMBER("tiny/way/evil", "x") } };
  _refuse(directory, 3, "symbolic link");
  const zip_member_t file[] = { CONFIG_MEMBER,
                                { FILE_MEMBER("tiny/way", "../../victim/evil"), .mode = S_IFLNK | 0777 },
                                { FILE_MEMBER("tiny/way", "x") } };
  _refuse(file, 3, "symbolic link");
  const zip_member_t top[] = { { FILE_MEMBER("tiny", "../victim"), .mode = S_IFLNK | 0777 },
                               { FILE_MEMBER("tiny/config.json", CONFIG) } };
  _refuse(top, 2, "symbolic link");
  // as a hard link would come: the name of another entry and no contents of its own
  const zip_member_t hard[] = { CONFIG_MEMBER, { FILE_MEMBER("tiny/x", CONFIG), .no_local = TRUE } };
  _refuse(hard, 2, "damaged");
}

/** The link is not in the package but put there while it is unpacked, or was there before. */
static void test_links_in_the_stage(void **state)
{
  (void)state;
  const zip_member_t members[] = { CONFIG_MEMBER, { FILE_MEMBER("tiny/sub/x", "x") } };
  GByteArray *zip = zip_make(members, 2);
  _write_package(zip->data, zip->len);
  static const char *const links[][2] = { { "tiny", "../victim" },
                                          { "tiny/sub", "../../victim" },
                                          { "tiny/config.json", "../../victim/new" },
                                          { "tiny/sub/x", "../../../victim/new" } };
  for(size_t i = 0; i < G_N_ELEMENTS(links); i++)
  {
    _renew_stage();
    char *path = g_build_filename(_stage, links[i][0], NULL), *parent = g_path_get_dirname(path);
    char *victim = g_build_filename(_outer, "victim", NULL);
    g_mkdir_with_parents(parent, 0755);
    assert_int_equal(symlink(links[i][1], path), 0);
    GError *error = NULL;
    assert_null(dt_package_unpack(_package, _stage, NULL, NULL, NULL, NULL, &error));
    _assert_error(&error, DT_AI_ERROR_OUTPUT, "cannot be written");
    _assert_empty(victim);
    g_free(victim);
    g_free(parent);
    g_free(path);
  }
  g_byte_array_unref(zip);
}

/* --- sizes --- */

static void test_lying_sizes(void **state)
{
  (void)state;
  static const guint16 methods[] = { ZIP_STORED, ZIP_DEFLATED };
  for(size_t i = 0; i < G_N_ELEMENTS(methods); i++)
  {
    const zip_member_t honest = {
      .name = "tiny/model.onnx", .data = _noise, .size = sizeof _noise, .method = methods[i]
    };
    const int64_t lies[] = { 1, -1, -(int64_t)sizeof _noise, 1 << 20, 1 << 30 };
    for(size_t j = 0; j < G_N_ELEMENTS(lies); j++)
    {
      zip_member_t local = honest, central = honest, both = honest;
      local.local_lie = central.central_lie = both.local_lie = both.central_lie = lies[j];
      const gboolean bomb = lies[j] == 1 << 30;
      const char *word = methods[i] == ZIP_STORED ? "contradicting sizes" : "contradict each";
      _refuse_member(local, "contradict each");
      _refuse_member(central, word);
      _refuse_member(both, methods[i] == ZIP_STORED ? "contradicting sizes"
                           : bomb                   ? "times its size"
                                                    : "is damaged");
    }
    zip_member_t packed = honest;
    packed.packed_lie = -5;
    _refuse_member(packed, methods[i] == ZIP_STORED ? "contradicting sizes" : "is damaged");
    packed.packed_lie = 5000000; // into what follows, and beyond
    _refuse_member(packed, methods[i] == ZIP_STORED ? "contradicting sizes" : "damaged");
    zip_member_t crc = honest;
    crc.crc_lie = 1;
    _refuse_member(crc, "checksum");
  }
  // stored, both sizes too small by the same: the last bytes lie between the entries, the checksum tells
  _refuse_member(
      (zip_member_t){ FILE_MEMBER("tiny/x", "123456"), .packed_lie = -2, .local_lie = -2, .central_lie = -2 },
      "checksum");
}

static void test_bombs(void **state)
{
  (void)state;
  char *zeros = g_malloc0(40 * MIB);
  const zip_member_t bomb = { .name = "tiny/z", .data = zeros, .size = 40 * MIB, .method = ZIP_DEFLATED };
  _refuse_member(bomb, "times its size");
  // one that says it is small
  zip_member_t liar = bomb;
  liar.local_lie = liar.central_lie = -(int64_t)(39 * MIB);
  _refuse_member(liar, "is damaged");
  struct stat status;
  char *path = g_build_filename(_stage, "tiny", "z", NULL);
  assert_int_equal(stat(path, &status), 0);
  assert_true((size_t)status.st_size <= MIB);
  g_free(path);
  // many small ones
  zip_member_t many[50] = { CONFIG_MEMBER };
  char names[50][16];
  for(int i = 1; i < 50; i++)
  {
    g_snprintf(names[i], sizeof names[i], "tiny/z%d", i);
    many[i] = (zip_member_t){ .name = names[i], .data = zeros, .size = MIB, .method = ZIP_DEFLATED };
  }
  _refuse(many, 50, "times its size");
  // and below what is never too much
  const zip_member_t fine[] = { CONFIG_MEMBER,
                                { .name = "tiny/z", .data = zeros, .size = 10 * MIB, .method = 8 } };
  _accept(fine, 2);
  g_free(zeros);
}

/** Entries that share their bytes, the bomb that has no high ratio in any of them. */
static void test_overlapping_entries(void **state)
{
  (void)state;
  const zip_member_t members[] = { CONFIG_MEMBER,
                                   { .name = "tiny/a", .data = _noise, .size = 1000 },
                                   { .name = "tiny/a", .data = _noise, .size = 1000, .no_local = TRUE } };
  _refuse(members, 3, "damaged");
  GByteArray *zip = zip_make(members, 2);
  zip->data[zip->len - 22 - 46 - 6 + 42] -= 5; // the second entry begins within the first
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, "damaged");
  g_byte_array_unref(zip);
}

static void test_number_of_entries(void **state)
{
  (void)state;
  zip_member_t members[66] = { CONFIG_MEMBER };
  char names[66][16];
  for(int i = 1; i < 66; i++)
  {
    g_snprintf(names[i], sizeof names[i], "tiny/%d", i);
    members[i] = (zip_member_t){ .name = names[i], .data = "", .size = 0 };
  }
  _accept(members, 64);
  _refuse(members, 65, "more than 64");
  // more than it says, fewer than it says
  GByteArray *zip = zip_make(members, 10);
  guchar *end = zip->data + zip->len - 22;
  end[8] = end[10] = 9;
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, "damaged");
  end[8] = end[10] = 11;
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, "damaged");
  end[8] = 10;
  end[10] = 11;
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, "divided");
  end[8] = end[10] = 0;
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, "empty");
  // a directory of no bytes, and where it would be
  end[8] = end[10] = 2;
  memset(end + 12, 0, 4);
  const guint32 at = zip->len - 22;
  memcpy(end + 16, &at, 4);
  _refuse_bytes(zip->data, zip->len, DT_AI_ERROR_NO_MODEL, "damaged");
  g_byte_array_unref(zip);
}

static void test_large_config(void **state)
{
  (void)state;
  char *text = g_strnfill(MIB + 1, ' ');
  zip_member_t config = { .name = "tiny/config.json", .data = text, .size = MIB, .method = ZIP_DEFLATED };
  _accept(&config, 1);
  config.size = MIB + 1;
  _refuse(&config, 1, "larger than 1 MiB");
  g_free(text);
}

/* --- 64-bit archives --- */

/** The archive with a 64-bit end, as large ones have. */
static GByteArray *_make_zip64(guint64 count, guint64 size, guint64 offset_lie)
{
  // both sizes of the one entry are in the extension
  static const char text[] = "0123456789";
  GByteArray *extra = g_byte_array_new();
  zip_put(extra, 1, 2);
  zip_put(extra, 16, 2);
  zip_put(extra, size, 8);
  zip_put(extra, sizeof text - 1, 8);
  const int64_t all = (int64_t)0xffffffff - (int64_t)(sizeof text - 1);
  const zip_member_t members[] = { { FILE_MEMBER("tiny/config.json", text), .extra = extra->data,
                                     .extra_size = 20, .local_lie = all, .central_lie = all,
                                     .packed_lie = all } };
  GByteArray *zip = zip_make(members, 1);
  const guint end = zip->len - 22;
  guint32 directory;
  memcpy(&directory, zip->data + end + 16, 4);
  g_byte_array_set_size(zip, end);
  zip_put(zip, 0x06064b50, 4);
  zip_put(zip, 44, 8);
  zip_put(zip, 45 | 45 << 16, 4);
  zip_put(zip, 0, 8);
  zip_put(zip, count, 8);
  zip_put(zip, count, 8);
  zip_put(zip, end - directory, 8);
  zip_put(zip, directory + offset_lie, 8);
  zip_put(zip, 0x07064b50, 4);
  zip_put(zip, 0, 4);
  zip_put(zip, end, 8);
  zip_put(zip, 1, 4);
  zip_put(zip, 0x06054b50, 4);
  zip_put(zip, 0, 4);
  for(int i = 0; i < 3; i++) zip_put(zip, 0xffffffff, 4);
  zip_put(zip, 0, 2);
  g_byte_array_unref(extra);
  return zip;
}

static void test_64_bit_archives(void **state)
{
  (void)state;
  GByteArray *zip = _make_zip64(1, 10, 0);
  _accept_bytes(zip->data, zip->len, "tiny");
  _assert_file("tiny/config.json", "0123456789", 10);
  static const struct
  {
    guint64 count, size, lie;
    const char *word;
  } wrong[] = {
    { 1, 11, 0, "contradicting sizes" },
    { 1, G_MAXUINT64, 0, "contradicting sizes" },
    { 2, 10, 0, "damaged" },
    { 1, 10, 1, "damaged" },
    { 1, 10, G_MAXUINT64, "damaged" },
    { G_MAXUINT64, 10, 0, "more than 64" },
    { 1, 10, (guint64)1 << 63, "damaged" },
    { 0, 10, 0, "empty" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
  {
    GByteArray *bad = _make_zip64(wrong[i].count, wrong[i].size, wrong[i].lie);
    _refuse_bytes(bad->data, bad->len, DT_AI_ERROR_NO_MODEL, wrong[i].word);
    g_byte_array_unref(bad);
  }
  // every byte of the two 64-bit records matters or is ignored, none crashes
  for(guint i = zip->len - 98; i < zip->len; i++)
  {
    GError *error = NULL;
    zip->data[i] ^= 0xff;
    _renew_stage();
    _write_package(zip->data, zip->len);
    char *id = _unpack_with(NULL, &error);
    assert_true((id == NULL) == (error != NULL));
    g_clear_error(&error);
    g_free(id);
    zip->data[i] ^= 0xff;
  }
  g_byte_array_unref(zip);
}

/** Nine GiB, if one believes it; packed they are large enough that the ratio is not in question. */
static void test_total_size(void **state)
{
  (void)state;
  GByteArray *extra = g_byte_array_new();
  zip_put(extra, 1, 2);
  zip_put(extra, 8, 2);
  zip_put(extra, (guint64)9 << 30, 8);
  const zip_member_t members[] = { CONFIG_MEMBER,
                                   { .name = "tiny/x",
                                     .data = _noise,
                                     .size = sizeof _noise,
                                     .method = ZIP_DEFLATED,
                                     .extra = extra->data,
                                     .extra_size = 12,
                                     .local_lie = (int64_t)0xffffffff - (int64_t)sizeof _noise,
                                     .central_lie = (int64_t)0xffffffff - (int64_t)sizeof _noise } };
  _refuse(members, 2, "times its size");
  // a hole of 100 MB before the directory makes the archive large
  GByteArray *zip = zip_make(members, 2);
  guint32 directory;
  memcpy(&directory, zip->data + zip->len - 6, 4);
  const guint32 hole = 100000000, moved = directory + hole;
  memcpy(zip->data + zip->len - 6, &moved, 4);
  const int fd = open(_package, O_RDWR | O_CREAT | O_TRUNC, 0644);
  assert_int_equal(pwrite(fd, zip->data, directory, 0), directory);
  assert_int_equal(pwrite(fd, zip->data + directory, zip->len - directory, moved), zip->len - directory);
  close(fd);
  GError *error = NULL;
  _renew_stage();
  assert_null(_unpack_with(NULL, &error));
  _assert_error(&error, DT_AI_ERROR_NO_MODEL, "8 GiB");
  // and an archive that is too large itself
  assert_int_equal(truncate(_package, (off_t)9 << 30), 0);
  assert_null(_unpack_with(NULL, &error));
  _assert_error(&error, DT_AI_ERROR_NO_MODEL, "too large");
  _assert_empty(_stage);
  g_byte_array_unref(zip);
  g_byte_array_unref(extra);
}

/* --- what is no package --- */

static void test_other_files(void **state)
{
  (void)state;
  static const struct
  {
    const char *bytes;
    size_t size;
    const char *word;
  } files[] = {
    { "", 0, "empty" },
    { "x", 1, "not a ZIP" },
    { "{\"message\": \"Not Found\"}", 24, "not a ZIP" },
    { "<!DOCTYPE html><html><title>Sign in</title></html>", 50, "web page" },
    { "\n\n  <html>", 10, "web page" },
    { "\xef\xbb\xbf<html>", 9, "web page" },
    { "\x1f\x8b\x08\0\0\0\0\0", 8, "only ZIP" },
    { "BZh91AY&SY", 10, "only ZIP" },
    { "\xfd"
      "7zXZ\0",
      6, "only ZIP" },
    { "\x28\xb5\x2f\xfd....", 8, "only ZIP" },
    { "7z\xbc\xaf\x27\x1c", 6, "only ZIP" },
    { "Rar!\x1a\x07", 6, "only ZIP" },
    { "version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS" },
    { "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22, "empty" },
    { "PK\3\4", 4, "incomplete" },
    { "PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 37, "incomplete" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(files); i++)
    _refuse_bytes(files[i].bytes, files[i].size, DT_AI_ERROR_NO_MODEL, files[i].word);
  char tar[1024] = "tiny/config.json";
  memcpy(tar + 257, "ustar", 5);
  _refuse_bytes(tar, sizeof tar, DT_AI_ERROR_NO_MODEL, "only ZIP");
}

static void test_bytes_around(void **state)
{
  (void)state;
  const zip_member_t member = CONFIG_MEMBER;
  GByteArray *zip = zip_make(&member, 1);
  GByteArray *behind = g_byte_array_new(), *before = g_byte_array_new();
  g_byte_array_append(behind, zip->data, zip->len);
  g_byte_array_append(behind, (const guint8 *)"garbage", 7);
  _refuse_bytes(behind->data, behind->len, DT_AI_ERROR_NO_MODEL, "follow the end");
  // the same as a comment, and a second archive in it
  behind->data[zip->len - 2] = 7;
  _refuse_bytes(behind->data, behind->len, DT_AI_ERROR_NO_MODEL, "follow the end");
  g_byte_array_append(behind, zip->data, zip->len);
  _refuse_bytes(behind->data, behind->len, DT_AI_ERROR_NO_MODEL, "damaged");
  g_byte_array_append(before, (const guint8 *)"#!/bin/sh\n", 10);
  g_byte_array_append(before, zip->data, zip->len);
  _refuse_bytes(before->data, before->len, DT_AI_ERROR_NO_MODEL, "not a ZIP");
  g_byte_array_unref(before);
  g_byte_array_unref(behind);
  g_byte_array_unref(zip);
}

static void test_unsupported_entries(void **state)
{
  (void)state;
  static const guint16 encrypted[] = { 0x1, 0x41, 0x2000 },
                       methods[] = { 1, 6, 9, 12, 14, 93, 95, 99, 0xffff };
  for(size_t i = 0; i < G_N_ELEMENTS(encrypted); i++)
    _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "x"), .flags = encrypted[i] }, "encrypted");
  for(size_t i = 0; i < G_N_ELEMENTS(methods); i++)
    _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "x"), .method = methods[i] }, "only DEFLATE");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "x"), .flags = 0x20 }, "only DEFLATE");
}

/** What one reader would take from the directory and another from the local header. */
static void test_headers_that_contradict(void **state)
{
  (void)state;
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "x"), .central_name = "tiny/y" }, "contradict each");
  _refuse_member((zip_member_t){ FILE_MEMBER("../x", "long enough"), .central_name = "tiny/y" },
                 "contradict each");
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "x"), .central_name = "../y" }, "contradict each");
  // the Unicode path that libarchive prefers to the name
  GByteArray *extra = g_byte_array_new();
  zip_put(extra, 0x7075, 2);
  zip_put(extra, 5 + 4, 2);
  zip_put(extra, 1, 1);
  zip_put(extra, libdeflate_crc32(0, "tiny/x", 6), 4);
  g_byte_array_append(extra, (const guint8 *)"../x", 4);
  _refuse_member((zip_member_t){ FILE_MEMBER("tiny/x", "x"), .extra = extra->data, .extra_size = 13 },
                 "damaged");
  // attributes in the local header (libarchive's own extension): a symbolic link after all
  g_byte_array_set_size(extra, 0);
  zip_put(extra, 0x6c78, 2);
  zip_put(extra, 7, 2);
  zip_put(extra, 5, 1); // made by, external attributes
  zip_put(extra, 3 << 8, 2);
  zip_put(extra, (guint32)(S_IFLNK | 0777) << 16, 4);
  GError *error = NULL;
  const zip_member_t members[] = {
    CONFIG_MEMBER, { FILE_MEMBER("tiny/x", "/etc/passwd"), .extra = extra->data, .extra_size = 11 }
  };
  GByteArray *zip = zip_make(members, 2);
  _renew_stage();
  _write_package(zip->data, zip->len);
  char *id = _unpack_with(NULL, &error); // a file or a refusal, never a link
  if(id) _assert_file("tiny/x", "/etc/passwd", 11);
  g_clear_error(&error);
  g_free(id);
  g_byte_array_unref(zip);
  g_byte_array_unref(extra);
}

/* --- damage --- */

static GByteArray *_make_sample(void)
{
  const zip_member_t members[] = {
    { .name = "tiny/", .mode = S_IFDIR | 0755 },
    { FILE_MEMBER("tiny/config.json", CONFIG CONFIG CONFIG), .method = ZIP_DEFLATED, .mode = S_IFREG | 0644 },
    { .name = "tiny/model.onnx", .data = _noise, .size = 400, .mode = S_IFREG | 0644 },
    { .name = "tiny/sub/more.onnx",
      .data = CONFIG CONFIG,
      .size = 2 * sizeof CONFIG - 2,
      .method = ZIP_DEFLATED },
  };
  return zip_make(members, G_N_ELEMENTS(members));
}

static void _assert_sample(void)
{
  _assert_file("tiny/config.json", CONFIG CONFIG CONFIG, 3 * strlen(CONFIG));
  _assert_file("tiny/model.onnx", _noise, 400);
  _assert_file("tiny/sub/more.onnx", CONFIG CONFIG, 2 * strlen(CONFIG));
}

static void test_truncated(void **state)
{
  (void)state;
  GByteArray *zip = _make_sample();
  _accept_bytes(zip->data, zip->len, "tiny");
  _assert_sample();
  for(guint i = 0; i < 20; i++)
    _refuse_bytes(zip->data, zip->len * i / 20, DT_AI_ERROR_NO_MODEL, i ? "incomplete" : "empty");
  for(guint i = 1; i <= 22; i++)
    _refuse_bytes(zip->data, zip->len - i, DT_AI_ERROR_NO_MODEL, i <= 18 ? "follow the end" : "incomplete");
  g_byte_array_unref(zip);
}

/** Whatever bits change: refused, or (a time, a permission) unpacked as it was. */
static void test_flipped_bits(void **state)
{
  (void)state;
  GByteArray *zip = _make_sample();
  test_random_t random = { 4242 };
  const int rounds = test_is_long() ? 3000 : 300;
  int accepted = 0;
  for(int round = 0; round < rounds; round++)
  {
    GByteArray *copy = g_byte_array_new();
    g_byte_array_append(copy, zip->data, zip->len);
    for(int flips = test_random_int(&random, 1, 3); flips > 0; flips--)
      copy->data[test_random(&random) % copy->len] ^= (guint8)(1u << test_random_int(&random, 0, 7));
    GError *error = NULL;
    _renew_stage();
    _write_package(copy->data, copy->len);
    char *id = _unpack_with(NULL, &error);
    if(id)
      _assert_sample();
    else if(!g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL))
      fail_msg("round %d of seed 4242: %s", round, error ? error->message : "no error");
    accepted += id != NULL;
    g_clear_error(&error);
    g_free(id);
    g_byte_array_unref(copy);
  }
  assert_true(accepted < rounds / 2);
  g_byte_array_unref(zip);
}

/* --- the file itself --- */

static void test_digest(void **state)
{
  (void)state;
  GError *error = NULL;
  _write_package("abc", 3);
  char *digest = dt_package_sha256(_package, NULL, &error);
  assert_no_error(error);
  assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  GByteArray *zip = _make_sample();
  _renew_stage();
  _write_package(zip->data, zip->len);
  assert_null(_unpack_with(digest, &error));
  _assert_error(&error, DT_AI_ERROR_NETWORK, "SHA-256");
  _assert_empty(_stage);
  g_free(digest);
  digest = dt_package_sha256(_package, NULL, &error);
  char *upper = g_ascii_strup(digest, -1);
  const char *const good[] = { digest, upper }, *const bad[] = { "", "x", "sha256:" };
  for(size_t i = 0; i < G_N_ELEMENTS(good); i++)
  {
    _renew_stage();
    char *id = _unpack_with(good[i], &error);
    assert_no_error(error);
    g_free(id);
  }
  _renew_stage();
  for(size_t i = 0; i < G_N_ELEMENTS(bad); i++)
  {
    assert_null(_unpack_with(bad[i], &error));
    _assert_error(&error, DT_AI_ERROR_NETWORK, "SHA-256");
  }
  // what is not even a package is the network's fault as well, when one knows what it should be
  _write_package("<html>", 6);
  assert_null(_unpack_with(digest, &error));
  _assert_error(&error, DT_AI_ERROR_NETWORK, "SHA-256");
  _assert_empty(_stage);
  g_free(upper);
  g_free(digest);
  g_byte_array_unref(zip);
}

static void test_files_that_are_none(void **state)
{
  (void)state;
  char *missing = g_build_filename(_outer, "missing", NULL), *fifo = g_build_filename(_outer, "fifo", NULL);
  assert_int_equal(mkfifo(fifo, 0600), 0);
  const struct
  {
    const char *path, *word;
  } files[] = {
    { missing, "cannot be read" }, { _outer, "directory" }, { fifo, "special" }, { "/dev/null", "special" }
  };
  _renew_stage();
  for(size_t i = 0; i < G_N_ELEMENTS(files); i++)
  {
    GError *error = NULL;
    assert_null(dt_package_unpack(files[i].path, _stage, NULL, NULL, NULL, NULL, &error));
    _assert_error(&error, DT_AI_ERROR_INPUT, files[i].word);
    assert_null(dt_package_sha256(files[i].path, NULL, &error));
    _assert_error(&error, DT_AI_ERROR_INPUT, files[i].word);
  }
  _assert_empty(_stage);
  assert_int_equal(unlink(fifo), 0);
  g_free(missing);
  g_free(fifo);
}

/** The file grows while it is read: whatever was hashed, this is not it. */
static void _append_byte(guint64 done, guint64 total, gpointer user_data)
{
  (void)done;
  (void)total;
  const int fd = open(user_data, O_WRONLY | O_APPEND);
  assert_int_equal(write(fd, "x", 1), 1);
  close(fd);
}

static void test_file_that_changes(void **state)
{
  (void)state;
  GByteArray *zip = _make_sample();
  GError *error = NULL;
  _renew_stage();
  _write_package(zip->data, zip->len);
  assert_null(dt_package_unpack(_package, _stage, NULL, _append_byte, _package, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_NO_MODEL, "meanwhile");
  g_byte_array_unref(zip);
}

/* --- progress and cancelling --- */

typedef struct _watch_t
{
  guint64 done, total;
  int calls;
  gint64 first, last; ///< when
  GCancellable *cancellable;
  gint64 cancelled; ///< when
} _watch_t;

static void _watch(guint64 done, guint64 total, gpointer user_data)
{
  _watch_t *watch = user_data;
  assert_true(done >= watch->done && done <= total);
  watch->done = done;
  watch->total = total;
  watch->last = g_get_monotonic_time();
  if(!watch->calls++) watch->first = watch->last;
  if(!watch->cancellable || watch->cancelled) return;
  g_cancellable_cancel(watch->cancellable);
  watch->cancelled = watch->last;
}

static void _write_large_package(size_t size)
{
  char *large = g_malloc(size);
  for(size_t i = 0; i < size; i++) large[i] = _noise[i % sizeof _noise];
  const zip_member_t members[] = { CONFIG_MEMBER,
                                   { .name = "tiny/model.onnx", .data = large, .size = size } };
  GByteArray *zip = zip_make(members, 2);
  _write_package(zip->data, zip->len);
  g_byte_array_unref(zip);
  g_free(large);
}

static void test_progress(void **state)
{
  (void)state;
  const size_t size = 60 * MIB;
  GError *error = NULL;
  _write_large_package(size);
  char *digest = dt_package_sha256(_package, NULL, NULL);
  const char *const digests[] = { NULL, digest };
  for(size_t i = 0; i < G_N_ELEMENTS(digests); i++)
  {
    _watch_t watch = { 0 };
    _renew_stage();
    char *id = dt_package_unpack(_package, _stage, digests[i], _watch, &watch, NULL, &error);
    assert_no_error(error);
    assert_true(watch.done == watch.total && watch.total >= size + i * size);
    assert_true(watch.calls <= (watch.last - watch.first) / (100 * G_TIME_SPAN_MILLISECOND) + 2);
    g_free(id);
  }
  g_free(digest);
}

static void test_cancel(void **state)
{
  (void)state;
  GError *error = NULL;
  _write_large_package(60 * MIB);
  char *digest = dt_package_sha256(_package, NULL, NULL);
  const char *const digests[] = { NULL, digest };
  for(size_t i = 0; i < G_N_ELEMENTS(digests); i++)
  {
    _watch_t watch = { .cancellable = g_cancellable_new() };
    _renew_stage();
    assert_null(dt_package_unpack(_package, _stage, digests[i], _watch, &watch, watch.cancellable, &error));
    const gint64 now = g_get_monotonic_time();
    _assert_error(&error, DT_AI_ERROR_CANCELLED, "Cancelled");
    assert_int_equal(watch.calls, 1);
    if(!test_is_sanitized()) assert_true(now - watch.cancelled < 100 * G_TIME_SPAN_MILLISECOND);
    // and before it begins
    assert_null(dt_package_unpack(_package, _stage, digests[i], NULL, NULL, watch.cancellable, &error));
    _assert_error(&error, DT_AI_ERROR_CANCELLED, "Cancelled");
    assert_null(dt_package_sha256(_package, watch.cancellable, &error));
    _assert_error(&error, DT_AI_ERROR_CANCELLED, "Cancelled");
    g_object_unref(watch.cancellable);
  }
  g_free(digest);
}

/* --- where it is written --- */

static void _limit_file_size(rlim_t size)
{
  struct rlimit limit;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = MIN(size, limit.rlim_max);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
  (void)state;
  GError *error = NULL;
  GByteArray *zip = _make_sample();
  signal(SIGXFSZ, SIG_IGN);
  static const rlim_t limits[] = { 0, 1, 100, 399 };
  for(size_t i = 0; i < G_N_ELEMENTS(limits); i++)
  {
    _renew_stage();
    _write_package(zip->data, zip->len);
    _limit_file_size(limits[i]);
    char *id = _unpack_with(NULL, &error);
    _limit_file_size(RLIM_INFINITY);
    assert_null(id);
    _assert_error(&error, DT_AI_ERROR_OUTPUT, "cannot be written");
  }
  signal(SIGXFSZ, SIG_DFL);
  g_byte_array_unref(zip);
}

static void test_unwritable_directories(void **state)
{
  (void)state;
  GError *error = NULL;
  GByteArray *zip = _make_sample();
  _write_package(zip->data, zip->len);
  const char *const directories[] = { "/proc", "/no/such/place", _package, "" };
  for(size_t i = 0; i < G_N_ELEMENTS(directories); i++)
  {
    assert_null(dt_package_unpack(_package, directories[i], NULL, NULL, NULL, NULL, &error));
    _assert_error(&error, DT_AI_ERROR_OUTPUT, "cannot be written");
  }
  // nothing is overwritten
  _renew_stage();
  char *id = _unpack_with(NULL, &error);
  assert_no_error(error);
  assert_null(_unpack_with(NULL, &error));
  _assert_error(&error, DT_AI_ERROR_OUTPUT, "exists");
  _assert_sample();
  g_free(id);
  g_byte_array_unref(zip);
}

/* --- packing --- */

static char *_model;

/** A file of the model to pack. */
static void _add(const char *name, const void *bytes, size_t size)
{
  char *path = g_build_filename(_model, name, NULL), *parent = g_path_get_dirname(path);
  g_mkdir_with_parents(parent, 0755);
  assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
  g_free(parent);
  g_free(path);
}

static int _setup_model(void **state)
{
  _setup(state);
  _model = g_build_filename(_outer, "model", NULL);
  _add("model_x4.onnx", _noise, sizeof _noise);
  _add("config.json", CONFIG, strlen(CONFIG));
  _add("sub/tags.json", "[]", 2);
  _add("sub-a.txt", "", 0);
  _renew_stage();
  return 0;
}

static int _teardown_model(void **state)
{
  g_free(_model);
  return _teardown(state);
}

static void _pack(gboolean overwrite)
{
  GError *error = NULL;
  const gboolean ok = dt_package_pack(_model, "tiny", _package, overwrite, NULL, &error);
  assert_no_error(error);
  assert_true(ok);
}

static void _refuse_to_pack(const char *id, int code, const char *word)
{
  GError *error = NULL;
  char *before = _snapshot(TRUE);
  assert_false(dt_package_pack(_model, id, _package, TRUE, NULL, &error));
  char *after = _snapshot(TRUE);
  _assert_error(&error, code, word);
  assert_string_equal(before, after); // no part left
  g_free(before);
  g_free(after);
}

static GBytes *_read_package(void)
{
  char *bytes;
  gsize size;
  assert_true(g_file_get_contents(_package, &bytes, &size, NULL));
  return g_bytes_new_take(bytes, size);
}

static void test_pack_and_unpack(void **state)
{
  (void)state;
  GError *error = NULL;
  _add(".hidden", "x", 1);
  _add(".git/config", "x", 1);
  char *before = _snapshot(TRUE);
  _pack(FALSE);
  char *after = _snapshot(TRUE);
  assert_string_equal(before, after); // nothing but the package is new
  char *id = dt_package_unpack(_package, _stage, NULL, NULL, NULL, NULL, &error);
  assert_no_error(error);
  assert_string_equal(id, "tiny");
  _assert_file("tiny/config.json", CONFIG, strlen(CONFIG));
  _assert_file("tiny/model_x4.onnx", _noise, sizeof _noise);
  _assert_file("tiny/sub/tags.json", "[]", 2);
  _assert_file("tiny/sub-a.txt", "", 0);
  char *top = g_build_filename(_stage, "tiny", NULL), *hidden = g_build_filename(top, ".hidden", NULL);
  assert_false(g_file_test(hidden, G_FILE_TEST_EXISTS));
  // and what was unpacked gives the same package
  GBytes *first = _read_package();
  assert_true(dt_package_pack(top, "tiny", _package, TRUE, NULL, &error));
  GBytes *second = _read_package();
  assert_true(g_bytes_equal(first, second));
  g_bytes_unref(first);
  g_bytes_unref(second);
  g_free(hidden);
  g_free(top);
  g_free(id);
  g_free(before);
  g_free(after);
}

static void test_equal_directories_give_equal_bytes(void **state)
{
  (void)state;
  _pack(FALSE);
  GBytes *first = _read_package();
  // other times, permissions, order, locale and time zone
  _add("config.json", CONFIG, strlen(CONFIG));
  char *path = g_build_filename(_model, "model_x4.onnx", NULL);
  const struct timespec times[2] = { { 1234567890, 0 }, { 1234567890, 0 } };
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
  assert_int_equal(chmod(path, 0700), 0);
  static const char *const zones[] = { "UTC", "Pacific/Kiritimati", "America/Los_Angeles" };
  for(size_t i = 0; i < G_N_ELEMENTS(zones); i++)
  {
    g_setenv("TZ", zones[i], TRUE);
    tzset();
    setlocale(LC_CTYPE, i ? "C.UTF-8" : "C");
    _pack(TRUE);
    GBytes *again = _read_package();
    assert_true(g_bytes_equal(first, again));
    g_bytes_unref(again);
  }
  g_unsetenv("TZ");
  tzset();
  setlocale(LC_CTYPE, "C");
  // the order is that of the names
  gsize size;
  const char *bytes = g_bytes_get_data(first, &size);
  static const char *const order[] = { "tiny/config.json", "tiny/model_x4.onnx", "tiny/sub-a.txt",
                                       "tiny/sub/tags.json" };
  const char *at = bytes;
  for(size_t i = 0; i < G_N_ELEMENTS(order); i++)
  {
    at = memmem(at, size - (size_t)(at - bytes), order[i], strlen(order[i]));
    assert_non_null(at);
  }
  g_bytes_unref(first);
  g_free(path);
}

static void test_what_is_not_packed(void **state)
{
  (void)state;
  char *link = g_build_filename(_model, "sub", "link.onnx", NULL);
  assert_int_equal(symlink("tags.json", link), 0);
  GError *error = NULL;
  assert_false(dt_package_pack(_model, "tiny", _package, FALSE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "tiny/sub/link.onnx\" is a symbolic link");
  assert_int_equal(unlink(link), 0);
  assert_int_equal(symlink("..", link), 0);
  assert_false(dt_package_pack(_model, "tiny", _package, FALSE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "symbolic link");
  assert_int_equal(unlink(link), 0);
  assert_int_equal(mkfifo(link, 0600), 0);
  assert_false(dt_package_pack(_model, "tiny", _package, FALSE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "special file");
  assert_int_equal(unlink(link), 0);
  assert_false(g_file_test(_package, G_FILE_TEST_EXISTS));
  static const char *const ids[] = { "", ".", "..", "a/b", "../x", "a\\b", ".x", "ä", "C:", "a\nb" };
  for(size_t i = 0; i < G_N_ELEMENTS(ids); i++) _refuse_to_pack(ids[i], DT_AI_ERROR_INPUT, "plain name");
  g_free(link);
}

static void test_names_that_are_not_packed(void **state)
{
  (void)state;
  static const char *const names[][2] = {
    { "Zürich", "ASCII" },
    { "a:b", "not allowed" },
    { "a\\b", "not allowed" },
    { "a\nb", "not allowed" },
    { "CONFIG.json", "upper and lower" },
    { "SUB/x", "upper and lower" },
    { "a/b/c/d/e/f/g/h/i", "too deep" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(names); i++)
  {
    _add(names[i][0], "x", 1);
    _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, names[i][1]);
    char *path = g_build_filename(_model, names[i][0], NULL);
    assert_int_equal(unlink(path), 0);
    char *slash = strchr(names[i][0], '/') ? g_strndup(names[i][0], strcspn(names[i][0], "/")) : NULL;
    char *directory = slash ? g_build_filename(_model, slash, NULL) : NULL;
    if(directory) nftw(directory, _remove, 16, FTW_DEPTH | FTW_PHYS);
    g_free(directory);
    g_free(slash);
    g_free(path);
  }
  _pack(FALSE);
}

static void test_limits_of_packing(void **state)
{
  (void)state;
  char name[32];
  for(int i = 4; i < 64; i++)
  {
    g_snprintf(name, sizeof name, "file%d", i);
    _add(name, name, strlen(name));
  }
  _pack(FALSE);
  GError *error = NULL;
  char *id = dt_package_unpack(_package, _stage, NULL, NULL, NULL, NULL, &error);
  assert_no_error(error);
  g_free(id);
  _add("one-more", "x", 1);
  _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, "64 files");
  char *path = g_build_filename(_model, "one-more", NULL);
  assert_int_equal(unlink(path), 0);
  path = (g_free(path), g_build_filename(_model, "file4", NULL));
  assert_int_equal(truncate(path, (off_t)9 << 30), 0);
  _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, "8 GiB");
  assert_int_equal(truncate(path, (off_t)(60 * MIB)), 0); // zeros
  _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, "hundred times smaller");
  assert_int_equal(truncate(path, 1), 0);
  g_free(path);
  path = g_build_filename(_model, "config.json", NULL);
  assert_int_equal(truncate(path, (off_t)MIB + 1), 0);
  _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, "1 MiB");
  assert_int_equal(unlink(path), 0);
  _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, "config.json");
  assert_int_equal(g_mkdir(path, 0755), 0);
  _refuse_to_pack("tiny", DT_AI_ERROR_INPUT, "config.json");
  g_free(path);
}

static void _refuse_output(const char *output, gboolean overwrite, const char *word)
{
  GError *error = NULL;
  char *before = _snapshot(TRUE);
  assert_false(dt_package_pack(_model, "tiny", output, overwrite, NULL, &error));
  char *after = _snapshot(TRUE);
  _assert_error(&error, DT_AI_ERROR_OUTPUT, word);
  assert_string_equal(before, after);
  g_free(before);
  g_free(after);
}

static void test_outputs(void **state)
{
  (void)state;
  _write_package("keep me", 7);
  _refuse_output(_package, FALSE, "allow overwriting");
  GBytes *kept = _read_package();
  assert_int_equal(g_bytes_get_size(kept), 7);
  g_bytes_unref(kept);
  assert_int_equal(chmod(_package, 0640), 0);
  _pack(TRUE);
  struct stat status;
  assert_int_equal(stat(_package, &status), 0);
  assert_int_equal(status.st_mode & 0777, 0640);
  _refuse_output(_stage, TRUE, "directory");
  _refuse_output("/dev/null", TRUE, "special file");
  _refuse_output("/no/such/place/x.dtmodel", TRUE, "No such");
  _refuse_output("/proc/x.dtmodel", TRUE, "cannot be created");
  // a link stays one
  char *link = g_build_filename(_outer, "link.dtmodel", NULL);
  assert_int_equal(symlink(_package, link), 0);
  GError *error = NULL;
  assert_true(dt_package_pack(_model, "tiny", link, TRUE, NULL, &error));
  assert_true(g_file_test(link, G_FILE_TEST_IS_SYMLINK));
  assert_int_equal(unlink(link), 0);
  g_free(link);
  // beside what it packs, not in it
  char *inside = g_build_filename(_model, "x.dtmodel", NULL),
       *deep = g_build_filename(_model, "sub", "x", NULL);
  assert_false(dt_package_pack(_model, "tiny", inside, TRUE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "directory itself");
  assert_false(dt_package_pack(_model, "tiny", deep, TRUE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "would be written");
  g_free(inside);
  g_free(deep);
  // and no model at all
  assert_false(dt_package_pack("/no/such/model", "tiny", _package, TRUE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "No such");
  assert_false(dt_package_pack(_package, "tiny", _package, TRUE, NULL, &error));
  _assert_error(&error, DT_AI_ERROR_INPUT, "cannot be read");
}

static void test_packing_that_fails(void **state)
{
  (void)state;
  _write_package("old", 3);
  signal(SIGXFSZ, SIG_IGN);
  static const rlim_t limits[] = { 0, 1, 1000, 200000 };
  for(size_t i = 0; i < G_N_ELEMENTS(limits); i++)
  {
    _limit_file_size(limits[i]);
    _refuse_output(_package, TRUE, "cannot be written");
    _limit_file_size(RLIM_INFINITY);
  }
  signal(SIGXFSZ, SIG_DFL);
  GCancellable *cancellable = g_cancellable_new();
  g_cancellable_cancel(cancellable);
  GError *error = NULL;
  char *before = _snapshot(TRUE);
  assert_false(dt_package_pack(_model, "tiny", _package, TRUE, cancellable, &error));
  char *after = _snapshot(TRUE);
  _assert_error(&error, DT_AI_ERROR_CANCELLED, "Cancelled");
  assert_string_equal(before, after);
  GBytes *kept = _read_package();
  assert_int_equal(g_bytes_get_size(kept), 3);
  g_bytes_unref(kept);
  g_object_unref(cancellable);
  g_free(before);
  g_free(after);
}

typedef struct _canceller_t
{
  GCancellable *cancellable;
  gint64 when;
} _canceller_t;

static gpointer _cancel_soon(gpointer data)
{
  _canceller_t *canceller = data;
  g_usleep(50000);
  canceller->when = g_get_monotonic_time();
  g_cancellable_cancel(canceller->cancellable);
  return NULL;
}

static void test_cancel_packing(void **state)
{
  (void)state;
  for(int i = 0; i < 40; i++)
  {
    char name[32];
    g_snprintf(name, sizeof name, "part%d", i);
    char *bytes = g_malloc(4 * MIB);
    for(size_t j = 0; j < 4 * MIB; j++) bytes[j] = _noise[(j * 7 + (size_t)i) % sizeof _noise];
    _add(name, bytes, 4 * MIB);
    g_free(bytes);
  }
  _canceller_t canceller = { g_cancellable_new(), 0 };
  GThread *thread = g_thread_new("cancel", _cancel_soon, &canceller);
  GError *error = NULL;
  assert_false(dt_package_pack(_model, "tiny", _package, FALSE, canceller.cancellable, &error));
  const gint64 now = g_get_monotonic_time();
  g_thread_join(thread);
  _assert_error(&error, DT_AI_ERROR_CANCELLED, "Cancelled");
  if(!test_is_sanitized()) assert_true(now - canceller.when < 100 * G_TIME_SPAN_MILLISECOND);
  assert_false(g_file_test(_package, G_FILE_TEST_EXISTS));
  g_object_unref(canceller.cancellable);
}

#define package_test(f) cmocka_unit_test_setup_teardown(f, _setup, _teardown)
#define pack_test(f) cmocka_unit_test_setup_teardown(f, _setup_model, _teardown_model)

int main(void)
{
  _make_noise();
  const struct CMUnitTest tests[] = {
    package_test(test_good_packages),
    package_test(test_permissions_are_not_taken_over),
    package_test(test_names_do_not_depend_on_the_locale),
    package_test(test_sizes_behind_the_data),
    package_test(test_names_that_lead_elsewhere),
    package_test(test_names_that_are_no_names),
    package_test(test_the_top),
    package_test(test_names_twice),
    package_test(test_links_and_devices),
    package_test(test_writing_through_a_link),
    package_test(test_links_in_the_stage),
    package_test(test_lying_sizes),
    package_test(test_bombs),
    package_test(test_overlapping_entries),
    package_test(test_number_of_entries),
    package_test(test_large_config),
    package_test(test_64_bit_archives),
    package_test(test_total_size),
    package_test(test_other_files),
    package_test(test_bytes_around),
    package_test(test_unsupported_entries),
    package_test(test_headers_that_contradict),
    package_test(test_truncated),
    package_test(test_flipped_bits),
    package_test(test_digest),
    package_test(test_files_that_are_none),
    package_test(test_file_that_changes),
    package_test(test_progress),
    package_test(test_cancel),
    package_test(test_full_disk),
    package_test(test_unwritable_directories),
    pack_test(test_pack_and_unpack),
    pack_test(test_equal_directories_give_equal_bytes),
    pack_test(test_what_is_not_packed),
    pack_test(test_names_that_are_not_packed),
    pack_test(test_limits_of_packing),
    pack_test(test_outputs),
    pack_test(test_packing_that_fails),
    pack_test(test_cancel_packing),
  };
  return cmocka_run_group_tests_name("model_package", tests, NULL, NULL);
}
