// The backward of relu_depthwise_pointwise.c through the batch norm of its result, one image at a time: t is computed
// again, dy and dt live in scratch only.
//
// The batch makes min(n, 8) groups of consecutive images; each adds to a partial of the weight gradients of its own, in
// order, and the partials are added in order, as in conv2d_weight.c: results depend on the batch, not on threads.
#ifndef ESP_ISA
#include "relu_depthwise_pointwise.h"

enum {
  FUSED_GAMMA = 8, FUSED_SUMS, FUSED_DZ, FUSED_DX, FUSED_DEPTHWISE_GRADIENT, FUSED_POINTWISE_GRADIENT, FUSED_PARTIALS,
  FUSED_INPUT_SUMS, FUSED_INPUT_PARTIALS,
};
enum { SUM_BLOCK = 1024 };  // a unit of adding partials up: elements of dwd and dwp laid end to end

// Floats of one partial: dwd, then dwp.
static int64_t depthwise_size(const fused_shape *g) { return (int64_t)g->r * g->s * g->c; }
static int64_t partial_size(const fused_shape *g) { return depthwise_size(g) + (int64_t)g->c * g->k; }

// Scratch of a row, prepared once a task: wpᵀ [k, c] and the coefficients of the batch norm.
static int64_t prepared_size(const fused_shape *g) {
  return fused_rounded((int64_t)g->c * g->k) + 4 * fused_rounded(g->k);
}

#define ESP_SELF "relu_depthwise_pointwise_backward.c"
#include "dispatch.h"
ESP_DISPATCH(esp_relu_depthwise_pointwise_backward_f32)
#else
#include "batch_norm.h"
#include "depthwise_conv2d.h"
#include "depthwise_weight.h"
#include "pointwise_conv2d.h"
#include "relu_depthwise_pointwise.h"
#include "split.h"
#include "transpose.h"

// Fills the row's prepared scratch and clears the partial that its images are added to.
static void ESP_NAME(prepare_row)(const fused_job *job, int32_t row, int32_t group, float *prepared) {
  const fused_shape *g = fused_shape_of(job, row);
  const float *sums = fused_operand(job, row, FUSED_SUMS);
  const int64_t step = fused_rounded(g->k), size = partial_size(g);
  float *centre = prepared + fused_rounded((int64_t)g->c * g->k);
  pack_transposed(fused_operand(job, row, FUSED_POINTWISE), g->k, prepared, g->c, g->k, g->c);
  if (fused_operand(job, row, FUSED_Y)) {
    ESP_NAME(backward_coefficients)(fused_operand(job, row, FUSED_MEAN), fused_operand(job, row, FUSED_VARIANCE),
                                    fused_operand(job, row, FUSED_GAMMA), sums, sums + g->k,
                                    fused_scalars(job, row)[1], 1.0f / ((float)g->n * (float)(g->oh * g->ow)), g->k,
                                    centre, centre + step, centre + 2 * step, centre + 3 * step);
  }
  const bool dwd = fused_operand(job, row, FUSED_DEPTHWISE_GRADIENT);
  const bool dwp = fused_operand(job, row, FUSED_POINTWISE_GRADIENT);
  float *partial = dwd || dwp ? fused_operand(job, row, FUSED_PARTIALS) + group * size : NULL;
  if (dwd) {
    memset(partial, 0, (size_t)depthwise_size(g) * sizeof(float));
  }
  if (dwp) {
    memset(partial + depthwise_size(g), 0, (size_t)g->c * (size_t)g->k * sizeof(float));
  }
}

// ---- one image of one row ----

// dx = depthwiseᵀ(dt) where relu(x̂) is positive, else 0; or adds that to dx.
static void ESP_NAME(backward_depthwise)(const fused_shape *g, const float *wd, const float *source, const float *dt,
                                         float *dx, int64_t dx_stride, bool add) {
  const conv_shape shape = fused_depthwise_shape(g);
  for (int phase = 0; phase < g->stride * g->stride; phase++) {
    const int phase_h = phase / g->stride, phase_w = phase % g->stride;
    if (phase_h >= g->h || phase_w >= g->w) continue;
    const conv_plane plane = conv_backward_plane(&shape, g->c, dx_stride, phase_h, phase_w);
    if (plane.rows.taps * plane.columns.taps == 0) {
      if (!add) conv_zero_image(&plane, g->c, dx, 0, plane.rows.out);
      continue;
    }
    const depthwise_block block = {
      .x = dt, .w = wd, .y = dx, .mask = source, .mask_stride = g->c, .mask_row = (int64_t)g->w * g->c,
      .row_begin = 0, .row_end = plane.rows.out, .accumulate = add,
    };
    depthwise_image(&plane, g->c, g->s, &block, DEPTHWISE_MASKED);
  }
}

