/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory at the end of a ZIP archive (APPNOTE.TXT 4.3.12 to 4.3.16, with the 64-bit extensions), and
 * the local headers it points to.
 *
 * Stricter than the format: one archive from the first byte to the last, no comment at its end, entries that
 * follow each other, headers that say the same twice. Whatever a packer writes passes; an archive made to be
 * read differently by two readers does not. */
#include "common/zip_directory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCAL_SIGNATURE 0x04034b50u
#define LOCAL_SIZE 30
#define CENTRAL_SIGNATURE 0x02014b50u
#define CENTRAL_SIZE 46
#define END_SIGNATURE 0x06054b50u
#define END_SIZE 22
#define END64_SIGNATURE 0x06064b50u
#define END64_SIZE 56
#define LOCATOR_SIGNATURE 0x07064b50u
#define LOCATOR_SIZE 20

/** A directory of the few entries a package may have is far smaller. */
#define MAX_DIRECTORY_SIZE ((guint64)1 << 20)
/** An archive's comment has at most so many bytes. */
#define MAX_COMMENT 65535
/** Characters of a name that a message shows. */
#define MAX_SHOWN 80

#define FLAG_ENCRYPTED 0x0001
#define FLAG_SIZES_FOLLOW 0x0008 ///< sizes and checksum stand behind the data, the local header has none
#define FLAG_PATCH 0x0020
#define FLAG_STRONG_ENCRYPTION 0x0040
#define FLAG_MASKED 0x2000
#define METHOD_STORED 0
#define METHOD_DEFLATED 8
#define EXTRA_ZIP64 0x0001
#define IN_ZIP64 0xffffffffu ///< the value is in the 64-bit extension

/** Where the directory lies. */
typedef struct _end_t
{
  guint64 count, offset, size;
  guint64 position; ///< where the directory has to end
} _end_t;

// --- Bytes and words

static guint16 _le16(const guchar *p)
{
  return (guint16)(p[0] | p[1] << 8);
}

static guint32 _le32(const guchar *p)
{
  return _le16(p) | (guint32)_le16(p + 2) << 16;
}

static guint64 _le64(const guchar *p)
{
  return _le32(p) | (guint64)_le32(p + 4) << 32;
}

gboolean dt_zip_refuse(const char *path, GError **error, const char *advice, const char *why, ...)
{
  va_list arguments;
  va_start(arguments, why);
  char *text = g_strdup_vprintf(why, arguments);
  va_end(arguments);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_NO_MODEL, "%s is not an acceptable model package: %s. %s.",
              path, text, advice);
  g_free(text);
  return FALSE;
}

char *dt_zip_printable(const char *name)
{
  char *valid = g_utf8_make_valid(name, -1);
  GString *text = g_string_new(NULL);
  glong shown = 0;
  for(const char *c = valid; *c && shown < MAX_SHOWN; c = g_utf8_next_char(c), shown++)
  {
    const gunichar letter = g_utf8_get_char(c);
    g_string_append_unichar(text, g_unichar_isprint(letter) ? letter : '?');
  }
  if(shown == MAX_SHOWN) g_string_append(text, "…");
  g_free(valid);
  return g_string_free(text, FALSE);
}

gboolean dt_zip_read_at(int fd, guint64 offset, void *data, size_t size)
{
  for(size_t done = 0; done < size;)
  {
    const ssize_t got = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));
    if(got < 0 && errno == EINTR) continue;
    if(got == 0) errno = 0;
    if(got <= 0) return FALSE;
    done += (size_t)got;
  }
  return TRUE;
}

static gboolean _damaged(const dt_zip_file_t *file, GError **error)
{
  return dt_zip_refuse(file->path, error, DT_ZIP_DOWNLOAD_AGAIN,
                       "the archive is damaged, its directory is wrong");
}

static gboolean _read_at(const dt_zip_file_t *file, guint64 offset, void *data, size_t size, GError **error)
{
  if(dt_zip_read_at(file->fd, offset, data, size)) return TRUE;
  if(!errno) return _damaged(file, error);
  g_set_error(error, DT_AI_ERROR, DT_AI_ERROR_INPUT, "%s cannot be read: %s. Check the disk it is on.",
              file->path, g_strerror(errno));
  return FALSE;
}

// --- What is no ZIP archive at all

