/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * The child's side of probing, for the program that is the child.
 */
#ifndef DT_AI_PROBE_CHILD_H
#define DT_AI_PROBE_CHILD_H

/** Does what @p argv says, as probe.c composes it.
 * @return the answer for the parent, a key file (transfer full, g_free()); empty when @p argv is no question */
char *dt_ai_probe_child(int argc, char **argv);

#endif
