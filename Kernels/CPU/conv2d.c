// 2-D convolution and its two gradients: any stride, padding, dilation and groups. One kernel a direction chooses, for
// each row, between depthwise (groups = c = k), dense and grouped; these are functions of one image, in headers of their
// own. Here are the choice, and the split of all rows into tasks: images, and parts of an image where images are few.
// Each element of a result is computed by one task in an order that depends on the row alone, so the split may follow
// the number of threads.
#ifndef ESP_ISA
#include <stdbool.h>
#include "../include/CKernels.h"
#include "conv2d_shape.h"
#define REAL double
#define SCALAR(name) name##_f64
#include "conv2d_scalar.h"
#undef REAL
#undef SCALAR
#define REAL float
#define SCALAR(name) name##_f32
#include "conv2d_scalar.h"

void esp_conv2d_f64(void *const *base, const void *rows, int32_t count) { conv2d_forward_f64(base, rows, count); }
void esp_conv2d_backward_input_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_backward_input_f64(base, rows, count);
}
void esp_conv2d_backward_weight_f64(void *const *base, const void *rows, int32_t count) {
  conv2d_backward_weight_f64(base, rows, count);
}

// What a task needs to find its row: rows lie behind one another, with `task_count` tasks each.
typedef struct {
  void *const *base;
  const void *rows;
  int32_t count, parts;
  bool backward;
} conv_job;

// Parts of an image, so that all images of all rows make at least four tasks a thread.
static int32_t conv_parts(int32_t images) {
  const int32_t wanted = 4 * esp_threads();
  return images >= wanted || images < 1 ? 1 : (wanted + images - 1) / images;
}
static bool conv_is_depthwise(const conv_shape *g) { return g->groups == g->c && g->groups == g->k; }
static int part_start(int size, int parts, int part) { return (int)((int64_t)size * part / parts); }

#define ESP_SELF "conv2d.c"
#include "dispatch.h"
ESP_DISPATCH(esp_conv2d_f32)
ESP_DISPATCH(esp_conv2d_backward_input_f32)
ESP_DISPATCH(esp_conv2d_backward_weight_f32)
#else
#include "dense_conv2d.h"
#include "depthwise_conv2d.h"
#include "depthwise_weight.h"

static conv_plane ESP_NAME(forward_plane)(const conv_shape *g, int64_t x_stride, int64_t y_stride) {
  return (conv_plane){
    conv_forward_axis(g->oh, g->h, g->stride_h, g->pad_h, g->dilation_h, g->r),
    conv_forward_axis(g->ow, g->w, g->stride_w, g->pad_w, g->dilation_w, g->s),
    x_stride, x_stride * g->w, y_stride, y_stride * g->ow,
  };
}

// ---- forward and backward to the input: dense and grouped ----

// All output channels of one image of one plane, in rows [row_begin, row_end): `reduced` channels of x and `width` of y
// a group. Forward uses the weight where it lies unless its rows are far apart; backward it is transposed.
static void ESP_NAME(conv_plane_rows)(const conv_shape *g, const conv_plane *plane, const float *x, const float *w,
                                  float *y, bool backward, int row_begin, int row_end) {
  if (conv_is_depthwise(g)) {
    depthwise_image(plane, g->c, g->s, x, w, y, row_begin, row_end);
    return;
  }
  const int cg = g->c / g->groups, kg = g->k / g->groups;
  const int reduced = backward ? kg : cg, width = backward ? cg : kg;
  const int taps = plane->rows.taps * plane->columns.taps;
  const int64_t tap = (int64_t)cg * g->k;
  const bool packed = backward || g->k > 128;
  _Alignas(64) float panel[DENSE_PANEL];
  for (int group = 0; group < g->groups; group++) {
    const float *group_w = w + group * kg;
    for (int first = 0; first < width;) {
      const int left = width - first;
      int registers = product_registers((left + ESP_VECTOR - 1) / ESP_VECTOR);
      while (registers > 1 && taps * registers * ESP_VECTOR > DENSE_PANEL / 4) registers--;
      const int columns = left < registers * ESP_VECTOR ? left : registers * ESP_VECTOR;
      const int last = columns - (registers - 1) * ESP_VECTOR;
      product weights = {.last = last, .nc = reduced, .wc = g->k};
      const float *in = x + group * reduced;
      float *out = y + group * width + first;
      if (packed) {
        int chunk = taps == 0 ? reduced : DENSE_PANEL / (taps * registers * ESP_VECTOR);
        if (chunk > 16) chunk = chunk / 16 * 16;
        for (int done = 0; done < reduced; done += chunk) {
          weights.nc = reduced - done < chunk ? reduced - done : chunk;
          weights.accumulate = done > 0;
          if (backward) {
            dense_pack_transposed(plane, &weights, group_w + (int64_t)first * g->k + done, g->k, tap, g->s,
                                            panel, registers * ESP_VECTOR, columns);
          } else {
            dense_pack(plane, &weights, group_w + first + (int64_t)done * g->k, g->k, tap, g->s, panel,
                                 registers * ESP_VECTOR, columns);
          }
          dense_image(plane, &weights, registers, in + done, out, row_begin, row_end);
        }
      } else {
        weights.w = group_w + first;
        weights.wb = tap;
        weights.wa = tap * g->s;
        dense_image(plane, &weights, registers, in, out, row_begin, row_end);
      }
      first += columns;
    }
  }
}