/** What the first bytes of other files are, and what to say then. */
static const struct
{
  const char *bytes;
  size_t size;
  const char *what, *advice;
} _others[] = {
  { "\x1f\x8b", 2, "this is a gzip file; only ZIP archives are accepted", DT_ZIP_ASK_AUTHOR },
  { "BZh", 3, "this is a bzip2 file; only ZIP archives are accepted", DT_ZIP_ASK_AUTHOR },
  { "\xfd"
    "7zXZ",
    5, "this is an xz file; only ZIP archives are accepted", DT_ZIP_ASK_AUTHOR },
  { "\x28\xb5\x2f\xfd", 4, "this is a Zstandard file; only ZIP archives are accepted", DT_ZIP_ASK_AUTHOR },
  { "7z\xbc\xaf", 4, "this is a 7-Zip archive; only ZIP archives are accepted", DT_ZIP_ASK_AUTHOR },
  { "Rar!", 4, "this is a RAR archive; only ZIP archives are accepted", DT_ZIP_ASK_AUTHOR },
  { "PK\5\6", 4, "the archive is empty", DT_ZIP_ASK_AUTHOR },
  { "version https://git-lfs", 23, "this is a pointer of Git LFS, not the file itself",
    "Fetch it with \"git lfs pull\", or download it from the release" },
};

/** A web page in place of a download: an error page, or the sign-in of a hotel's network. */
static gboolean _is_web_page(const char *head, size_t size)
{
  size_t i = size >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  while(i < size && g_ascii_isspace(head[i])) i++;
  return i < size && head[i] == '<';
}

/** Whether the file begins as ZIP archives do, and what it is otherwise. */
static gboolean _check_head(const dt_zip_file_t *file, GError **error)
{
  char head[512] = { 0 };
  const size_t size = (size_t)MIN(file->size, sizeof head);
  if(size == 0) return dt_zip_refuse(file->path, error, DT_ZIP_DOWNLOAD_AGAIN, "the file is empty");
  if(!_read_at(file, 0, head, size, error)) return FALSE;
  if(_le32((const guchar *)head) == LOCAL_SIGNATURE) return TRUE;
  for(size_t i = 0; i < G_N_ELEMENTS(_others); i++)
    if(size >= _others[i].size && memcmp(head, _others[i].bytes, _others[i].size) == 0)
      return dt_zip_refuse(file->path, error, _others[i].advice, "%s", _others[i].what);
  if(memcmp(head + 257, "ustar", 5) == 0)
    return dt_zip_refuse(file->path, error, DT_ZIP_ASK_AUTHOR,
                         "this is a tar archive; only ZIP archives are accepted");
  if(_is_web_page(head, size))
    return dt_zip_refuse(
        file->path, error,
        "Check the address, sign in to the network if it asks for that, and download it again",
        "this is a web page, not a package");
  return dt_zip_refuse(file->path, error, DT_ZIP_DOWNLOAD_AGAIN, "this is not a ZIP archive");
}

// --- The end of the archive

/** Why there is no end where it should be: cut off, or something behind it. */
static gboolean _explain_end(const dt_zip_file_t *file, GError **error)
{
  const size_t size = (size_t)MIN(file->size, END_SIZE + MAX_COMMENT);
  guchar *tail = g_malloc(size);
  gboolean ok = _read_at(file, file->size - size, tail, size, error);
  if(ok && memmem(tail, size, "PK\5\6", 4))
    ok = dt_zip_refuse(file->path, error, DT_ZIP_ASK_AUTHOR, "other bytes follow the end of the archive");
  else if(ok)
    ok = dt_zip_refuse(file->path, error, DT_ZIP_DOWNLOAD_AGAIN, "it is incomplete, its end is missing");
  g_free(tail);
  return ok;
}

/** The 64-bit end, when there is one: libarchive prefers it. It has to lie directly before its locator. */
static gboolean _read_end64(const dt_zip_file_t *file, _end_t *end, GError **error)
{
  guchar locator[LOCATOR_SIZE], bytes[END64_SIZE];
  if(end->position < LOCATOR_SIZE) return TRUE;
  if(!_read_at(file, end->position - LOCATOR_SIZE, locator, LOCATOR_SIZE, error)) return FALSE;
  if(_le32(locator) != LOCATOR_SIGNATURE) return TRUE;
  if(end->position < LOCATOR_SIZE + END64_SIZE) return _damaged(file, error);
  end->position -= LOCATOR_SIZE + END64_SIZE;
  if(!_read_at(file, end->position, bytes, END64_SIZE, error)) return FALSE;
  end->count = _le64(bytes + 32);
  end->size = _le64(bytes + 40);
  end->offset = _le64(bytes + 48);
  const gboolean whole = _le32(locator + 4) == 0 && _le64(locator + 8) == end->position
                         && _le32(locator + 16) == 1 && _le32(bytes) == END64_SIGNATURE
                         && _le64(bytes + 4) == END64_SIZE - 12 && _le32(bytes + 16) == 0
                         && _le32(bytes + 20) == 0 && _le64(bytes + 24) == end->count;
  return whole || _damaged(file, error);
}

