/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target over the files of its corpus, as a plain test: what a fuzzer once found stays found. */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input in a block of exactly its size, so that a sanitizer sees every byte read too many. */
static void _run_file(const char *path)
{
  char *bytes = NULL;
  gsize size = 0;
  if(!g_file_get_contents(path, &bytes, &size, NULL)) exit(1);
  uint8_t *exact = g_malloc(size ? size : 1);
  memcpy(exact, bytes, size);
  LLVMFuzzerTestOneInput(exact, size);
  /* and cut short, as files are */
  for(gsize part = size / 2; part > 0 && part > size / 64; part /= 2)
  {
    uint8_t *shorter = g_malloc(part);
    memcpy(shorter, bytes, part);
    LLVMFuzzerTestOneInput(shorter, part);
    g_free(shorter);
  }
  g_free(exact);
  g_free(bytes);
}

int main(int argc, char **argv)
{
  int files = 0;
  GDir *dir = argc > 1 ? g_dir_open(argv[1], 0, NULL) : NULL;
  if(!dir) return 1;
  for(const char *name; (name = g_dir_read_name(dir)); files++)
  {
    char *path = g_build_filename(argv[1], name, NULL);
    _run_file(path);
    g_free(path);
  }
  g_dir_close(dir);
  printf("%d files\n", files);
  return files ? 0 : 1;
}