static void ESP_NAME(conv_task)(void *context, int32_t index) {
  const conv_job *job = context;
  const esp_conv2d_row *row = job->rows;
  while (index >= row->n * job->parts) index -= (row++)->n * job->parts;
  const conv_shape g = conv_shape_of(row);
  const int image = index / job->parts, part = index % job->parts;
  const int64_t x_stride = row->operand[0].stride, y_stride = row->operand[2].stride;
  const float *x = (const float *)job->base[0] + row->operand[0].offset;
  const float *w = (const float *)job->base[1] + row->operand[1].offset;
  float *y = (float *)job->base[2] + row->operand[2].offset;
  if (!job->backward) {
    const conv_plane plane = ESP_NAME(forward_plane)(&g, x_stride, y_stride);
    x += image * g.h * plane.x_row;
    y += image * g.oh * plane.y_row;
    ESP_NAME(conv_plane_rows)(&g, &plane, x, w, y, false, part_start(g.oh, job->parts, part),
                          part_start(g.oh, job->parts, part + 1));
    return;
  }
  x += image * g.oh * g.ow * x_stride;
  y += image * g.h * g.w * y_stride;
  for (int phase_h = 0; phase_h < g.stride_h && phase_h < g.h; phase_h++) {
    for (int phase_w = 0; phase_w < g.stride_w && phase_w < g.w; phase_w++) {
      const conv_plane plane = {
        conv_backward_axis(g.h, g.oh, g.stride_h, g.pad_h, g.dilation_h, g.r, phase_h),
        conv_backward_axis(g.w, g.ow, g.stride_w, g.pad_w, g.dilation_w, g.s, phase_w),
        x_stride, x_stride * g.ow, y_stride, y_stride * g.w,
      };
      ESP_NAME(conv_plane_rows)(&g, &plane, x, w, y, true, part_start(plane.rows.out, job->parts, part),
                            part_start(plane.rows.out, job->parts, part + 1));
    }
  }
}

static void ESP_NAME(conv_run)(void *const *base, const void *rows, int32_t count, bool backward) {
  conv_job job = {base, rows, count, 1, backward};
  int32_t images = 0;
  for (int32_t i = 0; i < count; i++) images += ((const esp_conv2d_row *)rows)[i].n;
  job.parts = conv_parts(images);
  esp_parallel(images * job.parts, ESP_NAME(conv_task), &job);
}

void ESP_NAME(esp_conv2d_f32)(void *const *base, const void *rows, int32_t count) {
  ESP_NAME(conv_run)(base, rows, count, false);
}
void ESP_NAME(esp_conv2d_backward_input_f32)(void *const *base, const void *rows, int32_t count) {
  ESP_NAME(conv_run)(base, rows, count, true);
}

// ---- backward to the weight ----

// Tasks of one partial gradient: a register of channels of a depthwise convolution, otherwise a kernel row.
static int32_t ESP_NAME(weight_parts)(const conv_shape *g) {
  return conv_is_depthwise(g) ? (g->c + ESP_VECTOR - 1) / ESP_VECTOR : g->r;
}

static void ESP_NAME(depthwise_weight_task)(const esp_conv2d_weight_row *row, const conv_shape *g, void *const *base,
                                            int partial, int block) {
  const int groups = weight_groups(g->n), first = block * ESP_VECTOR;
  const conv_plane plane = ESP_NAME(forward_plane)(g, row->operand[0].stride, row->operand[1].stride);
  const float *x = (const float *)base[0] + row->operand[0].offset;
  const float *dy = (const float *)base[1] + row->operand[1].offset;
  float *dw = (float *)base[3] + row->operand[3].offset + partial * conv_weight_size(g);
  const int width = g->c - first < ESP_VECTOR ? g->c - first : ESP_VECTOR;
  for (int tap = 0; tap < g->r * g->s; tap++) memset(dw + tap * g->c + first, 0, (size_t)width * sizeof(float));
  const int end = weight_group_start(g->n, groups, partial + 1);
  for (int n = weight_group_start(g->n, groups, partial); n < end; n++) {
    depthwise_weight_image(&plane, g->c, first, x + n * g->h * plane.x_row, dy + n * g->oh * plane.y_row, dw);
  }
}