// Given relu(x̂); t and dy are scratch. dt takes the place of t, which is no longer needed then. `add`: to dx.
static void ESP_NAME(backward_image)(const fused_job *job, int32_t row, int32_t image, int32_t group,
                                     const float *source, const float *prepared, float *t, float *dy, bool add) {
  const fused_shape *g = fused_shape_of(job, row);
  const esp_operand *o = fused_operands(job, row);
  const float *wd = fused_operand(job, row, FUSED_DEPTHWISE), *y = fused_operand(job, row, FUSED_Y);
  const bool dwd = fused_operand(job, row, FUSED_DEPTHWISE_GRADIENT);
  float *dx = fused_operand(job, row, FUSED_DX);
  const int pixels = g->oh * g->ow;
  const int64_t dz_stride = o[FUSED_DZ].stride, dx_stride = o[FUSED_DX].stride;
  const float *upstream = fused_operand(job, row, FUSED_DZ) + image * pixels * dz_stride;
  int64_t upstream_stride = dz_stride;
  if (y) {
    const float *centre = prepared + fused_rounded((int64_t)g->c * g->k);
    const int64_t step = fused_rounded(g->k);
    ESP_NAME(backward_pixels)(y + image * pixels * (int64_t)o[FUSED_Y].stride, o[FUSED_Y].stride, upstream, dz_stride,
                              dy, g->k, pixels, g->k, centre, centre + step, centre + 2 * step, centre + 3 * step);
    upstream = dy;
    upstream_stride = g->k;
  }
  const bool dwp = fused_operand(job, row, FUSED_POINTWISE_GRADIENT);
  float *partial = dwd || dwp ? fused_operand(job, row, FUSED_PARTIALS) + group * partial_size(g) : NULL;
  if (dwp) {
    if (wd) ESP_NAME(fused_depthwise)(job, row, source, t);
    const pointwise p = {
      .x = wd ? t : source, .w = upstream, .y = partial + depthwise_size(g),
      .x_stride = g->c, .w_row = g->k, .c = g->c, .k = g->k,
    };
    pointwise_weight_image(&p, upstream_stride, pixels, PRODUCT_COLUMNS);
  }
  if (!dwd && !dx) return;
  if (dx) dx += (int64_t)image * g->h * g->w * dx_stride;
  const pointwise p = {
    .x = upstream, .w = prepared, .y = wd ? t : dx, .mask = source, .x_stride = upstream_stride, .w_row = g->c,
    .y_stride = wd ? g->c : dx_stride, .mask_stride = g->c, .c = g->k, .k = g->c,
    .accumulate = !wd && add,
  };
  if (!wd) {
    pointwise_image(&p, pixels, PRODUCT_ROWS_MASKED);
    return;
  }
  pointwise_image(&p, pixels, PRODUCT_ROWS);
  if (dwd) {
    const conv_shape shape = fused_depthwise_shape(g);
    const conv_plane plane = conv_forward_plane(&shape, g->c, g->c);
    for (int first = 0; first < g->c; first += ESP_VECTOR) {
      depthwise_weight_image(&plane, g->c, first, source, t, partial, false);
    }
  }
  if (dx) ESP_NAME(backward_depthwise)(g, wd, source, t, dx, dx_stride, add);
}

// Σ dx and Σ dx·x̂ of one image: where dx is not zero, x̂ is relu(x̂).
static void ESP_NAME(backward_input_sums)(const fused_job *job, int32_t row, int32_t image, const float *source) {
  const fused_shape *g = fused_shape_of(job, row);
  const esp_operand *o = fused_operands(job, row);
  const int64_t pixels = (int64_t)g->h * g->w, stride = o[FUSED_DX].stride;
  double *partials = (double *)job->base[FUSED_INPUT_PARTIALS] + o[FUSED_INPUT_PARTIALS].offset;
  ESP_NAME(channel_sums)(source, g->c, fused_operand(job, row, FUSED_DX) + image * pixels * stride, stride, pixels,
                         g->c, NULL, partials + 2 * (int64_t)image * g->c);
}

// ---- tasks ----

