/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Several modules in a row on an OpenCL device: pixels go there once and come back once. Everything that is touched there
 * belongs to the job, because a device that hangs keeps it. */
#include "develop/pixelpipe_internal.h"

typedef struct _job_t
{
  dt_dev_plan_t *plan;
  int first, last;
  dt_iop_roi_t rois[DT_DEV_MAX_NODES + 1];
  dt_dev_buffer_t *in, *out;
  dt_dev_changes_t *changes;
  gint mine;
  GCancellable *cancellable;
} _job_t;

static void _free_job(gpointer data)
{
  _job_t *job = data;
  dt_dev_plan_unref(job->plan);
  dt_dev_buffer_unref(job->in);
  dt_dev_buffer_unref(job->out);
  dt_dev_changes_unref(job->changes);
  g_clear_object(&job->cancellable);
  g_free(job);
}

static gsize _bytes(const _job_t *job, int i)
{
  return (gsize)job->rois[i].width * (gsize)job->rois[i].height * (gsize)dt_dev_plan_channels(job->plan, i)
         * sizeof(float);
}

/* The module's own, for all that its mask needs (to be freed). */
static cl_mem _process(dt_opencl_queue_t *queue, const _job_t *job, int i, cl_mem in, const dt_iop_roi_t *roi,
                       GError **error)
{
  const dt_iop_piece_t *piece = &job->plan->nodes[i].piece;
  const gsize bytes = (gsize)roi->width * (gsize)roi->height * (gsize)piece->channels_out * sizeof(float);
  cl_mem out = dt_opencl_buffer_new(queue, bytes, NULL, error);
  if(!out || piece->module->process_cl(piece, queue, in, &job->rois[i], out, roi, error)) return out;
  dt_opencl_buffer_free(queue, out);
  return NULL;
}

/* Takes @p processed over. */
static cl_mem _blend(dt_opencl_queue_t *queue, const _job_t *job, int i, cl_mem in, cl_mem processed,
                     const dt_iop_roi_t *roi, GError **error)
{
  const dt_blend_t *blend = job->plan->nodes[i].blend;
  if(!processed || !blend) return processed;
  cl_mem out = dt_opencl_buffer_new(queue, _bytes(job, i + 1), NULL, error);
  if(out
     && !dt_blend_process_cl(blend, queue, in, &job->rois[i], processed, roi, out, &job->rois[i + 1], error))
  {
    dt_opencl_buffer_free(queue, out);
    out = NULL;
  }
  dt_opencl_buffer_free(queue, processed);
  return out;
}

/* One module: a new buffer in the place of the old one. Waiting for the device after each keeps what it holds at few
 * buffers, since a driver frees a buffer only when nothing that is enqueued needs it. */
static gboolean _step(dt_opencl_queue_t *queue, const _job_t *job, int i, cl_mem *buffer, GError **error)
{
  if(!dt_dev_check_wanted(job->changes, job->mine, job->cancellable, error)) return FALSE;
  const dt_iop_roi_t roi = dt_dev_plan_processed(job->plan, i, &job->rois[i + 1]);
  cl_mem processed = _process(queue, job, i, *buffer, &roi, error);
  cl_mem out = _blend(queue, job, i, *buffer, processed, &roi, error);
  if(!out) return FALSE;
  const gboolean fine = dt_opencl_finish(queue, error);
  dt_opencl_buffer_free(queue, *buffer);
  *buffer = out;
  return fine;
}

static gboolean _work(dt_opencl_queue_t *queue, void *data, GError **error)
{
  const _job_t *job = data;
  cl_mem buffer = dt_opencl_buffer_new(queue, _bytes(job, job->first), job->in->data, error);
  gboolean fine = buffer != NULL;
  for(int i = job->first; i < job->last && fine; i++) fine = _step(queue, job, i, &buffer, error);
  fine = fine && dt_opencl_buffer_read(queue, buffer, _bytes(job, job->last), job->out->data, error);
  dt_opencl_buffer_free(queue, buffer);
  return fine;
}

static _job_t *_new_job(const dt_dev_run_t *run, int first, int last, const dt_iop_roi_t *rois,
                        dt_dev_buffer_t *in, dt_dev_buffer_t *out)
{
  _job_t *job = g_new0(_job_t, 1);
  job->plan = dt_dev_plan_ref(run->plan);
  job->first = first;
  job->last = last;
  for(int i = 0; i <= run->plan->n; i++) job->rois[i] = rois[i];
  job->in = dt_dev_buffer_ref(in);
  job->out = dt_dev_buffer_ref(out);
  job->changes = dt_dev_changes_ref(run->changes);
  job->mine = run->mine;
  if(run->cancellable) job->cancellable = g_object_ref(run->cancellable);
  return job;
}

dt_dev_buffer_t *dt_dev_run_on_device(dt_dev_run_t *run, int first, int last, const dt_iop_roi_t *rois,
                                      dt_dev_buffer_t *in, GError **error)
{
  dt_dev_buffer_t *out = dt_dev_buffer_new(&rois[last], dt_dev_plan_channels(run->plan, last), error);
  if(!out) return NULL;
  _job_t *job = _new_job(run, first, last, rois, in, out);
  if(!dt_opencl_run_perform(run->cl, _work, job, _free_job, error))
    g_clear_pointer(&out, dt_dev_buffer_unref);
  return out;
}
