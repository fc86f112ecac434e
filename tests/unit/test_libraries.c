/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where libraries are found, and what they lack: on ELF files made here, whole, cut off and spoilt, and on those of
 * this machine. */
#include "support.h"

#include "common/libraries.h"

#include <elf.h>
#include <glib/gstdio.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- a world with libraries of its own --- */

static char *_root;

static int _setup(void **state)
{
  (void)state;
  _root = g_build_filename(test_world_create(), "libraries", NULL);
  char *conf = g_build_filename(_root, "ld.so.conf", NULL);
  assert_int_equal(g_mkdir_with_parents(_root, 0700), 0);
  g_setenv("DT_LD_SO_CONF", conf, TRUE);
  g_unsetenv("LD_LIBRARY_PATH");
  g_free(conf);
  return 0;
}

static int _teardown(void **state)
{
  (void)state;
  g_unsetenv("LD_LIBRARY_PATH");
  g_free(_root);
  test_world_destroy();
  return 0;
}

static char *_path(const char *relative)
{
  return g_build_filename(_root, relative, NULL);
}

static void _write(const char *relative, const void *bytes, gsize size)
{
  char *path = _path(relative), *folder = g_path_get_dirname(path);
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  /* thousands of times: g_file_set_contents() would wait for the disk */
  FILE *file = g_fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
  g_free(folder);
  g_free(path);
}

static void _write_text(const char *relative, const char *text)
{
  _write(relative, text, strlen(text));
}

/* --- ELF files made here --- */

#if __ELF_NATIVE_CLASS == 64
#define OWN_CLASS ELFCLASS64
#define OTHER_CLASS ELFCLASS32
#else
#define OWN_CLASS ELFCLASS32
#define OTHER_CLASS ELFCLASS64
#endif

/** Names are loaded at another address than their place in the file. */
#define ADDRESS 0x10000
#define MAX_ENTRIES 2048

typedef struct _image_t
{
  ElfW(Ehdr) header;
  ElfW(Phdr) segments[2];
  ElfW(Dyn) entries[MAX_ENTRIES];
  char names[1];
} _image_t;

typedef struct _maker_t
{
  GString *names;
  ElfW(Dyn) entries[MAX_ENTRIES];
  int count;
} _maker_t;

static void _maker_init(_maker_t *maker)
{
  memset(maker, 0, sizeof *maker);
  maker->names = g_string_new_len("", 1);
}

static void _add_value(_maker_t *maker, int tag, guint64 value)
{
  assert_true(maker->count < MAX_ENTRIES);
  maker->entries[maker->count].d_tag = tag;
  maker->entries[maker->count++].d_un.d_val = value;
}

static void _add_name(_maker_t *maker, int tag, const char *name)
{
  _add_value(maker, tag, maker->names->len);
  g_string_append_len(maker->names, name, (gssize)strlen(name) + 1);
}

static guint16 _machine(void)
{
  char *bytes = NULL;
  ElfW(Ehdr) header;
  assert_true(g_file_get_contents("/proc/self/exe", &bytes, NULL, NULL));
  memcpy(&header, bytes, sizeof header);
  g_free(bytes);
  return header.e_machine;
}

static void _fill_header(_image_t *image, gsize size)
{
  const guint16 one = 1;
  memcpy(image->header.e_ident, ELFMAG, SELFMAG);
  image->header.e_ident[EI_CLASS] = OWN_CLASS;
  image->header.e_ident[EI_DATA] = *(const guint8 *)&one ? ELFDATA2LSB : ELFDATA2MSB;
  image->header.e_ident[EI_VERSION] = EV_CURRENT;
  image->header.e_type = ET_DYN;
  image->header.e_machine = _machine();
  image->header.e_phoff = offsetof(_image_t, segments);
  image->header.e_phentsize = sizeof(ElfW(Phdr));
  image->header.e_phnum = 2;
  image->segments[0].p_type = PT_LOAD;
  image->segments[0].p_vaddr = ADDRESS;
  image->segments[0].p_filesz = size;
  image->segments[1].p_type = PT_DYNAMIC;
  image->segments[1].p_offset = offsetof(_image_t, entries);
  image->segments[1].p_filesz = sizeof image->entries;
}

