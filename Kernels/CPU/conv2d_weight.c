// The gradient of a 2-D convolution to its weight: any stride, padding, dilation and groups.
//
// The batch makes min(n, 8) groups of consecutive images; each has a partial gradient in the workspace, to which its
// images are added in order (an image sums from zero), and the partials are added in order. So the result depends on
// the batch, not on threads. A task is some of the kernel of one partial: a register of channels if depthwise; a group
// of channels and a kernel row otherwise.
#ifndef ESP_ISA
#include "conv2d_tasks.h"

// Elements of dw that a task of the last pass adds up.
enum { SUM_BLOCK = 8192 };

static int32_t sum_blocks(const conv_shape *g) { return (int32_t)((conv_weight_size(g) + SUM_BLOCK - 1) / SUM_BLOCK); }

#define ESP_SELF "conv2d_weight.c"
#include "dispatch.h"
ESP_DISPATCH(esp_conv2d_backward_weight_f32)
#else
#include "dense_weight.h"
#include "depthwise_weight.h"
#include "pointwise_conv2d.h"

static int32_t ESP_NAME(kernel_parts)(const conv_shape *g) {
  return conv_is_depthwise(g) ? (g->c + ESP_VECTOR - 1) / ESP_VECTOR : g->groups * g->r;
}

// Part `part` of the kernel: clears it in partial gradient `dw` and adds images [begin, end).
static void ESP_NAME(weight_part)(const conv_shape *g, const conv_plane *plane, const float *x, const float *dy,
                                  float *dw, int part, int begin, int end) {
  const int64_t x_image = g->h * plane->x_row, dy_image = g->oh * plane->y_row;
  if (conv_is_depthwise(g)) {
    const int first = part * ESP_VECTOR, width = g->c - first < ESP_VECTOR ? g->c - first : ESP_VECTOR;
    for (int tap = 0; tap < g->r * g->s; tap++) memset(dw + tap * g->c + first, 0, (size_t)width * sizeof(float));
    for (int n = begin; n < end; n++) {
      depthwise_weight_image(plane, g->c, first, x + n * x_image, dy + n * dy_image, dw, false);
    }
    return;
  }
  const int group = part / g->r, r = part % g->r, cg = g->c / g->groups, kg = g->k / g->groups;
  dw += (int64_t)r * g->s * cg * g->k + group * kg;
  for (int tap = 0; tap < g->s * cg; tap++) memset(dw + (int64_t)tap * g->k, 0, (size_t)kg * sizeof(float));
  for (int n = begin; n < end; n++) {
    const float *in = x + n * x_image + group * cg, *out = dy + n * dy_image + group * kg;
    if (conv_is_pointwise(g)) {
      const pointwise p = {
        .x = in, .w = out, .y = dw, .x_stride = plane->x_stride, .w_row = g->k, .c = g->c, .k = g->k,
      };
      pointwise_weight_image(&p, plane->y_stride, g->h * g->w, PRODUCT_COLUMNS);
    } else {
      dense_weight_image(plane, in, out, dw, cg, kg, g->k, r);
    }
  }
}

static void ESP_NAME(weight_task)(void *context, int32_t index) {
  const conv_job *job = context;
  const esp_conv2d_weight_row *row = job->rows;
  conv_shape g = conv_weight_shape_of(row);
  for (int32_t tasks; index >= (tasks = weight_groups(g.n) * ESP_NAME(kernel_parts)(&g)); index -= tasks) {
    g = conv_weight_shape_of(++row);
  }
  const int parts = ESP_NAME(kernel_parts)(&g), groups = weight_groups(g.n), partial = index / parts;
  const conv_plane plane = conv_forward_plane(&g, row->operand[0].stride, row->operand[1].stride);
  ESP_NAME(weight_part)(&g, &plane, (const float *)job->base[0] + row->operand[0].offset,
                        (const float *)job->base[1] + row->operand[1].offset,
                        (float *)job->base[3] + row->operand[3].offset + partial * conv_weight_size(&g), index % parts,
                        weight_group_start(g.n, groups, partial), weight_group_start(g.n, groups, partial + 1));
}

static void ESP_NAME(sum_task)(void *context, int32_t index) {
  const conv_job *job = context;
  const esp_conv2d_weight_row *row = job->rows;
  conv_shape g = conv_weight_shape_of(row);
  for (int32_t blocks; index >= (blocks = sum_blocks(&g)); index -= blocks) g = conv_weight_shape_of(++row);
  const int64_t size = conv_weight_size(&g), first = (int64_t)index * SUM_BLOCK;
  const int64_t count = size - first < SUM_BLOCK ? size - first : SUM_BLOCK;
  const float *partial = (const float *)job->base[3] + row->operand[3].offset + first;
  float *dw = (float *)job->base[2] + row->operand[2].offset + first;
  weight_sum(partial, size, weight_groups(g.n), dw, count);
}

void ESP_NAME(esp_conv2d_backward_weight_f32)(void *const *base, const void *rows, int32_t count) {
  conv_job job = {base, rows, count, 1, 1};
  int32_t tasks = 0, blocks = 0;
  for (int32_t i = 0; i < count; i++) {
    const conv_shape g = conv_weight_shape_of((const esp_conv2d_weight_row *)rows + i);
    tasks += weight_groups(g.n) * ESP_NAME(kernel_parts)(&g);
    blocks += sum_blocks(&g);
  }
  esp_parallel(tasks, ESP_NAME(weight_task), &job);
  esp_parallel(blocks, ESP_NAME(sum_task), &job);
}
#endif
