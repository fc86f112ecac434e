/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * What the parts of doctor's page share.
 */
#ifndef DT_CLI_DOCTOR_H
#define DT_CLI_DOCTOR_H

#include <glib.h>

/** Prints "label        text" on stdout; the home directory becomes ~: a report need not tell whose it is. */
void dt_cli_doctor_print(const char *label, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** The part about AI.
 * @return the exit code */
int dt_cli_doctor_print_ai(void);

#endif
