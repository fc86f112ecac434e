/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a priority string, for any number of devices: orders and remarks that keep their promises, and words about
 * them that a terminal may be shown. Behind a line end come the names of the devices, one in a line. */
#include "common/opencl_explain.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8
#define MAX_REMARKS 52

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void _check_order(const dt_opencl_order_t *order, int n)
{
  gboolean seen[MOST] = { FALSE };
  if(order->n < 0 || order->n > n || (order->mandatory && order->n == 0)) abort();
  for(int i = 0; i < order->n; i++)
  {
    const int device = order->devices[i];
    if(device < 0 || device >= n || seen[device]) abort();
    seen[device] = TRUE;
  }
}

static void _check_remark(const dt_opencl_remark_t *r, gsize length)
{
  if(r->offset > length || r->length > length - r->offset) abort();
  if(r->pipe > DT_OPENCL_PIPES || !*r->text || !g_utf8_validate(r->text, -1, NULL)) abort();
}

static void _check_words(char *text)
{
  if(!g_utf8_validate(text, -1, NULL)) abort();
  for(const char *c = text; *c; c++)
    if(g_ascii_iscntrl(*c) && *c != '\n') abort();
  g_free(text);
}

static void _use(const char *string, const dt_opencl_names_t *devices, int n)
{
  dt_opencl_priorities_t *p = dt_opencl_priorities_parse(string, devices, n);
  const dt_opencl_explained_t e = { p, devices, "a fuzzer's", 2000 };
  if(strcmp(p->text, string) != 0 || p->remarks->len > MAX_REMARKS) abort();
  for(int i = 0; i < DT_OPENCL_PIPES; i++) _check_order(&p->orders[i], n);
  for(guint i = 0; i < p->remarks->len; i++) _check_remark(p->remarks->pdata[i], strlen(string));
  _check_words(dt_opencl_explain_text(&e));
  _check_words(dt_opencl_explain_json(&e));
  g_strfreev(dt_opencl_explain_table(p));
  dt_opencl_priorities_free(p);
}

/* Names in turns as name, platform and identity. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *text = g_strndup((const char *)data, size), **lines = g_strsplit(text, "\n", MOST + 1);
  dt_opencl_names_t devices[MOST] = { 0 };
  int n = 0;
  for(; lines[0] && lines[n + 1]; n++)
    devices[n] = (dt_opencl_names_t){ lines[n + 1], n % 2 ? lines[1] : NULL, n % 3 ? lines[n] : NULL };
  for(int some = 0; lines[0] && some <= n; some += n > 1 ? n - 1 : 1) _use(lines[0], devices, some);
  g_strfreev(lines);
  g_free(text);
  return 0;
}
