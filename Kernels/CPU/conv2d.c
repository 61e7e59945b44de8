// 2-D convolution and its gradient to the input: any stride, padding, dilation and groups. One kernel a direction
// chooses, for each row, between depthwise (groups = c = k), pointwise, dense and grouped; these are functions of one
// image, in headers of their own. Here are the choice, and the split of all rows into tasks: images, and parts of an
// image where images are few. Each element of a result is computed by one task in an order that depends on the row
// alone, so the split may follow the number of threads.
#ifndef ESP_ISA
#include "conv2d_tasks.h"
#define REAL float
#define SCALAR(name) name##_f32
#include "conv2d_scalar.h"

#define ESP_SELF "conv2d.c"
#include "dispatch.h"
ESP_DISPATCH(esp_conv2d_f32)
ESP_DISPATCH(esp_conv2d_backward_input_f32)
#else
#include "dense_conv2d.h"
#include "depthwise_conv2d.h"
#include "pointwise_conv2d.h"

// A part of one image of one plane, dense or grouped. Forward uses the weight where it lies unless its rows are far
// apart; backward it is transposed. With a panel a part is some blocks of channels, so that no panel is packed twice;
// else, and if there are too few blocks, some rows.
static void ESP_NAME(dense_part)(const conv_shape *g, const conv_plane *plane, const float *x, const float *w, float *y,
                                 bool backward, int parts, int part) {
  const int cg = g->c / g->groups, kg = g->k / g->groups;
  const int reduced = backward ? kg : cg, width = backward ? cg : kg;
  const int taps = plane->rows.taps * plane->columns.taps;
  const int64_t tap = (int64_t)cg * g->k;
  const bool packed = backward || (g->k > 128 && taps * ESP_VECTOR <= DENSE_PANEL);
  int most = PRODUCT_REGISTERS;
  while (most > 1 && taps * most * ESP_VECTOR > DENSE_PANEL / 4) most--;
  const int blocks = (width + most * ESP_VECTOR - 1) / (most * ESP_VECTOR);
  const bool by_blocks = packed && g->groups * blocks >= parts;
  const int block_begin = by_blocks ? part_start(g->groups * blocks, parts, part) : 0;
  const int block_end = by_blocks ? part_start(g->groups * blocks, parts, part + 1) : g->groups * blocks;
  const int row_begin = by_blocks ? 0 : part_start(plane->rows.out, parts, part);
  const int row_end = by_blocks ? plane->rows.out : part_start(plane->rows.out, parts, part + 1);
  _Alignas(64) float panel[DENSE_PANEL];
  for (int block = block_begin; block < block_end; block++) {
    // Blocks of a group differ by a register at most.
    const int group = block / blocks, all = (width + ESP_VECTOR - 1) / ESP_VECTOR;
    const int first = part_start(all, blocks, block % blocks) * ESP_VECTOR;
    const int end = part_start(all, blocks, block % blocks + 1) * ESP_VECTOR;
    const int columns = (end < width ? end : width) - first, registers = (end - first) / ESP_VECTOR;
    product weights = {.last = columns - (registers - 1) * ESP_VECTOR, .nc = reduced, .wc = g->k, .wb = tap};
    const float *in = x + group * reduced, *group_w = w + group * kg;
    float *out = y + group * width + first;
    weights.wa = tap * g->s;
    weights.w = group_w + first;
    if (!packed) {
      dense_image(plane, &weights, registers, in, out, row_begin, row_end);
      continue;
    }
    int chunk = DENSE_PANEL / (taps * registers * ESP_VECTOR);
    if (chunk > 16) chunk = chunk / 16 * 16;
    for (int done = 0; done < reduced; done += chunk) {
      weights.nc = reduced - done < chunk ? reduced - done : chunk;
      weights.accumulate = done > 0;
      if (backward) {
        dense_pack_transposed(plane, &weights, group_w + (int64_t)first * g->k + done, g->k, tap, g->s, panel,
                              registers * ESP_VECTOR, columns);
      } else {
        dense_pack(plane, &weights, group_w + first + (int64_t)done * g->k, g->k, tap, g->s, panel,
                   registers * ESP_VECTOR, columns);
      }
      dense_image(plane, &weights, registers, in + done, out, row_begin, row_end);
    }
  }
}

// Finds the row of a task, its image and its part.
static const esp_conv2d_row *ESP_NAME(conv_row)(const conv_job *job, int32_t index, int *image, int *part) {
  const esp_conv2d_row *row = job->rows;
  while (index >= row->n * job->parts) index -= (row++)->n * job->parts;
  *image = index / job->parts;
  *part = index % job->parts;
  return row;
}