/* The file's bytes. Ends @p maker. */
static _image_t *_make(_maker_t *maker, gsize *size)
{
  _add_value(maker, DT_STRTAB, ADDRESS + offsetof(_image_t, names));
  _add_value(maker, DT_STRSZ, maker->names->len);
  *size = offsetof(_image_t, names) + maker->names->len;
  _image_t *image = g_malloc0(MAX(*size, sizeof *image));
  _fill_header(image, *size);
  memcpy(image->entries, maker->entries, sizeof image->entries);
  memcpy((char *)image + offsetof(_image_t, names), maker->names->str, maker->names->len);
  g_string_free(maker->names, TRUE);
  return image;
}

/* @p needed: sonames separated by spaces. */
static _image_t *_make_library(const char *needed, int path_tag, const char *path, gsize *size)
{
  _maker_t maker;
  _maker_init(&maker);
  char **names = g_strsplit(needed, " ", -1);
  for(char **name = names; *name; name++)
    if(**name) _add_name(&maker, DT_NEEDED, *name);
  if(path) _add_name(&maker, path_tag, path);
  g_strfreev(names);
  return _make(&maker, size);
}

static void _write_library(const char *relative, const char *needed, int path_tag, const char *path)
{
  gsize size;
  _image_t *image = _make_library(needed, path_tag, path, &size);
  _write(relative, image, size);
  g_free(image);
}

/* --- what a file needs --- */

