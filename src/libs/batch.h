/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The pictures of a batch: files and directories as a user names them become a list in a stable order.
 *
 * Of a directory the pictures are taken by their extension (raws by content as well), sorted by path, byte by byte. Hidden files, unfinished
 * outputs and what earlier runs wrote are passed over; links are followed, but each directory is entered once and
 * each file taken once. A part of the list, a shard, depends on nothing but the names.
 */
#ifndef DT_LIBS_BATCH_H
#define DT_LIBS_BATCH_H

#include "common/errors.h"

/** One picture. */
typedef struct dt_batch_item_t
{
  char *path;     ///< to be opened
  char *relative; ///< below the directory that was named; of a file that was named itself its bare name
  gboolean found; ///< in a directory, not named itself
  int counter;    ///< 1 and on, counted over all shards
} dt_batch_item_t;

/** How to collect. Zero-initialise for the defaults. */
typedef struct dt_batch_opts_t
{
  gboolean raws;       ///< of directories camera raws are taken, else pictures
  gboolean recursive;  ///< look into the directories below
  const char *output;  ///< as the user gave it: a file, a directory, a pattern, or NULL: beside the input
  GHashTable *written; ///< set of canonical paths that are known to be results, or NULL
  int shard, shards;   ///< which of how many, from 1; 0 of 0: everything
} dt_batch_opts_t;

typedef struct dt_batch_t
{
  GPtrArray *items;    ///< of dt_batch_item_t *: those of the shard
  GPtrArray *notes;    ///< of char *: sentences about what was passed over
  GPtrArray *problems; ///< of GError *, DT_AI_ERROR_INPUT: directories that gave nothing
  int total;           ///< pictures in all shards
  gboolean from_directory;
  GHashTable *files; ///< (private) "device:inode" of every picture, of other shards too -> its path
  GHashTable *named; ///< (private) the keys of those that were named themselves
} dt_batch_t;

/** Collects the pictures of @p operands. A file that cannot be found is an item as well: opening it tells why.
 * @return transfer full, never NULL */
dt_batch_t *dt_batch_collect(char *const *operands, int n, const dt_batch_opts_t *opts);
void dt_batch_free(dt_batch_t *batch);

/** Whether @p path is a picture of the batch, of whatever shard, under whatever name.
 * @param named  NULL, or receives whether it was named itself and not found in a directory */
gboolean dt_batch_is_input(const dt_batch_t *batch, const char *path, gboolean *named);

/** Parses "2/5". @return FALSE with DT_AI_ERROR_USAGE */
gboolean dt_batch_parse_shard(const char *text, int *shard, int *shards, GError **error);

/** The shard, from 1, of a picture: the first eight bytes of the SHA-256 of @p relative, big-endian, modulo
 * @p shards, plus one. The same on every machine, whatever other pictures there are. */
int dt_batch_shard_of(const char *relative, int shards);

/** Whether @p output could be written as things stand.
 * @param makes_directories  missing directories are made
 * @return FALSE with DT_AI_ERROR_OUTPUT: it exists, its directory is missing or cannot be written to */
gboolean dt_batch_foresee(const char *output, gboolean overwrite, gboolean makes_directories, GError **error);

/** Makes the directory that @p output goes into. @return FALSE with DT_AI_ERROR_OUTPUT */
gboolean dt_batch_make_directory(const char *output, GError **error);

#endif
