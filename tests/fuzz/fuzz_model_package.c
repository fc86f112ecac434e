/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a package, unpacked in a world of its own: whatever they are, nothing appears outside the
 * directory, and in it nothing but files and directories.
 *
 * Bytes that do not begin like an archive describe one, so that a fuzzer reaches what lies behind headers that
 * have to agree and checksums that have to fit: for each entry a byte of choices, the length of its name, the
 * name, the length of its contents, the contents. */
#include "../support/zip_maker.h"

#include "common/model_package.h"

#include <ftw.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MEMBERS 70

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *_world, *_stage;
static int _outside; ///< what is in the world but not in the stage

static int _check(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)type;
  (void)place;
  const size_t length = strlen(_stage);
  const gboolean inside = strncmp(path, _stage, length) == 0 && (path[length] == '/' || path[length] == '\0');
  if(!S_ISDIR(status->st_mode) && !(inside && S_ISREG(status->st_mode) && status->st_nlink == 1)) abort();
  if(!inside) _outside++;
  return 0;
}

static int _remove(const char *path, const struct stat *status, int type, struct FTW *place)
{
  (void)status;
  (void)type;
  (void)place;
  return remove(path);
}

static void _leave_world(void)
{
  g_rmdir(_world);
}

/** WORLD/a/b/stage, in memory where that is possible. */
static void _make_world(void)
{
  if(!_world)
  {
    _world = g_strdup(g_access("/dev/shm", W_OK) == 0 ? "/dev/shm/darktable-ai-fuzz-XXXXXX"
                                                      : "/tmp/darktable-ai-fuzz-XXXXXX");
    if(!g_mkdtemp(_world) || atexit(_leave_world) != 0) abort();
    _stage = g_build_filename(_world, "a", "b", "stage", NULL);
  }
  if(g_mkdir_with_parents(_stage, 0755) != 0) abort();
}

static void _unpack(const void *data, size_t size)
{
  const int fd = memfd_create("package", MFD_CLOEXEC);
  if(fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  char path[64];
  g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  GError *error = NULL;
  char *id = dt_package_unpack(path, _stage, NULL, NULL, NULL, NULL, &error);
  if((id == NULL) != (error != NULL)) abort();
  if(error && !g_utf8_validate(error->message, -1, NULL)) abort();
  g_clear_error(&error);
  g_free(id);
  close(fd);
}

/** The next @p want bytes at most. */
static const uint8_t *_take(const uint8_t **data, size_t *left, size_t want, size_t *got)
{
  const uint8_t *at = *data;
  *got = MIN(want, *left);
  *data += *got;
  *left -= *got;
  return at;
}

static uint8_t _take_byte(const uint8_t **data, size_t *left)
{
  size_t got;
  const uint8_t *at = _take(data, left, 1, &got);
  return got ? *at : 0;
}

static GByteArray *_build(const uint8_t *data, size_t left)
{
  static const uint32_t modes[] = { 0,       S_IFREG | 06755, S_IFDIR | 0755, S_IFLNK | 0777,
                                    S_IFREG, S_IFCHR,         0600,           S_IFIFO };
  zip_member_t members[MAX_MEMBERS] = { { .name = "id/config.json", .data = "{}", .size = 2 } };
  char *names[MAX_MEMBERS] = { NULL };
  size_t count = 1;
  for(; count < MAX_MEMBERS && left > 0; count++)
  {
    zip_member_t *member = &members[count];
    const uint8_t choices = _take_byte(&data, &left);
    const uint8_t *name = _take(&data, &left, _take_byte(&data, &left), &member->name_size);
    names[count] = g_malloc0(member->name_size + 1);
    memcpy(names[count], name, member->name_size);
    member->name = names[count];
    member->mode = modes[choices & 7];
    member->method = choices & 8 ? ZIP_DEFLATED : ZIP_STORED;
    member->flags = choices & 16 ? 0x800 : 0;
    member->data = _take(&data, &left, _take_byte(&data, &left), &member->size);
    member->no_local = (choices & 0xe0) == 0xe0;
    member->central_lie = member->local_lie = (choices & 0xe0) == 0x60 ? 1 : 0;
  }
  GByteArray *zip = zip_make(members, count);
  for(size_t i = 0; i < count; i++) g_free(names[i]);
  return zip;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  _make_world();
  if(size == 0 || data[0] == 'P')
    _unpack(data, size);
  else
  {
    GByteArray *zip = _build(data, size);
    _unpack(zip->data, zip->len);
    g_byte_array_unref(zip);
  }
  _outside = 0;
  if(nftw(_world, _check, 16, FTW_PHYS) != 0 || _outside != 3) abort();
  nftw(_world, _remove, 16, FTW_DEPTH | FTW_PHYS);
  g_mkdir(_world, 0700);
  return 0;
}