static gboolean _read_end(const dt_zip_file_t *file, _end_t *end, GError **error)
{
  guchar bytes[END_SIZE];
  if(file->size < END_SIZE) return _explain_end(file, error);
  end->position = file->size - END_SIZE;
  if(!_read_at(file, end->position, bytes, END_SIZE, error)) return FALSE;
  if(_le32(bytes) != END_SIGNATURE || _le16(bytes + 20) != 0) return _explain_end(file, error);
  end->count = _le16(bytes + 10);
  end->size = _le32(bytes + 12);
  end->offset = _le32(bytes + 16);
  if(_le16(bytes + 4) != 0 || _le16(bytes + 6) != 0 || _le16(bytes + 8) != end->count)
    return dt_zip_refuse(file->path, error, DT_ZIP_ASK_AUTHOR, "it is one part of a divided archive");
  return _read_end64(file, end, error);
}

static gboolean _check_end(const dt_zip_file_t *file, const _end_t *end, guint most, GError **error)
{
  if(end->count == 0) return dt_zip_refuse(file->path, error, DT_ZIP_ASK_AUTHOR, "the archive is empty");
  if(end->count > most)
    return dt_zip_refuse(file->path, error, DT_ZIP_ASK_AUTHOR, "it has more than %u entries", most);
  if(end->offset > end->position || end->size != end->position - end->offset || end->size > MAX_DIRECTORY_SIZE
     || end->size < end->count * CENTRAL_SIZE)
    return _damaged(file, error);
  return TRUE;
}

// --- Entries

static void _free_entry(gpointer data)
{
  dt_zip_entry_t *entry = data;
  g_free(entry->name);
  g_free(entry);
}

/** The 64-bit extension among the extra fields, its size in @p size; NULL when there is none. */
static const guchar *_find_zip64(const guchar *extra, size_t left, size_t *size)
{
  while(left >= 4)
  {
    *size = _le16(extra + 2);
    if(*size > left - 4) return NULL;
    if(_le16(extra) == EXTRA_ZIP64) return extra + 4;
    extra += 4 + *size;
    left -= 4 + *size;
  }
  return NULL;
}

/** Replaces those of the three values that are in the extension; FALSE when it lacks one. */
static gboolean _apply_zip64(dt_zip_entry_t *entry, const guchar *extra, size_t length)
{
  guint64 *values[] = { &entry->size, &entry->packed, &entry->offset }; // in this order
  size_t size = 0;
  const guchar *at = _find_zip64(extra, length, &size);
  for(size_t i = 0; i < G_N_ELEMENTS(values); i++)
  {
    if(*values[i] != IN_ZIP64) continue;
    if(!at || size < 8) return FALSE;
    *values[i] = _le64(at);
    at += 8;
    size -= 8;
  }
  return TRUE;
}

/** One entry of the directory at @p bytes; @p used receives its length. NULL when it is none. */
static dt_zip_entry_t *_parse_entry(const guchar *bytes, size_t left, size_t *used)
{
  if(left < CENTRAL_SIZE || _le32(bytes) != CENTRAL_SIGNATURE) return NULL;
  const size_t name = _le16(bytes + 28), extra = _le16(bytes + 30), comment = _le16(bytes + 32);
  *used = CENTRAL_SIZE + name + extra + comment;
  if(*used > left || name == 0 || _le16(bytes + 34) != 0) return NULL;
  dt_zip_entry_t *entry = g_new0(dt_zip_entry_t, 1);
  entry->flags = _le16(bytes + 8);
  entry->method = _le16(bytes + 10);
  entry->crc = _le32(bytes + 16);
  entry->packed = _le32(bytes + 20);
  entry->size = _le32(bytes + 24);
  entry->type = _le32(bytes + 38) >> 16 & S_IFMT;
  entry->offset = _le32(bytes + 42);
  entry->name = g_strndup((const char *)bytes + CENTRAL_SIZE, name);
  if(_apply_zip64(entry, bytes + CENTRAL_SIZE + name, extra)) return entry;
  _free_entry(entry);
  return NULL;
}

static const char *_find_fault(const dt_zip_entry_t *entry)
{
  if(entry->flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED)) return "is encrypted";
  if(entry->flags & FLAG_PATCH || (entry->method != METHOD_STORED && entry->method != METHOD_DEFLATED))
    return "is compressed in an unsupported way (only DEFLATE is accepted)";
  if(entry->method == METHOD_STORED && entry->packed != entry->size) return "has contradicting sizes";
  return NULL;
}