static void ESP_NAME(forward_task)(void *context, int32_t index) {
  const conv_job *job = context;
  int image, part;
  const esp_conv2d_row *row = ESP_NAME(conv_row)(job, index, &image, &part);
  const conv_shape g = conv_shape_of(row);
  const conv_plane plane = conv_forward_plane(&g, row->operand[0].stride, row->operand[2].stride);
  const float *x = (const float *)job->base[0] + row->operand[0].offset + image * g.h * plane.x_row;
  const float *w = (const float *)job->base[1] + row->operand[1].offset;
  float *y = (float *)job->base[2] + row->operand[2].offset + image * g.oh * plane.y_row;
  const int begin = part_start(g.oh, job->parts, part), end = part_start(g.oh, job->parts, part + 1);
  if (conv_is_depthwise(&g)) {
    depthwise_image(&plane, g.c, g.s, x, w, y, NULL, begin, end, DEPTHWISE_PLAIN);
  } else if (conv_is_pointwise(&g) && g.k <= 128) {
    const pointwise p = {
      .x = x + begin * plane.x_row, .w = w, .y = y + begin * plane.y_row,
      .x_stride = plane.x_stride, .w_row = g.k, .y_stride = plane.y_stride, .c = g.c, .k = g.k,
    };
    pointwise_image(&p, (end - begin) * g.ow, PRODUCT_ROWS);
  } else {
    ESP_NAME(dense_part)(&g, &plane, x, w, y, false, job->parts, part);
  }
}

static void ESP_NAME(backward_task)(void *context, int32_t index) {
  const conv_job *job = context;
  int image, part;
  const esp_conv2d_row *row = ESP_NAME(conv_row)(job, index, &image, &part);
  const conv_shape g = conv_shape_of(row);
  const int64_t dy_stride = row->operand[0].stride, dx_stride = row->operand[2].stride;
  const float *dy = (const float *)job->base[0] + row->operand[0].offset + (int64_t)image * g.oh * g.ow * dy_stride;
  const float *w = (const float *)job->base[1] + row->operand[1].offset;
  float *dx = (float *)job->base[2] + row->operand[2].offset + (int64_t)image * g.h * g.w * dx_stride;
  const bool depthwise = conv_is_depthwise(&g);
  if (!depthwise && g.r * g.s * ESP_VECTOR > DENSE_PANEL) {
    if (part == 0) conv2d_backward_input_image_f32(&g, dy, dy_stride, w, dx, dx_stride);
    return;
  }
  for (int phase_h = 0; phase_h < g.stride_h && phase_h < g.h; phase_h++) {
    for (int phase_w = 0; phase_w < g.stride_w && phase_w < g.w; phase_w++) {
      const conv_plane plane = conv_backward_plane(&g, dy_stride, dx_stride, phase_h, phase_w);
      const int begin = part_start(plane.rows.out, job->parts, part);
      const int end = part_start(plane.rows.out, job->parts, part + 1);
      if (plane.rows.taps * plane.columns.taps == 0) {
        conv_zero_image(&plane, g.c, dx, begin, end);
      } else if (depthwise) {
        depthwise_image(&plane, g.c, g.s, dy, w, dx, NULL, begin, end, DEPTHWISE_PLAIN);
      } else {
        ESP_NAME(dense_part)(&g, &plane, dy, w, dx, true, job->parts, part);
      }
    }
  }
}

static conv_job ESP_NAME(conv_job_of)(void *const *base, const void *rows, int32_t count, int32_t *tasks) {
  int32_t images = 0;
  for (int32_t i = 0; i < count; i++) images += ((const esp_conv2d_row *)rows)[i].n;
  const conv_job job = {base, rows, count, conv_parts(images)};
  *tasks = images * job.parts;
  return job;
}

void ESP_NAME(esp_conv2d_f32)(void *const *base, const void *rows, int32_t count) {
  int32_t tasks;
  conv_job job = ESP_NAME(conv_job_of)(base, rows, count, &tasks);
  esp_parallel(tasks, ESP_NAME(forward_task), &job);
}
void ESP_NAME(esp_conv2d_backward_input_f32)(void *const *base, const void *rows, int32_t count) {
  int32_t tasks;
  conv_job job = ESP_NAME(conv_job_of)(base, rows, count, &tasks);
  esp_parallel(tasks, ESP_NAME(backward_task), &job);
}
#endif
