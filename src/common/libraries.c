/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads what the dynamic loader reads: its list of folders, and the dynamic section of ELF files (System V ABI,
 * chapter 5).
 *
 * A file may be cut off or made to do harm: every offset is checked against the file's size, and whatever can be
 * numerous or long has a limit. */
#include "common/libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** Far more than any real library has. */
#define MAX_NEEDED 1024
#define MAX_TEXT 16384
#define MAX_FILES 1024
/** How deep one part of ld.so.conf may include another. */
#define MAX_INCLUDES 8

/** This program's own header, which the linker provides: it tells what a library for this machine looks like. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

// --- ELF files

/** A mapped ELF file of this machine. */
typedef struct _elf_t
{
  const char *bytes;
  gsize size;
  ElfW(Ehdr) header;
  ElfW(Phdr) dynamic;            ///< p_filesz 0: there is none
  guint64 strings, strings_size; ///< where the names are, inside the file
} _elf_t;

/** What a file says about other files. */
typedef struct _dynamic_t
{
  GPtrArray *needed;     ///< of char *
  char *rpath, *runpath; ///< or NULL
} _dynamic_t;

static void _clear_dynamic(_dynamic_t *dynamic)
{
  g_ptr_array_unref(dynamic->needed);
  g_free(dynamic->rpath);
  g_free(dynamic->runpath);
}

static gboolean _read_at(const _elf_t *elf, guint64 offset, void *out, gsize size)
{
  if(size > elf->size || offset > elf->size - size) return FALSE;
  memcpy(out, elf->bytes + offset, size);
  return TRUE;
}

static gboolean _is_elf(const ElfW(Ehdr) * header)
{
  return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0;
}

static gboolean _is_native(const ElfW(Ehdr) * header)
{
  return header->e_ident[EI_CLASS] == __ehdr_start.e_ident[EI_CLASS]
         && header->e_ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA]
         && header->e_machine == __ehdr_start.e_machine;
}

static gboolean _read_segment(const _elf_t *elf, guint index, ElfW(Phdr) * segment)
{
  if(elf->header.e_phoff > elf->size) return FALSE;
  return _read_at(elf, (guint64)elf->header.e_phoff + index * sizeof *segment, segment, sizeof *segment);
}

/* A static program has none, which is no damage. */
static gboolean _find_dynamic(_elf_t *elf)
{
  ElfW(Phdr) segment;
  for(guint i = 0; i < elf->header.e_phnum; i++)
  {
    if(!_read_segment(elf, i, &segment)) return FALSE;
    if(segment.p_type != PT_DYNAMIC) continue;
    elf->dynamic = segment;
    return segment.p_filesz <= elf->size && segment.p_offset <= elf->size - segment.p_filesz;
  }
  return TRUE;
}

/* The entry number @p index; FALSE after the last. */
static gboolean _read_entry(const _elf_t *elf, guint64 index, ElfW(Dyn) * entry)
{
  if(index >= elf->dynamic.p_filesz / sizeof *entry) return FALSE;
  return _read_at(elf, elf->dynamic.p_offset + index * sizeof *entry, entry, sizeof *entry)
         && entry->d_tag != DT_NULL;
}

static gboolean _find_value(const _elf_t *elf, gint64 tag, guint64 *value)
{
  ElfW(Dyn) entry;
  for(guint64 i = 0; _read_entry(elf, i, &entry); i++)
    if(entry.d_tag == tag)
    {
      *value = entry.d_un.d_val;
      return TRUE;
    }
  return FALSE;
}