// A part of a partial gradient.
static void ESP_NAME(weight_task)(void *context, int32_t index) {
  const conv_job *job = context;
  const esp_conv2d_weight_row *row = job->rows;
  conv_shape g;
  for (;; row++) {
    g = conv_weight_shape_of(row);
    const int32_t tasks = weight_groups(g.n) * ESP_NAME(weight_parts)(&g);
    if (index < tasks) break;
    index -= tasks;
  }
  if (conv_is_depthwise(&g)) {
    const int blocks = ESP_NAME(weight_parts)(&g);
    ESP_NAME(depthwise_weight_task)(row, &g, job->base, index / blocks, index % blocks);
    return;
  }
  const int parts = weight_groups(g.n), part = index / g.r, r = index % g.r;
  const int cg = g.c / g.groups, kg = g.k / g.groups;
  const conv_plane plane = ESP_NAME(forward_plane)(&g, row->operand[0].stride, row->operand[1].stride);
  const float *x = (const float *)job->base[0] + row->operand[0].offset;
  const float *dy = (const float *)job->base[1] + row->operand[1].offset;
  const int64_t kernel_row = (int64_t)g.s * cg * g.k;
  float *partial = (float *)job->base[3] + row->operand[3].offset + part * conv_weight_size(&g) + r * kernel_row;
  memset(partial, 0, (size_t)kernel_row * sizeof(float));
  int inner_begin = 0, inner_end = 0;
  const bool joined = g.dilation_w == 1 && g.s > 1 && cg < 8 && plane.x_stride == cg && g.groups == 1;
  if (joined) conv_axis_interior(&plane.columns, &inner_begin, &inner_end);
  const int n_end = weight_group_start(g.n, parts, part + 1);
  for (int n = weight_group_start(g.n, parts, part); n < n_end; n++) {
    const float *in = x + n * g.h * plane.x_row, *out = dy + n * g.oh * plane.y_row;
    for (int group = 0; group < g.groups; group++) {
      for (int first = 0; first < kg;) {
        const int left = kg - first, registers = product_registers((left + ESP_VECTOR - 1) / ESP_VECTOR);
        const int columns = left < registers * ESP_VECTOR ? left : registers * ESP_VECTOR;
        const int last = columns - (registers - 1) * ESP_VECTOR;
        const float *block_x = in + group * cg, *block_dy = out + group * kg + first;
        float *block_dw = partial + group * kg + first;
        if (inner_begin < inner_end) {
          dense_weight_image(&plane, block_x, block_dy, block_dw, g.k, g.s * cg, registers, last, r, 0, inner_begin,
                             inner_end);
        }
        for (int s = 0; s < g.s; s++) {
          const int q = plane.columns.shift + s * plane.columns.step;
          const int begin = ceiling_divide(-q, g.stride_w);
          int end = ceiling_divide(g.w - q, g.stride_w);
          if (end > g.ow) end = g.ow;
          float *tap = block_dw + (int64_t)s * cg * g.k;
          if (inner_begin < inner_end) {
            dense_weight_image(&plane, block_x, block_dy, tap, g.k, cg, registers, last, r, s, begin, inner_begin);
            dense_weight_image(&plane, block_x, block_dy, tap, g.k, cg, registers, last, r, s, inner_end, end);
          } else {
            dense_weight_image(&plane, block_x, block_dy, tap, g.k, cg, registers, last, r, s, begin, end);
          }
        }
        first += columns;
      }
    }
  }
}

void ESP_NAME(esp_conv2d_backward_weight_f32)(void *const *base, const void *rows, int32_t count) {
  conv_job job = {base, rows, count, 1, true};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) {
    const conv_shape g = conv_weight_shape_of((const esp_conv2d_weight_row *)rows + i);
    tasks += weight_groups(g.n) * ESP_NAME(weight_parts)(&g);
  }
  esp_parallel(tasks, ESP_NAME(weight_task), &job);
  esp_parallel(count, conv2d_add_partials_task_f32, &(conv2d_job_f32){base, rows, count});
}
#endif