static gboolean _check_entry(const dt_zip_file_t *file, const dt_zip_entry_t *entry, size_t name_length,
                             GError **error)
{
  const char *fault = strlen(entry->name) < name_length ? "has a name with a NUL in it" : _find_fault(entry);
  if(!fault) return TRUE;
  char *name = dt_zip_printable(entry->name);
  dt_zip_refuse(file->path, error, DT_ZIP_ASK_AUTHOR, "\"%s\" %s", name, fault);
  g_free(name);
  return FALSE;
}

static gboolean _parse_entries(const dt_zip_file_t *file, const guchar *bytes, const _end_t *end,
                               GPtrArray *entries, GError **error)
{
  size_t at = 0;
  for(guint64 i = 0; i < end->count; i++)
  {
    size_t used = 0;
    dt_zip_entry_t *entry = _parse_entry(bytes + at, (size_t)end->size - at, &used);
    if(!entry) return _damaged(file, error);
    g_ptr_array_add(entries, entry);
    if(!_check_entry(file, entry, _le16(bytes + at + 28), error)) return FALSE;
    at += used;
  }
  return at == end->size || _damaged(file, error);
}

// --- Local headers

/** Whether the local header at @p bytes says what the directory says. */
static gboolean _agrees(const guchar *bytes, const dt_zip_entry_t *entry)
{
  const size_t name = strlen(entry->name);
  if(_le32(bytes) != LOCAL_SIGNATURE || _le16(bytes + 6) != entry->flags || _le16(bytes + 8) != entry->method
     || _le16(bytes + 26) != name || memcmp(bytes + LOCAL_SIZE, entry->name, name) != 0)
    return FALSE;
  if(entry->flags & FLAG_SIZES_FOLLOW) return TRUE;
  const guint32 packed = _le32(bytes + 18), size = _le32(bytes + 22);
  return _le32(bytes + 14) == entry->crc && (packed == entry->packed || packed == IN_ZIP64)
         && (size == entry->size || size == IN_ZIP64);
}

/** The entry has to end before @p limit, where the next one begins. */
static gboolean _check_local(const dt_zip_file_t *file, const dt_zip_entry_t *entry, guint64 limit,
                             GError **error)
{
  const size_t length = LOCAL_SIZE + strlen(entry->name);
  if(entry->offset > limit || limit - entry->offset < length) return _damaged(file, error);
  guchar *bytes = g_malloc(length);
  gboolean ok = _read_at(file, entry->offset, bytes, length, error);
  if(ok && !_agrees(bytes, entry))
  {
    char *name = dt_zip_printable(entry->name);
    ok = dt_zip_refuse(file->path, error, DT_ZIP_DOWNLOAD_AGAIN,
                       "the two headers of \"%s\" contradict each other", name);
    g_free(name);
  }
  else if(ok)
  {
    const guint64 room = limit - entry->offset - length, extra = _le16(bytes + 28);
    ok = (extra <= room && entry->packed <= room - extra) || _damaged(file, error);
  }
  g_free(bytes);
  return ok;
}

static gint _compare_offsets(gconstpointer a, gconstpointer b)
{
  const guint64 first = (*(dt_zip_entry_t *const *)a)->offset, second = (*(dt_zip_entry_t *const *)b)->offset;
  return (first > second) - (first < second);
}

static gboolean _check_locals(const dt_zip_file_t *file, const GPtrArray *entries, guint64 end,
                              GError **error)
{
  for(guint i = 0; i < entries->len; i++)
  {
    const guint64 limit =
        i + 1 < entries->len ? ((dt_zip_entry_t *)g_ptr_array_index(entries, i + 1))->offset : end;
    if(!_check_local(file, g_ptr_array_index(entries, i), limit, error)) return FALSE;
  }
  return TRUE;
}

GPtrArray *dt_zip_directory_read(const dt_zip_file_t *file, guint most, GError **error)
{
  _end_t end = { 0 };
  if(!_check_head(file, error) || !_read_end(file, &end, error) || !_check_end(file, &end, most, error))
    return NULL;
  GPtrArray *entries = g_ptr_array_new_with_free_func(_free_entry);
  guchar *bytes = g_malloc((size_t)end.size);
  gboolean ok = _read_at(file, end.offset, bytes, (size_t)end.size, error)
                && _parse_entries(file, bytes, &end, entries, error);
  g_free(bytes);
  g_ptr_array_sort(entries, _compare_offsets);
  ok = ok && _check_locals(file, entries, end.offset, error);
  if(!ok) g_clear_pointer(&entries, g_ptr_array_unref);
  return entries;
}
