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

// A part of each of `images` images of one plane, dense or grouped. Forward uses the weight where it lies unless its
// rows are far apart; backward it is transposed. With a panel a part is some blocks of channels, so that no panel is
// packed twice; else, and if there are too few blocks, some rows.
static void ESP_NAME(dense_part)(const conv_shape *g, const conv_plane *plane, int images, const float *x,
                                 const float *w, float *y, bool backward, int parts, int part) {
  const int cg = g->c / g->groups, kg = g->k / g->groups;
  const int reduced = backward ? kg : cg, width = backward ? cg : kg;
  const int taps = plane->rows.taps * plane->columns.taps;
  const int64_t tap = (int64_t)cg * g->k;
  const int64_t x_image = (backward ? g->oh : g->h) * plane->x_row, y_image = (backward ? g->h : g->oh) * plane->y_row;
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
      for (int n = 0; n < images; n++) {
        dense_image(plane, &weights, registers, in + n * x_image, out + n * y_image, row_begin, row_end);
      }
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
      for (int n = 0; n < images; n++) {
        dense_image(plane, &weights, registers, in + done + n * x_image, out + n * y_image, row_begin, row_end);
      }
    }
  }
}

// What one task does: some images of a row, or a part of one.
typedef struct {
  const esp_conv2d_row *row;
  conv_shape g;
  const float *x, *w;  // x: the first image; dy if backward
  float *y;
  int64_t x_stride, y_stride;
  int32_t images, part;
} ESP_NAME(conv_work);

static ESP_NAME(conv_work) ESP_NAME(conv_work_of)(const conv_job *job, int32_t index, bool backward) {
  const esp_conv2d_row *row = job->rows;
  for (int32_t tasks; index >= (tasks = ceiling_divide(row->n, job->images) * job->parts); row++) index -= tasks;
  const int image = index / job->parts * job->images;
  const int64_t x_stride = row->operand[0].stride, y_stride = row->operand[2].stride;
  const int64_t inner = (int64_t)row->h * row->w, outer = (int64_t)row->oh * row->ow;
  return (ESP_NAME(conv_work)){
    row, conv_shape_of(row),
    (const float *)job->base[0] + row->operand[0].offset + image * (backward ? outer : inner) * x_stride,
    (const float *)job->base[1] + row->operand[1].offset,
    (float *)job->base[2] + row->operand[2].offset + image * (backward ? inner : outer) * y_stride,
    x_stride, y_stride,
    row->n - image < job->images ? row->n - image : job->images, index % job->parts,
  };
}

static void ESP_NAME(forward_task)(void *context, int32_t index) {
  const conv_job *job = context;
  const ESP_NAME(conv_work) work = ESP_NAME(conv_work_of)(job, index, false);
  const conv_shape *g = &work.g;
  const conv_plane plane = conv_forward_plane(g, work.x_stride, work.y_stride);
  const int begin = part_start(g->oh, job->parts, work.part), end = part_start(g->oh, job->parts, work.part + 1);
  const bool depthwise = conv_is_depthwise(g);
  if (!depthwise && !(conv_is_pointwise(g) && g->k <= 128)) {
    ESP_NAME(dense_part)(g, &plane, work.images, work.x, work.w, work.y, false, job->parts, work.part);
    return;
  }
  for (int n = 0; n < work.images; n++) {
    const float *x = work.x + n * g->h * plane.x_row;
    float *y = work.y + n * g->oh * plane.y_row;
    if (depthwise) {
      const depthwise_block block = {.x = x, .w = work.w, .y = y, .row_begin = begin, .row_end = end};
      depthwise_image(&plane, g->c, g->s, &block, DEPTHWISE_PLAIN);
    } else {
      const pointwise p = {
        .x = x + begin * plane.x_row, .w = work.w, .y = y + begin * plane.y_row,
        .x_stride = plane.x_stride, .w_row = g->k, .y_stride = plane.y_stride, .c = g->c, .k = g->k,
      };
      pointwise_image(&p, (end - begin) * g->ow, PRODUCT_ROWS);
    }
  }
}

static void ESP_NAME(backward_task)(void *context, int32_t index) {
  const conv_job *job = context;
  const ESP_NAME(conv_work) work = ESP_NAME(conv_work_of)(job, index, true);
  const conv_shape *g = &work.g;
  const int64_t dy_image = (int64_t)g->oh * g->ow * work.x_stride, dx_image = (int64_t)g->h * g->w * work.y_stride;
  const bool depthwise = conv_is_depthwise(g);
  if (!depthwise && g->r * g->s * ESP_VECTOR > DENSE_PANEL) {
    for (int n = 0; n < work.images && work.part == 0; n++) {
      conv2d_backward_input_image_f32(g, work.x + n * dy_image, work.x_stride, work.w, work.y + n * dx_image,
                                      work.y_stride);
    }
    return;
  }
  for (int phase = 0; phase < g->stride_h * g->stride_w; phase++) {
    const int phase_h = phase / g->stride_w, phase_w = phase % g->stride_w;
    if (phase_h >= g->h || phase_w >= g->w) continue;
    const conv_plane plane = conv_backward_plane(g, work.x_stride, work.y_stride, phase_h, phase_w);
    const bool nothing = plane.rows.taps * plane.columns.taps == 0;
    if (!nothing && !depthwise) {
      ESP_NAME(dense_part)(g, &plane, work.images, work.x, work.w, work.y, true, job->parts, work.part);
      continue;
    }
    const int begin = part_start(plane.rows.out, job->parts, work.part);
    const int end = part_start(plane.rows.out, job->parts, work.part + 1);
    for (int n = 0; n < work.images; n++) {
      float *dx = work.y + n * dx_image;
      if (nothing) {
        conv_zero_image(&plane, g->c, dx, begin, end);
      } else {
        const depthwise_block block = {
          .x = work.x + n * dy_image, .w = work.w, .y = dx, .row_begin = begin, .row_end = end,
        };
        depthwise_image(&plane, g->c, g->s, &block, DEPTHWISE_PLAIN);
      }
    }
  }
}

static void ESP_NAME(conv_run)(void *const *base, const void *rows, int32_t count, void (*task)(void *, int32_t)) {
  conv_job job = {base, rows, count, 1, 1};
  int32_t images = 0, tasks = 0;
  for (int32_t i = 0; i < count; i++) images += ((const esp_conv2d_row *)rows)[i].n;
  conv_divide(&job, images);
  for (int32_t i = 0; i < count; i++) {
    tasks += ceiling_divide(((const esp_conv2d_row *)rows)[i].n, job.images) * job.parts;
  }
  esp_parallel(tasks, task, &job);
}

void ESP_NAME(esp_conv2d_f32)(void *const *base, const void *rows, int32_t count) {
  ESP_NAME(conv_run)(base, rows, count, ESP_NAME(forward_task));
}
void ESP_NAME(esp_conv2d_backward_input_f32)(void *const *base, const void *rows, int32_t count) {
  ESP_NAME(conv_run)(base, rows, count, ESP_NAME(backward_task));
}
#endif
