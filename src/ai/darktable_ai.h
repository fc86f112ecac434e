/* SPDX-License-Identifier: GPL-3.0-or-later */
/** @file
 * Everything libdarktable_ai offers, in one include: `#include <darktable_ai/ai/darktable_ai.h>`.
 */
#ifndef DARKTABLE_AI_H
#define DARKTABLE_AI_H

#include "../common/conf.h"
#include "../common/errors.h"
#include "../common/log.h"
#include "../common/mosaic.h"
#include "../common/rows.h"
#include "backend.h"
#include "restore.h"
#include "restore_raw.h"
#include "seg_edges.h"
#include "segmentation.h"

#endif