static void ESP_NAME(backward_task)(void *context, int32_t index) {
  const fused_job *job = context;
  const fused_task task = fused_task_of(job, index);
  const int64_t source_size = fused_source_size(fused_shape_of(job, task.row));
  int64_t t_size = 0, dy_size = 0, prepared_sizes = 0;
  for (int32_t row = task.row; row < task.end; row++) {
    const fused_shape *g = fused_shape_of(job, row);
    const int64_t pixels = (int64_t)g->oh * g->ow;
    if (pixels * g->c > t_size) t_size = fused_rounded(pixels * g->c);
    if (pixels * g->k > dy_size) dy_size = fused_rounded(pixels * g->k);
    prepared_sizes += prepared_size(g);
  }
  float *source = esp_thread_scratch((size_t)(source_size + t_size + dy_size + prepared_sizes) * sizeof(float));
  float *t = source + source_size, *dy = t + t_size, *prepared = dy + dy_size;
  ESP_NAME(fused_prepare_source)(job, task.row, source);
  for (int32_t row = task.row; row < task.end; prepared += prepared_size(fused_shape_of(job, row++))) {
    ESP_NAME(prepare_row)(job, row, task.group, prepared);
  }
  for (int32_t image = task.image; image < task.image_end; image++) {
    ESP_NAME(fused_source_image)(job, task.row, image, source);
    prepared = dy + dy_size;
    for (int32_t row = task.row; row < task.end; prepared += prepared_size(fused_shape_of(job, row++))) {
      ESP_NAME(backward_image)(job, row, image, task.group, source, prepared, t, dy, fused_adds(job, row));
      if (fused_operand(job, row, FUSED_INPUT_SUMS)) ESP_NAME(backward_input_sums)(job, row, image, source);
    }
  }
}

static esp_work ESP_NAME(sum_measure)(const void *row) {
  const esp_relu_depthwise_pointwise_backward_row *r = row;
  const int64_t size = partial_size((const fused_shape *)&r->n);
  return (esp_work){(size + SUM_BLOCK - 1) / SUM_BLOCK, 50.0 * weight_groups(r->n)};
}
static void ESP_NAME(sum_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_relu_depthwise_pointwise_backward_row *r = row;
  const fused_shape *g = (const fused_shape *)&r->n;
  const int64_t size = partial_size(g);
  int64_t start = 0, end = depthwise_size(g);
  for (int k = FUSED_DEPTHWISE_GRADIENT; k <= FUSED_POINTWISE_GRADIENT; k++, start = end, end = size) {
    const esp_operand *o = r->operand + k;
    const int64_t first = from * SUM_BLOCK, last = to * SUM_BLOCK;
    const int64_t begin = first > start ? first : start, stop = last < end ? last : end;
    if (o->flags & ESP_ABSENT || begin >= stop) continue;
    weight_sum((const float *)base[FUSED_PARTIALS] + r->operand[FUSED_PARTIALS].offset + begin, size,
               weight_groups(g->n), (float *)base[k] + o->offset + (begin - start), stop - begin);
  }
}

// A unit of merging input sums: 16 channels.
static esp_work ESP_NAME(input_sums_measure)(const void *row) {
  const esp_relu_depthwise_pointwise_backward_row *r = row;
  return (esp_work){r->operand[FUSED_INPUT_SUMS].flags & ESP_ABSENT ? 0 : (r->c + 15) / 16, 10.0 * r->n + 10};
}
static void ESP_NAME(input_sums_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_relu_depthwise_pointwise_backward_row *r = row;
  const esp_operand *o = r->operand;
  float *sums = (float *)base[FUSED_INPUT_SUMS] + o[FUSED_INPUT_SUMS].offset;
  const double *partials = (const double *)base[FUSED_INPUT_PARTIALS] + o[FUSED_INPUT_PARTIALS].offset;
  for (int64_t c = from * 16; c < to * 16 && c < r->c; c += 16) {
    double s[16], q[16];
    const int64_t n = ESP_NAME(merge_sums)(partials, r->n, r->c, c, s, q);
    for (int64_t j = 0; j < n; j++) {
      sums[c + j] = (float)s[j];
      sums[r->c + c + j] = (float)q[j];
    }
  }
}

void ESP_NAME(esp_relu_depthwise_pointwise_backward_f32)(void *const *base, const void *rows, int32_t count) {
  fused_job job = {
    .base = base, .rows = rows, .count = count, .operands = 17, .scalars = 2, .most_groups = ESP_WEIGHT_GROUPS,
    .summed = FUSED_DX,
  };
  const int32_t tasks = fused_divide(&job);
  esp_parallel(tasks, ESP_NAME(backward_task), &job);
  esp_split(base, rows, sizeof(esp_relu_depthwise_pointwise_backward_row), count, ESP_NAME(sum_measure),
            ESP_NAME(sum_body));
  esp_split(base, rows, sizeof(esp_relu_depthwise_pointwise_backward_row), count, ESP_NAME(input_sums_measure),
            ESP_NAME(input_sums_body));
}
#endif