/* Where in the file lies what is loaded at @p address? */
static gboolean _find_offset(const _elf_t *elf, guint64 address, guint64 *offset)
{
  ElfW(Phdr) segment;
  for(guint i = 0; i < elf->header.e_phnum && _read_segment(elf, i, &segment); i++)
  {
    if(segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    if(address - segment.p_vaddr >= segment.p_filesz || segment.p_offset > elf->size) continue;
    *offset = segment.p_offset + (address - segment.p_vaddr);
    return TRUE;
  }
  return FALSE;
}

static gboolean _find_strings(_elf_t *elf)
{
  guint64 address;
  if(!_find_value(elf, DT_STRTAB, &address) || !_find_value(elf, DT_STRSZ, &elf->strings_size)) return FALSE;
  if(!_find_offset(elf, address, &elf->strings)) return FALSE;
  return elf->strings_size <= elf->size && elf->strings <= elf->size - elf->strings_size;
}

/* Names end in messages and on terminals. */
static gboolean _is_printable(const char *text)
{
  if(!g_utf8_validate(text, -1, NULL)) return FALSE;
  for(const char *c = text; *c; c = g_utf8_next_char(c))
    if(!g_unichar_isprint(g_utf8_get_char(c))) return FALSE;
  return TRUE;
}

/* The text at @p index among the names (in the mapping), or NULL. */
static const char *_get_text(const _elf_t *elf, guint64 index)
{
  if(index >= elf->strings_size) return NULL;
  const char *text = elf->bytes + elf->strings + index;
  if(!memchr(text, '\0', MIN(elf->strings_size - index, MAX_TEXT))) return NULL;
  return _is_printable(text) ? text : NULL;
}

static gboolean _take_entry(const _elf_t *elf, const ElfW(Dyn) * entry, _dynamic_t *out)
{
  if(entry->d_tag != DT_NEEDED && entry->d_tag != DT_RPATH && entry->d_tag != DT_RUNPATH) return TRUE;
  const char *text = _get_text(elf, entry->d_un.d_val);
  if(!text || out->needed->len == MAX_NEEDED) return FALSE;
  char **path = entry->d_tag == DT_RPATH ? &out->rpath : &out->runpath;
  if(entry->d_tag == DT_NEEDED)
    g_ptr_array_add(out->needed, g_strdup(text));
  else if(!*path)
    *path = g_strdup(text);
  return TRUE;
}

static gboolean _take_entries(_elf_t *elf, _dynamic_t *out)
{
  ElfW(Dyn) entry;
  if(elf->dynamic.p_filesz == 0) return TRUE;
  if(!_find_strings(elf)) return FALSE;
  for(guint64 i = 0; _read_entry(elf, i, &entry); i++)
    if(!_take_entry(elf, &entry, out)) return FALSE;
  return TRUE;
}

/* @return what is wrong, or NULL */
static const char *_parse(_elf_t *elf, _dynamic_t *out)
{
  if(!_read_at(elf, 0, &elf->header, sizeof elf->header) || !_is_elf(&elf->header))
    return "it is no library (no ELF file)";
  if(!_is_native(&elf->header)) return "it is for another kind of processor";
  if(elf->header.e_phnum > 0 && elf->header.e_phentsize != sizeof(ElfW(Phdr))) return "it is damaged";
  return _find_dynamic(elf) && _take_entries(elf, out) ? NULL : "it is damaged or cut off";
}

static gboolean _refuse(const char *path, const char *why, GError **error)
{
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "The file %s cannot be read as a library: %s.", path,
              why);
  return FALSE;
}

