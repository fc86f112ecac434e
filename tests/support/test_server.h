/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The hostile web server of the tests (http_server.py, which lists the ways it serves), as a child process. */
#ifndef DT_TESTS_SERVER_H
#define DT_TESTS_SERVER_H

#include <glib.h>

typedef struct test_server_t
{
  GPid pid;
  int input;  ///< it ends when this is closed
  char *base; ///< "http://127.0.0.1:PORT"
} test_server_t;

/** Starts a server for the files below @p root.
 * @param tls  a file with certificate and key to speak https, or NULL for http
 * @return (transfer full), or NULL when it does not start */
test_server_t *test_server_start(const char *root, const char *tls);
void test_server_stop(test_server_t *server);

/** base + formatted path (transfer full). */
char *test_server_url(const test_server_t *server, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
