// 2-D convolution and its two gradients in double: the plain loops of conv2d_scalar.h over images.
#include <stdbool.h>
#include "../include/CKernels.h"
#include "conv2d_shape.h"
#define REAL double
#define SCALAR(name) name##_f64
#include "conv2d_scalar.h"

typedef struct {
  void *const *base;
  const void *rows;
  int32_t count;
} conv2d_job;

static void conv2d_task(void *context, int32_t index) {
  const conv2d_job *job = context;
  const esp_conv2d_row *row = job->rows;
  while (index >= row->n) index -= (row++)->n;
  const conv_shape g = conv_shape_of(row);
  const int64_t xs = row->operand[0].stride, ys = row->operand[2].stride;
  conv2d_image_f64(&g, (const double *)job->base[0] + row->operand[0].offset + (int64_t)index * g.h * g.w * xs, xs,
                       (const double *)job->base[1] + row->operand[1].offset,
                       (double *)job->base[2] + row->operand[2].offset + (int64_t)index * g.oh * g.ow * ys, ys);
}
static void conv2d_backward_input_task(void *context, int32_t index) {
  const conv2d_job *job = context;
  const esp_conv2d_row *row = job->rows;
  while (index >= row->n) index -= (row++)->n;
  const conv_shape g = conv_shape_of(row);
  const int64_t dys = row->operand[0].stride, dxs = row->operand[2].stride;
  conv2d_backward_input_image_f64(
      &g, (const double *)job->base[0] + row->operand[0].offset + (int64_t)index * g.oh * g.ow * dys, dys,
      (const double *)job->base[1] + row->operand[1].offset,
      (double *)job->base[2] + row->operand[2].offset + (int64_t)index * g.h * g.w * dxs, dxs);
}
static void conv2d_backward_weight_task(void *context, int32_t index) {
  const conv2d_job *job = context;
  const esp_conv2d_weight_row *row = job->rows;
  while (index >= weight_groups(row->n) * row->r) index -= weight_groups(row->n) * row->r, row++;
  const conv_shape g = conv_weight_shape_of(row);
  const int groups = weight_groups(g.n), group = index / g.r, r = index % g.r;
  const int64_t xs = row->operand[0].stride, dys = row->operand[1].stride, size = conv_weight_size(&g);
  double *partial = (double *)job->base[3] + row->operand[3].offset + group * size;
  memset(partial + size / g.r * r, 0, (size_t)(size / g.r) * sizeof(double));
  for (int n = weight_group_start(g.n, groups, group); n < weight_group_start(g.n, groups, group + 1); n++) {
    conv2d_backward_weight_image_f64(
        &g, (const double *)job->base[0] + row->operand[0].offset + (int64_t)n * g.h * g.w * xs, xs,
        (const double *)job->base[1] + row->operand[1].offset + (int64_t)n * g.oh * g.ow * dys, dys, partial, r);
  }
}
static void conv2d_add_partials_task(void *context, int32_t index) {
  const conv2d_job *job = context;
  const esp_conv2d_weight_row *row = (const esp_conv2d_weight_row *)job->rows + index;
  const conv_shape g = conv_weight_shape_of(row);
  const int64_t size = conv_weight_size(&g);
  const double *partial = (const double *)job->base[3] + row->operand[3].offset;
  double *dw = (double *)job->base[2] + row->operand[2].offset;
  memcpy(dw, partial, (size_t)size * sizeof(double));
  for (int group = 1; group < weight_groups(g.n); group++) {
    for (int64_t i = 0; i < size; i++) dw[i] += partial[group * size + i];
  }
}

void esp_conv2d_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_job job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) tasks += ((const esp_conv2d_row *)rows)[i].n;
  esp_parallel(tasks, conv2d_task, &job);
}
void esp_conv2d_backward_input_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_job job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) tasks += ((const esp_conv2d_row *)rows)[i].n;
  esp_parallel(tasks, conv2d_backward_input_task, &job);
}
void esp_conv2d_backward_weight_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_job job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) {
    const esp_conv2d_weight_row *row = (const esp_conv2d_weight_row *)rows + i;
    tasks += weight_groups(row->n) * row->r;
  }
  esp_parallel(tasks, conv2d_backward_weight_task, &job);
  esp_parallel(count, conv2d_add_partials_task, &job);
}