/* @p out is filled on success only. */
static gboolean _read_dynamic(const char *path, _dynamic_t *out, GError **error)
{
  GError *reason = NULL;
  /* opening a pipe would wait for its other end */
  if(g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return _refuse(path, "it is not a regular file", error);
  GMappedFile *file = g_mapped_file_new(path, FALSE, &reason);
  if(!file)
  {
    _refuse(path, reason->message, error);
    g_error_free(reason);
    return FALSE;
  }
  _elf_t elf = { .bytes = g_mapped_file_get_contents(file), .size = g_mapped_file_get_length(file) };
  *out = (_dynamic_t){ .needed = g_ptr_array_new_with_free_func(g_free) };
  const char *why = _parse(&elf, out);
  g_mapped_file_unref(file);
  if(!why) return TRUE;
  _clear_dynamic(out);
  return _refuse(path, why, error);
}

char **dt_library_needed(const char *path, GError **error)
{
  _dynamic_t dynamic;
  if(!_read_dynamic(path, &dynamic, error)) return NULL;
  g_ptr_array_add(dynamic.needed, NULL);
  char **names = (char **)g_ptr_array_steal(dynamic.needed, NULL);
  _clear_dynamic(&dynamic);
  return names;
}

// --- Places

static void _add_place(GPtrArray *places, const char *folder)
{
  if(*folder && !g_ptr_array_find_with_equal_func(places, folder, g_str_equal, NULL))
    g_ptr_array_add(places, g_strdup(folder));
}

static void _read_conf(GPtrArray *places, const char *path, int depth);

static void _include_conf(GPtrArray *places, const char *path, const char *pattern, int depth)
{
  char *folder = g_path_get_dirname(path), *full = g_canonicalize_filename(pattern, folder);
  glob_t found;
  if(glob(full, 0, NULL, &found) == 0)
  {
    for(gsize i = 0; i < found.gl_pathc; i++) _read_conf(places, found.gl_pathv[i], depth + 1);
    globfree(&found);
  }
  g_free(full);
  g_free(folder);
}

/* "/folder", "/folder=libc6", "include pattern pattern"; hwcap lines are older than what runs here. */
static void _read_conf_line(GPtrArray *places, const char *path, char *line, int depth)
{
  line[strcspn(line, "#")] = '\0';
  g_strstrip(line);
  if(g_str_has_prefix(line, "include") && g_ascii_isspace(line[7]))
  {
    char **patterns = g_strsplit_set(line + 8, " \t", -1);
    for(char **pattern = patterns; *pattern; pattern++)
      if(**pattern) _include_conf(places, path, *pattern, depth);
    g_strfreev(patterns);
  }
  else if(*line == '/')
  {
    line[strcspn(line, "=")] = '\0';
    _add_place(places, g_strchomp(line));
  }
}

static void _read_conf(GPtrArray *places, const char *path, int depth)
{
  char *text = NULL;
  if(depth > MAX_INCLUDES || !g_file_get_contents(path, &text, NULL, NULL)) return;
  char **lines = g_strsplit(text, "\n", -1);
  for(char **line = lines; *line; line++) _read_conf_line(places, path, *line, depth);
  g_strfreev(lines);
  g_free(text);
}

static void _add_system_places(GPtrArray *places)
{
  static const char *const known[] = {
#if defined(__x86_64__)
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
#elif defined(__aarch64__)
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
#endif
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    /* not the loader's, but where the makers' own packages put them */
    "/usr/local/cuda/lib64",
    "/opt/rocm/lib"
  };
  const char *conf = g_getenv("DT_LD_SO_CONF"); /* for tests */
  _read_conf(places, conf ? conf : "/etc/ld.so.conf", 0);
  for(gsize i = 0; i < G_N_ELEMENTS(known); i++) _add_place(places, known[i]);
}

/* As the loader has it, an empty part is the current folder. */
static void _add_environment_places(GPtrArray *places)
{
  const char *variable = g_getenv("LD_LIBRARY_PATH");
  if(!variable || !*variable) return;
  char **folders = g_strsplit_set(variable, ":;", -1);
  for(char **folder = folders; *folder; folder++) _add_place(places, **folder ? *folder : ".");
  g_strfreev(folders);
}

static GPtrArray *_new_places(const char *beside)
{
  GPtrArray *places = g_ptr_array_new_with_free_func(g_free);
  _add_environment_places(places);
  if(beside) _add_place(places, beside);
  _add_system_places(places);
  return places;
}

// --- Files in places

static gboolean _read_start(const char *path, ElfW(Ehdr) * header)
{
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if(fd < 0) return FALSE;
  ssize_t got;
  do got = read(fd, header, sizeof *header);
  while(got < 0 && errno == EINTR);
  close(fd);
  return got >= 0;
}

/* Like the loader: libraries of another machine are passed over, anything else is taken, and fails if it must. */
static gboolean _is_candidate(const char *path)
{
  ElfW(Ehdr) header = { 0 };
  if(!g_file_test(path, G_FILE_TEST_IS_REGULAR) || !_read_start(path, &header)) return FALSE;
  return !_is_elf(&header) || _is_native(&header);
}

static char *_find_in(const GPtrArray *places, const char *soname)
{
  if(strchr(soname, '/')) return _is_candidate(soname) ? g_strdup(soname) : NULL;
  for(guint i = 0; i < places->len; i++)
  {
    char *path = g_build_filename(g_ptr_array_index(places, i), soname, NULL);
    if(_is_candidate(path)) return path;
    g_free(path);
  }
  return NULL;
}

char *dt_library_find(const char *soname, const char *beside)
{
  GPtrArray *places = _new_places(beside);
  char *path = _find_in(places, soname);
  g_ptr_array_unref(places);
  return path;
}

/* Whether this file was not seen before under another name. */
static gboolean _note_file(GHashTable *seen, const char *path)
{
  char *real = realpath(path, NULL);
  const gboolean is_new = real && !g_hash_table_contains(seen, real);
  if(is_new) g_hash_table_add(seen, g_strdup(real));
  free(real);
  return is_new;
}

static int _compare_names(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths of the files of @p folder whose names begin with @p start, by name. */
static GPtrArray *_list_beginning(const char *folder, const char *start)
{
  GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
  GDir *dir = g_dir_open(folder, 0, NULL);
  const char *name;
  while(dir && (name = g_dir_read_name(dir)))
    if(g_str_has_prefix(name, start)) g_ptr_array_add(paths, g_build_filename(folder, name, NULL));
  if(dir) g_dir_close(dir);
  g_ptr_array_sort(paths, _compare_names);
  return paths;
}

static void _add_similar(GPtrArray *similar, GHashTable *seen, const char *folder, const char *start)
{
  GPtrArray *paths = _list_beginning(folder, start);
  for(guint i = 0; i < paths->len; i++)
  {
    const char *path = g_ptr_array_index(paths, i);
    if(_is_candidate(path) && _note_file(seen, path)) g_ptr_array_add(similar, g_strdup(path));
  }
  g_ptr_array_unref(paths);
}

/* "libx.so." is what the names of all versions begin with; "libx.so" alone names no version. */
static GPtrArray *_find_similar_in(const GPtrArray *places, const char *soname)
{
  GPtrArray *similar = g_ptr_array_new_with_free_func(g_free);
  const char *ending = strstr(soname, ".so");
  if(!ending || strchr(soname, '/')) return similar;
  char *start = g_strdup_printf("%.*s.so.", (int)(ending - soname), soname);
  char *itself = _find_in(places, soname);
  GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  if(itself) _note_file(seen, itself);
  for(guint i = 0; i < places->len; i++) _add_similar(similar, seen, g_ptr_array_index(places, i), start);
  g_hash_table_unref(seen);
  g_free(itself);
  g_free(start);
  return similar;
}

GPtrArray *dt_library_find_similar(const char *soname, const char *beside)
{
  GPtrArray *places = _new_places(beside);
  GPtrArray *similar = _find_similar_in(places, soname);
  g_ptr_array_unref(places);
  return similar;
}

// --- What is missing

/** A library to look into. */
typedef struct _file_t
{
  char *path;
  GPtrArray *inherited; ///< folders of the DT_RPATH of those that led here, and its own
} _file_t;

typedef struct _search_t
{
  GPtrArray *places;  ///< where everybody looks
  GHashTable *system; ///< real paths of the folders whose libraries are not looked into
  GHashTable *seen;   ///< sonames: the loader loads each once
  GPtrArray *files;   ///< of _file_t *, those to come at the end
  GPtrArray *missing;
} _search_t;

static void _free_file(gpointer data)
{
  _file_t *file = data;
  g_free(file->path);
  g_ptr_array_unref(file->inherited);
  g_free(file);
}

static void _free_missing(gpointer data)
{
  dt_library_missing_t *missing = data;
  g_free(missing->soname);
  g_free(missing->needed_by);
  g_free(missing->found);
  g_free(missing);
}

static void _add_file(_search_t *search, const char *path, GPtrArray *inherited)
{
  _file_t *file = g_new0(_file_t, 1);
  file->path = g_strdup(path);
  file->inherited = g_ptr_array_ref(inherited);
  g_ptr_array_add(search->files, file);
}

static void _add_places(GPtrArray *places, const GPtrArray *more)
{
  for(guint i = 0; i < more->len; i++) _add_place(places, g_ptr_array_index(more, i));
}

/* @p entry with @p origin in place of $ORIGIN (transfer full), or NULL: other variables are nobody's, and relative
 * folders are those of whoever starts the program. */
static char *_expand_entry(const char *entry, const char *origin)
{
  GString *plain = g_string_new(entry);
  g_string_replace(plain, "${ORIGIN}", "$ORIGIN", 0);
  char **parts = g_strsplit(plain->str, "$ORIGIN", -1);
  gboolean known = TRUE;
  for(char **part = parts; *part; part++) known &= !strchr(*part, '$');
  char *folder = known ? g_strjoinv(origin, parts) : NULL;
  if(folder && *folder != '/') g_clear_pointer(&folder, g_free);
  g_strfreev(parts);
  g_string_free(plain, TRUE);
  return folder;
}

/* The folders of a DT_RPATH or DT_RUNPATH. */
static void _add_rpath(GPtrArray *places, const char *rpath, const char *origin)
{
  char **entries = g_strsplit(rpath, ":", -1);
  for(char **entry = entries; *entry; entry++)
  {
    char *folder = _expand_entry(*entry, origin);
    if(folder) _add_place(places, folder);
    g_free(folder);
  }
  g_strfreev(entries);
}

/* Where the loader looks for what @p file needs: a DT_RUNPATH makes it forget every DT_RPATH. */
static GPtrArray *_places_of(const _search_t *search, const _file_t *file, const _dynamic_t *dynamic)
{
  GPtrArray *places = g_ptr_array_new_with_free_func(g_free);
  char *folder = g_path_get_dirname(file->path);
  if(dynamic->runpath)
    _add_rpath(places, dynamic->runpath, folder);
  else
    _add_places(places, file->inherited);
  _add_place(places, folder);
  _add_places(places, search->places);
  g_free(folder);
  return places;
}

/* The DT_RPATH of @p file comes before those of who needed it, and is handed down with them. */
static void _extend_inherited(_file_t *file, const _dynamic_t *dynamic)
{
  if(!dynamic->rpath || dynamic->runpath) return;
  GPtrArray *longer = g_ptr_array_new_with_free_func(g_free);
  char *folder = g_path_get_dirname(file->path);
  _add_rpath(longer, dynamic->rpath, folder);
  _add_places(longer, file->inherited);
  g_ptr_array_unref(file->inherited);
  file->inherited = longer;
  g_free(folder);
}

static gboolean _is_of_system(const _search_t *search, const char *path)
{
  char *folder = g_path_get_dirname(path), *real = realpath(folder, NULL);
  const gboolean found = real && g_hash_table_contains(search->system, real);
  free(real);
  g_free(folder);
  return found;
}

static void _report_missing(_search_t *search, const _file_t *file, const GPtrArray *places,
                            const char *soname)
{
  dt_library_missing_t *missing = g_new0(dt_library_missing_t, 1);
  GPtrArray *similar = _find_similar_in(places, soname);
  missing->soname = g_strdup(soname);
  missing->needed_by = g_path_get_basename(file->path);
  missing->found = similar->len ? g_strdup(g_ptr_array_index(similar, 0)) : NULL;
  missing->package = dt_library_package(soname);
  g_ptr_array_add(search->missing, missing);
  g_ptr_array_unref(similar);
}

static void _look_up(_search_t *search, const _file_t *file, const GPtrArray *places, const char *soname)
{
  if(!g_hash_table_add(search->seen, g_strdup(soname))) return;
  char *path = _find_in(places, soname);
  if(!path)
    _report_missing(search, file, places, soname);
  else if(!_is_of_system(search, path) && search->files->len < MAX_FILES)
    _add_file(search, path, file->inherited);
  g_free(path);
}

static gboolean _examine_file(_search_t *search, _file_t *file, GError **error)
{
  _dynamic_t dynamic;
  if(!_read_dynamic(file->path, &dynamic, error)) return FALSE;
  _extend_inherited(file, &dynamic);
  GPtrArray *places = _places_of(search, file, &dynamic);
  for(guint i = 0; i < dynamic.needed->len; i++)
    _look_up(search, file, places, g_ptr_array_index(dynamic.needed, i));
  g_ptr_array_unref(places);
  _clear_dynamic(&dynamic);
  return TRUE;
}

/* The system's folders, as the set of what they really are: /lib is often /usr/lib. */
static GHashTable *_new_system_set(void)
{
  GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  GPtrArray *places = g_ptr_array_new_with_free_func(g_free);
  _add_system_places(places);
  for(guint i = 0; i < places->len; i++) _note_file(set, g_ptr_array_index(places, i));
  g_ptr_array_unref(places);
  return set;
}

static void _start_search(_search_t *search, const char *path)
{
  search->places = _new_places(NULL);
  search->system = _new_system_set();
  search->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  search->files = g_ptr_array_new_with_free_func(_free_file);
  search->missing = g_ptr_array_new_with_free_func(_free_missing);
  char *full = g_canonicalize_filename(path, NULL);
  GPtrArray *nothing = g_ptr_array_new_with_free_func(g_free);
  _add_file(search, full, nothing);
  g_ptr_array_unref(nothing);
  g_free(full);
}

GPtrArray *dt_library_missing(const char *path, GError **error)
{
  _search_t search;
  gboolean good = TRUE;
  _start_search(&search, path);
  /* grows meanwhile */
  for(guint i = 0; good && i < search.files->len; i++)
    good = _examine_file(&search, g_ptr_array_index(search.files, i), error);
  g_ptr_array_unref(search.files);
  g_hash_table_unref(search.seen);
  g_hash_table_unref(search.system);
  g_ptr_array_unref(search.places);
  if(!good) g_clear_pointer(&search.missing, g_ptr_array_unref);
  return search.missing;
}

// --- Who has it

#define CUDA_11 "CUDA Toolkit 11 (NVIDIA)"
#define CUDA_12 "CUDA Toolkit 12 (NVIDIA)"
#define CUDA_13 "CUDA Toolkit 13 (NVIDIA)"
#define CUDA_12_OR_13 "CUDA Toolkit 12 or 13 (NVIDIA)"

/* Patterns of sonames; the first that fits counts. The versions of CUDA's parts are their own. */
static const char *const _packages[][2] = {
  { "libcudnn*.so.8*", "cuDNN 8 for CUDA (NVIDIA)" },
  { "libcudnn*.so.9*", "cuDNN 9 for CUDA (NVIDIA)" },
  { "libcublas*.so.11*", CUDA_11 },
  { "libcublas*.so.12*", CUDA_12 },
  { "libcublas*.so.13*", CUDA_13 },
  { "libcudart.so.11*", CUDA_11 },
  { "libcudart.so.12*", CUDA_12 },
  { "libcudart.so.13*", CUDA_13 },
  { "libcufft*.so.10*", CUDA_11 },
  { "libcufft*.so.11*", CUDA_12 },
  { "libcufft*.so.12*", CUDA_13 },
  { "libcurand.so.10*", CUDA_12_OR_13 },
  { "libcurand.so.12*", CUDA_12 },
  { "libcurand.so.13*", CUDA_13 },
  { "libcusolver*.so.11*", CUDA_12 },
  { "libcusolver*.so.12*", CUDA_13 },
  { "libcusparse.so.12*", CUDA_12_OR_13 },
  { "libnvrtc*.so.11*", CUDA_11 },
  { "libnvrtc*.so.12*", CUDA_12 },
  { "libnvrtc*.so.13*", CUDA_13 },
  { "libnvJitLink.so.12*", CUDA_12 },
  { "libnvJitLink.so.13*", CUDA_13 },
  { "libnvinfer*.so.10*", "TensorRT 10 (NVIDIA)" },
  { "libnvonnxparser.so.10*", "TensorRT 10 (NVIDIA)" },
  { "libcuda.so.1*", "NVIDIA driver" },
  { "libnvidia-*.so*", "NVIDIA driver" },
  { "libmigraphx*", "migraphx (AMD ROCm)" },
  { "libMIOpen.so*", "miopen-hip (AMD ROCm)" },
  { "libamdhip64.so*", "hip-runtime-amd (AMD ROCm)" },
  { "libhiprtc*.so*", "hip-runtime-amd (AMD ROCm)" },
  { "libhsa-runtime64.so*", "hsa-rocr (AMD ROCm)" },
  { "libamd_comgr.so*", "comgr (AMD ROCm)" },
  { "libamd_smi.so*", "amd-smi-lib (AMD ROCm)" },
  { "librocm_smi64.so*", "rocm-smi-lib (AMD ROCm)" },
  { "libhipblaslt.so*", "hipblaslt (AMD ROCm)" },
  { "libhipblas.so*", "hipblas (AMD ROCm)" },
  { "libhipfft.so*", "hipfft (AMD ROCm)" },
  { "libhiprand.so*", "hiprand (AMD ROCm)" },
  { "libhipsolver.so*", "hipsolver (AMD ROCm)" },
  { "libhipsparse.so*", "hipsparse (AMD ROCm)" },
  { "librocblas.so*", "rocblas (AMD ROCm)" },
  { "librocfft*.so*", "rocfft (AMD ROCm)" },
  { "librocrand.so*", "rocrand (AMD ROCm)" },
  { "librocsolver.so*", "rocsolver (AMD ROCm)" },
  { "librocsparse.so*", "rocsparse (AMD ROCm)" },
  { "librccl.so*", "rccl (AMD ROCm)" },
  { "libroctx64.so*", "roctracer (AMD ROCm)" },
  { "libroctracer64.so*", "roctracer (AMD ROCm)" },
  { "librocprofiler-register.so*", "rocprofiler-register (AMD ROCm)" },
  { "libvulkan.so.1*", "libvulkan1 (Debian, Ubuntu), vulkan-loader (Fedora)" },
  { "libvulkan_*.so*", "mesa-vulkan-drivers" },
  { "libze_loader.so.1*", "level-zero / libze1 (Intel)" },
  { "libze_intel_gpu.so*", "intel-level-zero-gpu / libze-intel-gpu1 (Intel)" },
  { "libigdrcl.so*", "intel-opencl-icd" },
  { "libOpenCL.so.1*", "ocl-icd-libopencl1" },
  { "libopenvino*.so*", "OpenVINO (Intel)" },
  { "libtbb.so.12*", "libtbb12" },
  { "libtbbmalloc.so.2*", "libtbbmalloc2" },
  { "libgomp.so.1*", "libgomp1" },
  { "libnuma.so.1*", "libnuma1" },
  { "libstdc++.so.6*", "libstdc++6" },
};

const char *dt_library_package(const char *soname)
{
  for(gsize i = 0; i < G_N_ELEMENTS(_packages); i++)
    if(g_pattern_match_simple(_packages[i][0], soname)) return _packages[i][1];
  return NULL;
}
