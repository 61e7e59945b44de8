// y = pointwise(depthwise(relu(x̂))) and the moments of y, one image at a time: what lies between stays in the second
// level cache (relu_depthwise_pointwise.h). The functions of an image are those of conv2d.c and batch_norm.c, in the
// same order, so y and its moments have the bits that separate calls give.
#ifndef ESP_ISA
#include "relu_depthwise_pointwise.h"

enum { FUSED_WORKSPACE = 8 };

#define ESP_SELF "relu_depthwise_pointwise.c"
#include "dispatch.h"
ESP_DISPATCH(esp_relu_depthwise_pointwise_f32)
#else
#include "batch_norm.h"
#include "depthwise_conv2d.h"
#include "pointwise_conv2d.h"
#include "relu_depthwise_pointwise.h"
#include "split.h"

// One image of one row, given relu(x̂) of it; t is scratch.
static void ESP_NAME(forward_image)(const fused_job *job, int32_t row, int32_t image, const float *source, float *t) {
  const fused_shape *g = fused_shape_of(job, row);
  const esp_operand *workspace = fused_operands(job, row) + FUSED_WORKSPACE;
  const int pixels = g->oh * g->ow;
  const int64_t y_stride = fused_operands(job, row)[FUSED_Y].stride;
  float *y = fused_operand(job, row, FUSED_Y) + image * pixels * y_stride;
  if (fused_operand(job, row, FUSED_DEPTHWISE)) {
    ESP_NAME(fused_depthwise)(job, row, source, t);
    source = t;
  }
  const pointwise p = {
    .x = source, .w = fused_operand(job, row, FUSED_POINTWISE), .y = y,
    .x_stride = g->c, .w_row = g->k, .y_stride = y_stride, .c = g->c, .k = g->k,
  };
  pointwise_image(&p, pixels, PRODUCT_ROWS);
  if (fused_operand(job, row, FUSED_MEAN)) {
    double *partial = (double *)job->base[FUSED_WORKSPACE] + workspace->offset + 2 * (int64_t)image * g->k;
    ESP_NAME(channel_moments)(y, y_stride, pixels, g->k, partial);
  }
}

static void ESP_NAME(forward_task)(void *context, int32_t index) {
  const fused_job *job = context;
  const fused_task task = fused_task_of(job, index);
  const int64_t source_size = fused_source_size(fused_shape_of(job, task.row));
  int64_t most = 0;
  for (int32_t row = task.row; row < task.end; row++) {
    const fused_shape *g = fused_shape_of(job, row);
    const int64_t size = (int64_t)g->oh * g->ow * g->c;
    if (size > most) most = size;
  }
  float *source = esp_thread_scratch((size_t)(source_size + most) * sizeof(float));
  ESP_NAME(fused_prepare_source)(job, task.row, source);
  for (int32_t image = task.image; image < task.image_end; image++) {
    ESP_NAME(fused_source_image)(job, task.row, image, source);
    for (int32_t row = task.row; row < task.end; row++) {
      ESP_NAME(forward_image)(job, row, image, source, source + source_size);
    }
  }
}

// A unit of merging: 16 channels.
static esp_work ESP_NAME(forward_merge_measure)(const void *row) {
  const esp_relu_depthwise_pointwise_row *r = row;
  return (esp_work){r->operand[FUSED_MEAN].flags & ESP_ABSENT ? 0 : (r->k + 15) / 16, 16.0 * r->n + 10};
}
static void ESP_NAME(forward_merge)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_relu_depthwise_pointwise_row *r = row;
  const esp_operand *o = r->operand;
  for (int64_t c = from * 16; c < to * 16 && c < r->k; c += 16) {
    ESP_NAME(merge_moments)((const double *)base[FUSED_WORKSPACE] + o[FUSED_WORKSPACE].offset, r->n,
                            (int64_t)r->oh * r->ow, r->k, c, (float *)base[FUSED_MEAN] + o[FUSED_MEAN].offset,
                            (float *)base[FUSED_VARIANCE] + o[FUSED_VARIANCE].offset);
  }
}

void ESP_NAME(esp_relu_depthwise_pointwise_f32)(void *const *base, const void *rows, int32_t count) {
  fused_job job = {.base = base, .rows = rows, .count = count, .operands = 9, .scalars = 1, .most_groups = INT32_MAX};
  const int32_t tasks = fused_divide(&job);
  esp_parallel(tasks, ESP_NAME(forward_task), &job);
  esp_split(base, rows, sizeof(esp_relu_depthwise_pointwise_row), count, ESP_NAME(forward_merge_measure),
            ESP_NAME(forward_merge));
}
#endif