static void _assert_refused(const char *path, const char *words)
{
  GError *error = NULL;
  assert_null(dt_library_needed(path, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  if(!strstr(error->message, words)) fail_msg("\"%s\" is missing in: %s", words, error->message);
  assert_non_null(strstr(error->message, path));
  g_clear_error(&error);
  assert_null(dt_library_missing(path, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  g_clear_error(&error);
}

static void test_needed(void **state)
{
  (void)state;
  _write_library("needed/libown.so.1", "libone.so.1 libtwo.so.2", DT_RUNPATH, "$ORIGIN");
  char *path = _path("needed/libown.so.1");
  GError *error = NULL;
  char **names = dt_library_needed(path, &error);
  assert_no_error(error);
  assert_int_equal(g_strv_length(names), 2);
  assert_string_equal(names[0], "libone.so.1");
  assert_string_equal(names[1], "libtwo.so.2");
  g_strfreev(names);
  _write_library("needed/libalone.so", "", 0, NULL);
  char *alone = _path("needed/libalone.so");
  names = dt_library_needed(alone, &error);
  assert_no_error(error);
  assert_int_equal(g_strv_length(names), 0);
  g_strfreev(names);
  g_free(alone);
  g_free(path);
}

/* What the linker made and the loader has loaded. */
static void test_this_program(void **state)
{
  (void)state;
  GError *error = NULL;
  char **names = dt_library_needed("/proc/self/exe", &error);
  assert_no_error(error);
  gboolean libc = FALSE;
  for(char **name = names; *name; name++)
  {
    char *path = dt_library_find(*name, NULL);
    if(!path) fail_msg("%s is loaded and not found", *name);
    libc |= g_str_has_prefix(*name, "libc.so");
    g_free(path);
  }
  assert_true(libc);
  g_strfreev(names);
  char *self = g_file_read_link("/proc/self/exe", NULL);
  GPtrArray *missing = dt_library_missing(self, &error);
  assert_no_error(error);
  assert_int_equal(missing->len, 0);
  g_ptr_array_unref(missing);
  g_free(self);
}

static void test_no_library(void **state)
{
  (void)state;
  _write_text("bad/empty", "");
  _write_text("bad/text",
              "GROUP ( libc.so.6 libc_nonshared.a ), a linker's script and by no means an ELF file\n");
  char *empty = _path("bad/empty"), *text = _path("bad/text"), *absent = _path("bad/absent"),
       *folder = _path("bad");
  char *pipe = _path("bad/pipe");
  assert_int_equal(mkfifo(pipe, 0600), 0);
  _assert_refused(empty, "no ELF file");
  _assert_refused(text, "no ELF file");
  _assert_refused(absent, "No such file");
  _assert_refused(folder, "not a regular file");
  _assert_refused(pipe, "not a regular file");
  g_free(pipe);
  g_free(folder);
  g_free(absent);
  g_free(text);
  g_free(empty);
}

typedef void (*_spoil_t)(_image_t *image);

static void _spoil_class(_image_t *image)
{
  image->header.e_ident[EI_CLASS] = OTHER_CLASS;
}
static void _spoil_order(_image_t *image)
{
  image->header.e_ident[EI_DATA] = (guchar)(3 - image->header.e_ident[EI_DATA]);
}
static void _spoil_machine(_image_t *image)
{
  image->header.e_machine = EM_PDP11;
}
static void _spoil_entry_size(_image_t *image)
{
  image->header.e_phentsize = 1;
}
static void _spoil_table(_image_t *image)
{
  image->header.e_phoff = (ElfW(Off)) - 8;
}
static void _spoil_table_count(_image_t *image)
{
  image->segments[1].p_type = PT_NULL;
  image->header.e_phnum = 0xffff;
}
static void _spoil_dynamic(_image_t *image)
{
  image->segments[1].p_offset = (ElfW(Off)) - 64;
}
static void _spoil_dynamic_size(_image_t *image)
{
  image->segments[1].p_filesz = (ElfW(Xword)) - 1;
}
static void _spoil_load(_image_t *image)
{
  image->segments[0].p_offset = (ElfW(Off)) - 8;
}
static void _spoil_load_size(_image_t *image)
{
  image->segments[0].p_filesz = 16;
}
static void _spoil_name(_image_t *image)
{
  image->entries[0].d_un.d_val = (ElfW(Xword)) - 1;
}
static void _spoil_strings(_image_t *image)
{
  for(ElfW(Dyn) *entry = image->entries; entry->d_tag; entry++)
    if(entry->d_tag == DT_STRSZ) entry->d_un.d_val = (ElfW(Xword)) - 1;
}
static void _spoil_control(_image_t *image)
{
  ((char *)image)[offsetof(_image_t, names) + 2] = '\033';
}

static void test_spoilt(void **state)
{
  (void)state;
  static const struct
  {
    _spoil_t spoil;
    const char *words;
  } cases[] = {
    { _spoil_class, "another kind" },   { _spoil_order, "another kind" }, { _spoil_machine, "another kind" },
    { _spoil_entry_size, "damaged" },   { _spoil_table, "damaged" },      { _spoil_table_count, "damaged" },
    { _spoil_dynamic, "damaged" },      { _spoil_load, "damaged" },       { _spoil_load_size, "damaged" },
    { _spoil_dynamic_size, "damaged" }, { _spoil_name, "damaged" },       { _spoil_strings, "damaged" },
    { _spoil_control, "damaged" },
  };
  char *path = _path("spoilt/lib.so");
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
  {
    gsize size;
    _image_t *image = _make_library("libone.so.1", DT_RUNPATH, "$ORIGIN", &size);
    cases[i].spoil(image);
    _write("spoilt/lib.so", image, size);
    _assert_refused(path, cases[i].words);
    g_free(image);
  }
  g_free(path);
}

/* Names and lists that no linker makes. */
static void test_too_much(void **state)
{
  (void)state;
  _maker_t maker;
  gsize size;
  char *path = _path("much/lib.so");
  _maker_init(&maker);
  _add_name(&maker, DT_NEEDED, "libone.so.1");
  for(int i = 0; i < MAX_ENTRIES - 8; i++) _add_value(&maker, DT_NEEDED, 1);
  _image_t *image = _make(&maker, &size);
  _write("much/lib.so", image, size);
  _assert_refused(path, "damaged");
  g_free(image);
  char *long_name = g_strnfill(20000, 'a');
  _write_library("much/lib.so", long_name, 0, NULL);
  _assert_refused(path, "damaged");
  g_free(long_name);
  g_free(path);
}

static void test_cut_off(void **state)
{
  (void)state;
  gsize size;
  _image_t *image = _make_library("libone.so.1 libtwo.so.2", DT_RUNPATH, "$ORIGIN", &size);
  char *path = _path("cut/lib.so");
  const gsize head = sizeof image->header + sizeof image->segments + 64;
  for(gsize cut = 0; cut < size; cut += cut < head || cut + 64 > size ? 1 : 997)
  {
    _write("cut/lib.so", image, cut);
    _assert_refused(path, "");
  }
  g_free(path);
  g_free(image);
}

/* Whatever comes out, it comes out without a touch of other memory. */
static void test_random_damage(void **state)
{
  (void)state;
  gsize size;
  test_random_t random = { 4711 };
  _image_t *image = _make_library("libone.so.1 libtwo.so.2", DT_RPATH, "$ORIGIN/../x:/y", &size), *copy;
  char *path = _path("random/lib.so");
  const int rounds = test_is_long() ? 20000 : 1000;
  copy = g_malloc(size);
  for(int round = 0; round < rounds; round++)
  {
    memcpy(copy, image, size);
    for(int i = test_random_int(&random, 1, 4); i > 0; i--)
    {
      const gsize area = round % 2 ? sizeof image->header + sizeof image->segments + 96 : size;
      ((guchar *)copy)[test_random(&random) % area] = (guchar)test_random(&random);
    }
    _write("random/lib.so", copy, size);
    char **names = dt_library_needed(path, NULL);
    GPtrArray *missing = dt_library_missing(path, NULL);
    if(missing) g_ptr_array_unref(missing);
    g_strfreev(names);
  }
  g_free(copy);
  g_free(path);
  g_free(image);
}

/* --- where they are --- */

static void _assert_found(const char *soname, const char *beside, const char *expected)
{
  char *folder = beside ? _path(beside) : NULL, *found = dt_library_find(soname, folder);
  if(expected)
  {
    char *path = _path(expected);
    if(g_strcmp0(found, path) != 0) fail_msg("%s: found %s, not %s", soname, found, path);
    g_free(path);
  }
  else if(found)
    fail_msg("%s: found %s", soname, found);
  g_free(found);
  g_free(folder);
}

static void _set_library_path(const char *first, const char *second)
{
  char *one = _path(first), *two = _path(second), *both = g_strconcat(one, ":", two, NULL);
  g_setenv("LD_LIBRARY_PATH", both, TRUE);
  g_free(both);
  g_free(two);
  g_free(one);
}

static void test_find(void **state)
{
  (void)state;
  _write_library("a/libinvented.so.3", "", 0, NULL);
  _write_library("b/libinvented.so.3", "", 0, NULL);
  _write_library("c/libinvented.so.3", "", 0, NULL);
  _assert_found("libinvented.so.3", NULL, NULL);
  _assert_found("libinvented.so.3", "b", "b/libinvented.so.3");
  _set_library_path("nowhere", "a");
  _assert_found("libinvented.so.3", "b", "a/libinvented.so.3");
  g_unsetenv("LD_LIBRARY_PATH");
  char *path = _path("c/libinvented.so.3"), *found = dt_library_find(path, NULL);
  assert_string_equal(found, path);
  g_free(found);
  g_free(path);
  assert_null(dt_library_find("/nowhere/libinvented.so.3", NULL));
}

/* The loader passes over what is for another processor; what is no library at all it takes, and fails. */
static void test_find_foreign(void **state)
{
  (void)state;
  gsize size;
  _image_t *image = _make_library("", 0, NULL, &size);
  _spoil_class(image);
  _write("lib32/libforeign.so.3", image, size);
  _spoil_class(image);
  image->header.e_machine = EM_PDP11;
  _write("pdp/libforeign.so.3", image, size);
  g_free(image);
  char *folder = _path("folder/libforeign.so.3");
  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  g_free(folder);
  _set_library_path("lib32", "pdp");
  _assert_found("libforeign.so.3", "folder", NULL);
  _write_library("own/libforeign.so.3", "", 0, NULL);
  _assert_found("libforeign.so.3", "own", "own/libforeign.so.3");
  _write_text("script/libscript.so.1", "INPUT(x)");
  _assert_found("libscript.so.1", "script", "script/libscript.so.1");
  g_unsetenv("LD_LIBRARY_PATH");
}

static void test_conf(void **state)
{
  (void)state;
  char *first = _path("conf1"), *second = _path("conf2"), *third = _path("conf3");
  char *main_conf =
      g_strdup_printf("# libraries\n\n  include parts/*.conf none*.conf  # more\nhwcap 1 nosegneg\n"
                      "relative\ninclude ld.so.conf\n%s = libc6 # the first\n",
                      first);
  char *part = g_strdup_printf("%s\n", second), *last = g_strdup_printf("\t%s", third);
  _write_text("ld.so.conf", main_conf);
  _write_text("parts/a.conf", part);
  _write_text("parts/b.conf", last);
  _write_text("parts/c.other", "/nowhere");
  _write_library("conf1/libc1.so.1", "", 0, NULL);
  _write_library("conf2/libc1.so.1", "", 0, NULL);
  _write_library("conf1/libc2.so.1", "", 0, NULL);
  _write_library("conf3/libc3.so.1", "", 0, NULL);
  _assert_found("libc1.so.1", NULL, "conf2/libc1.so.1");
  _assert_found("libc2.so.1", NULL, "conf1/libc2.so.1");
  _assert_found("libc3.so.1", NULL, "conf3/libc3.so.1");
  _write_text("ld.so.conf", "");
  _assert_found("libc1.so.1", NULL, NULL);
  char *libc = dt_library_find("libc.so.6", NULL);
  if(libc) assert_true(g_path_is_absolute(libc));
  g_free(libc);
  g_free(last);
  g_free(part);
  g_free(main_conf);
  g_free(third);
  g_free(second);
  g_free(first);
}

static void _link(const char *target, const char *relative)
{
  char *path = _path(relative);
  assert_int_equal(symlink(target, path), 0);
  g_free(path);
}

static void test_similar(void **state)
{
  (void)state;
  _write_library("s/libsame.so.3000.1", "", 0, NULL);
  _link("libsame.so.3000.1", "s/libsame.so.3000");
  _link("libsame.so.3000.1", "s/libsame.so");
  _link("nowhere", "s/libsame.so.4");
  _write_library("s/libsame_c.so.3", "", 0, NULL);
  _write_library("t/libsame.so.2", "", 0, NULL);
  char *beside = _path("s"), *s = _path("s/libsame.so.3000"), *t = _path("t/libsame.so.2");
  _set_library_path("nowhere", "t");
  GPtrArray *similar = dt_library_find_similar("libsame.so.3", beside);
  assert_int_equal(similar->len, 2);
  assert_string_equal(g_ptr_array_index(similar, 0), t);
  assert_string_equal(g_ptr_array_index(similar, 1), s);
  g_ptr_array_unref(similar);
  similar = dt_library_find_similar("libsame.so.3000", beside);
  assert_int_equal(similar->len, 1);
  g_ptr_array_unref(similar);
  g_unsetenv("LD_LIBRARY_PATH");
  static const char *const none[] = { "libnone.so.1", "no library", "", "/a/libsame.so.3" };
  for(size_t i = 0; i < G_N_ELEMENTS(none); i++)
  {
    similar = dt_library_find_similar(none[i], beside);
    assert_int_equal(similar->len, 0);
    g_ptr_array_unref(similar);
  }
  g_free(t);
  g_free(s);
  g_free(beside);
}

/* --- what is missing --- */

/* @p expected: "soname<needed_by" for each, separated by spaces. */
static void _assert_missing(const char *relative, const char *expected)
{
  GError *error = NULL;
  char *path = _path(relative);
  GString *found = g_string_new(NULL);
  GPtrArray *missing = dt_library_missing(path, &error);
  assert_no_error(error);
  for(guint i = 0; i < missing->len; i++)
  {
    const dt_library_missing_t *one = g_ptr_array_index(missing, i);
    g_string_append_printf(found, "%s%s<%s", i ? " " : "", one->soname, one->needed_by);
  }
  assert_string_equal(found->str, expected);
  g_ptr_array_unref(missing);
  g_string_free(found, TRUE);
  g_free(path);
}

static void test_missing(void **state)
{
  (void)state;
  _write_library("m/libmain.so", "libbeside.so.1 libabsent.so.1 libc.so.6", 0, NULL);
  _write_library("m/libbeside.so.1", "libmain.so libdeep.so.1 libabsent.so.1", 0, NULL);
  _assert_missing("m/libmain.so", "libabsent.so.1<libmain.so libdeep.so.1<libbeside.so.1");
  _write_library("m/libdeep.so.1", "libbeside.so.1", 0, NULL);
  _assert_missing("m/libmain.so", "libabsent.so.1<libmain.so");
  _write_library("m/libabsent.so.1", "", 0, NULL);
  _assert_missing("m/libmain.so", "");
}

/* Wheels lay their libraries in folders next door. */
static void test_rpath(void **state)
{
  (void)state;
  _write_library("w/pkg/capi/libruntime.so", "libpart.so.1 libnext.so.1", DT_RUNPATH,
                 "$ORIGIN:${ORIGIN}/../../pkg.libs:$LIB/x:relative:/nowhere/$PLATFORM:");
  _write_library("w/pkg.libs/libpart.so.1", "libnext.so.1 libgone.so.1", 0, NULL);
  _assert_missing("w/pkg/capi/libruntime.so", "libnext.so.1<libruntime.so libgone.so.1<libpart.so.1");
  /* a DT_RUNPATH is for its own file, a DT_RPATH for those it leads to as well */
  _write_library("r/one/libfirst.so", "libsecond.so", DT_RUNPATH, "$ORIGIN/../two:$ORIGIN/../three");
  _write_library("r/two/libsecond.so", "libthird.so", 0, NULL);
  _write_library("r/three/libthird.so", "", 0, NULL);
  _assert_missing("r/one/libfirst.so", "libthird.so<libsecond.so");
  _write_library("r/one/libfirst.so", "libsecond.so", DT_RPATH, "$ORIGIN/../two:$ORIGIN/../three");
  _assert_missing("r/one/libfirst.so", "");
  _write_library("r/two/libsecond.so", "libthird.so", DT_RUNPATH, "$ORIGIN");
  _assert_missing("r/one/libfirst.so", "libthird.so<libsecond.so");
}

/* What the system's libraries need is the system's business. */
static void test_system_is_not_followed(void **state)
{
  (void)state;
  char *system = _path("system");
  _write_text("ld.so.conf", system);
  _write_library("system/libsystem.so.1", "libnever.so.1", 0, NULL);
  _write_library("user/libuser.so", "libsystem.so.1", DT_RUNPATH, "$ORIGIN/../system");
  _assert_missing("user/libuser.so", "");
  _write_text("ld.so.conf", "");
  _assert_missing("user/libuser.so", "libnever.so.1<libsystem.so.1");
  g_free(system);
}

static void test_missing_tells(void **state)
{
  (void)state;
  GError *error = NULL;
  _write_library("tells/libmain.so", "libcudnn.so.9 libinvented_c.so.3", 0, NULL);
  _write_library("tells/libinvented_c.so.3000", "", 0, NULL);
  char *path = _path("tells/libmain.so"), *other = _path("tells/libinvented_c.so.3000");
  GPtrArray *missing = dt_library_missing(path, &error);
  assert_no_error(error);
  const dt_library_missing_t *last = g_ptr_array_index(missing, missing->len - 1);
  assert_string_equal(last->soname, "libinvented_c.so.3");
  assert_string_equal(last->found, other);
  assert_null(last->package);
  if(missing->len == 2) /* where no cuDNN is installed */
  {
    const dt_library_missing_t *first = g_ptr_array_index(missing, 0);
    assert_string_equal(first->soname, "libcudnn.so.9");
    assert_string_equal(first->package, "cuDNN 9 for CUDA (NVIDIA)");
  }
  g_ptr_array_unref(missing);
  /* a file beside that is no library stops it */
  _write_text("tells/libinvented_c.so.3", "torn");
  assert_null(dt_library_missing(path, &error));
  assert_true(g_error_matches(error, DT_AI_ERROR, DT_AI_ERROR_INPUT));
  assert_non_null(strstr(error->message, "libinvented_c.so.3"));
  g_clear_error(&error);
  g_free(other);
  g_free(path);
}

static void test_package(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
    { "libcudnn.so.9", "cuDNN 9 for CUDA (NVIDIA)" },
    { "libcudnn_graph.so.9", "cuDNN 9 for CUDA (NVIDIA)" },
    { "libcublas.so.12", "CUDA Toolkit 12 (NVIDIA)" },
    { "libcublasLt.so.13", "CUDA Toolkit 13 (NVIDIA)" },
    { "libcudart.so.12", "CUDA Toolkit 12 (NVIDIA)" },
    { "libcufft.so.11", "CUDA Toolkit 12 (NVIDIA)" },
    { "libcufft.so.12", "CUDA Toolkit 13 (NVIDIA)" },
    { "libnvrtc.so.13", "CUDA Toolkit 13 (NVIDIA)" },
    { "libcurand.so.10", "CUDA Toolkit 12 or 13 (NVIDIA)" },
    { "libcuda.so.1", "NVIDIA driver" },
    { "libmigraphx_c.so.3", "migraphx (AMD ROCm)" },
    { "libMIOpen.so.1", "miopen-hip (AMD ROCm)" },
    { "libamdhip64.so.6", "hip-runtime-amd (AMD ROCm)" },
    { "librocm_smi64.so.7", "rocm-smi-lib (AMD ROCm)" },
    { "libhipblas.so.2", "hipblas (AMD ROCm)" },
    { "libhipblaslt.so.0", "hipblaslt (AMD ROCm)" },
    { "libvulkan.so.1", "libvulkan1 (Debian, Ubuntu), vulkan-loader (Fedora)" },
    { "libvulkan_radeon.so", "mesa-vulkan-drivers" },
    { "libze_loader.so.1", "level-zero / libze1 (Intel)" },
    { "libOpenCL.so.1", "ocl-icd-libopencl1" },
    { "libtbb.so.12", "libtbb12" },
  };
  for(size_t i = 0; i < G_N_ELEMENTS(cases); i++)
    assert_string_equal(dt_library_package(cases[i][0]), cases[i][1]);
  assert_null(dt_library_package("libinvented.so.3"));
  assert_null(dt_library_package(""));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_needed),        cmocka_unit_test(test_this_program),
    cmocka_unit_test(test_no_library),    cmocka_unit_test(test_spoilt),
    cmocka_unit_test(test_too_much),      cmocka_unit_test(test_cut_off),
    cmocka_unit_test(test_random_damage), cmocka_unit_test(test_find),
    cmocka_unit_test(test_find_foreign),  cmocka_unit_test(test_conf),
    cmocka_unit_test(test_similar),       cmocka_unit_test(test_missing),
    cmocka_unit_test(test_rpath),         cmocka_unit_test(test_system_is_not_followed),
    cmocka_unit_test(test_missing_tells), cmocka_unit_test(test_package),
  };
  return cmocka_run_group_tests_name("libraries", tests, _setup, _teardown);
}
