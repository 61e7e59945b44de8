// What the fused kernels of relu, depthwise and pointwise convolution share, forward and backward.
//
// Rows that follow one another and read the same x with the same input moments have one source: a task makes relu(x̂)
// of an image once for all of them. A task is some consecutive images of a source, or of one row where there would be
// too few tasks; no result depends on which.
#ifndef ESP_RELU_DEPTHWISE_POINTWISE_COMMON
#define ESP_RELU_DEPTHWISE_POINTWISE_COMMON
#include "../include/CKernels.h"
#include "conv2d_shape.h"

// Both row types are operands, scalars, and these fields.
typedef struct {
  esp_i32 n, h, w, c, k, r, s, oh, ow, stride, pad, dilation;
} fused_shape;
_Static_assert(sizeof(esp_relu_depthwise_pointwise_row) ==
                 9 * sizeof(esp_operand) + sizeof(float) + sizeof(fused_shape), "the fields of fused_shape");
_Static_assert(sizeof(esp_relu_depthwise_pointwise_backward_row) ==
                 15 * sizeof(esp_operand) + 2 * sizeof(float) + sizeof(fused_shape), "here too");

// The operands that both row types begin with.
enum {
  FUSED_X, FUSED_INPUT_MEAN, FUSED_INPUT_VARIANCE, FUSED_DEPTHWISE, FUSED_POINTWISE, FUSED_Y, FUSED_MEAN,
  FUSED_VARIANCE,
};

typedef struct {
  void *const *base;
  const char *rows;
  int32_t count, operands, scalars;
  int32_t most_groups;  // groups of images of a source, at most
  int32_t summed;       // the operand that rows of a source may add up in; 0: none
  bool apart;           // a task has one row
} fused_job;

static inline const char *fused_row(const fused_job *job, int32_t row) {
  const size_t scalars = (size_t)job->scalars * sizeof(float);
  return job->rows + (size_t)row * ((size_t)job->operands * sizeof(esp_operand) + scalars + sizeof(fused_shape));
}
static inline const esp_operand *fused_operands(const fused_job *job, int32_t row) {
  return (const esp_operand *)fused_row(job, row);
}
static inline const float *fused_scalars(const fused_job *job, int32_t row) {
  return (const float *)(fused_operands(job, row) + job->operands);
}
static inline const fused_shape *fused_shape_of(const fused_job *job, int32_t row) {
  return (const fused_shape *)(fused_scalars(job, row) + job->scalars);
}
// The first element of an operand; NULL if it is absent.
static inline float *fused_operand(const fused_job *job, int32_t row, int operand) {
  const esp_operand *o = fused_operands(job, row) + operand;
  return o->flags & ESP_ABSENT ? NULL : (float *)job->base[operand] + o->offset;
}

// The row adds to what the row before it left.
static inline bool fused_adds(const fused_job *job, int32_t row) {
  return job->summed && fused_operands(job, row)[job->summed].flags & ESP_ACCUMULATE;
}

static inline conv_shape fused_depthwise_shape(const fused_shape *g) {
  return (conv_shape){
    g->n, g->h, g->w, g->c, g->c, g->r, g->s, g->oh, g->ow,
    g->stride, g->stride, g->pad, g->pad, g->dilation, g->dilation, g->c,
  };
}

// ---- tasks ----

// One after the last row that a task which starts at this row has.
static inline int32_t fused_source_end(const fused_job *job, int32_t row) {
  const fused_shape *g = fused_shape_of(job, row);
  int32_t end = row + 1;
  for (; end < job->count; end++) {
    if (fused_adds(job, end)) continue;
    if (job->apart) break;
    const size_t source = (FUSED_INPUT_VARIANCE + 1) * sizeof(esp_operand), sizes = 4 * sizeof(esp_i32);
    if (memcmp(fused_operands(job, row), fused_operands(job, end), source) != 0 ||
        memcmp(g, fused_shape_of(job, end), sizes) != 0 || *fused_scalars(job, row) != *fused_scalars(job, end)) {
      break;
    }
  }
  return end;
}

static inline int32_t fused_groups(const fused_job *job, int32_t row) {
  const int32_t n = fused_shape_of(job, row)->n;
  return n < job->most_groups ? n : job->most_groups;
}

static inline int32_t fused_count_tasks(const fused_job *job) {
  int32_t tasks = 0;
  for (int32_t row = 0; row < job->count; row = fused_source_end(job, row)) tasks += fused_groups(job, row);
  return tasks;
}
// Chooses the tasks and returns their number.
static inline int32_t fused_divide(fused_job *job) {
  const int32_t tasks = fused_count_tasks(job);
  job->apart = tasks < 4 * esp_threads();
  return job->apart ? fused_count_tasks(job) : tasks;
}

typedef struct {
  int32_t row, end, group, image, image_end;  // rows [row, end), images [image, image_end)
} fused_task;

static inline fused_task fused_task_of(const fused_job *job, int32_t index) {
  int32_t row = 0;
  for (int32_t groups; index >= (groups = fused_groups(job, row)); index -= groups) row = fused_source_end(job, row);
  const int32_t n = fused_shape_of(job, row)->n, groups = fused_groups(job, row);
  return (fused_task){
    row, fused_source_end(job, row), index, weight_group_start(n, groups, index),
    weight_group_start(n, groups, index + 1),
  };
}

// ---- scratch: relu(x̂) of an image and the coefficients of its normalisation come first ----

static inline int64_t fused_rounded(int64_t floats) { return (floats + 15) / 16 * 16; }
static inline int64_t fused_image_size(const fused_shape *g) { return fused_rounded((int64_t)g->h * g->w * g->c); }
static inline int64_t fused_source_size(const fused_shape *g) {
  return fused_image_size(g) + 3 * fused_rounded(g->c);
}
#endif

#ifdef ESP_ISA
// The coefficients of the normalisation of a row's source, if it has moments.
static inline void ESP_NAME(fused_prepare_source)(const fused_job *job, int32_t row, float *scratch) {
  const fused_shape *g = fused_shape_of(job, row);
  const float *mean = fused_operand(job, row, FUSED_INPUT_MEAN);
  const int64_t step = fused_rounded(g->c);
  float *centre = scratch + fused_image_size(g);
  if (!mean) return;
  ESP_NAME(normalize_coefficients)(mean, fused_operand(job, row, FUSED_INPUT_VARIANCE), NULL,
                                   *fused_scalars(job, row), g->c, centre, centre + step);
  memset(centre + 2 * step, 0, (size_t)g->c * sizeof(float));
}

// relu(x̂) of one image into scratch, dense.
static inline void ESP_NAME(fused_source_image)(const fused_job *job, int32_t row, int32_t image, float *scratch) {
  const fused_shape *g = fused_shape_of(job, row);
  const int64_t stride = fused_operands(job, row)[FUSED_X].stride, pixels = (int64_t)g->h * g->w;
  const int64_t step = fused_rounded(g->c);
  const float *x = fused_operand(job, row, FUSED_X) + image * pixels * stride;
  const float *centre = scratch + fused_image_size(g);
  if (fused_operand(job, row, FUSED_INPUT_MEAN)) {
    ESP_NAME(normalize_pixels)(x, stride, scratch, g->c, pixels, g->c, centre, centre + step, centre + 2 * step, true);
  } else if (stride == g->c) {
    ESP_NAME(relu_pixels)(x, 0, scratch, 0, 1, pixels * g->c);
  } else {
    ESP_NAME(relu_pixels)(x, stride, scratch, g->c, pixels, g->c);
  }
}

// t = depthwise(relu(x̂)) of one image, dense.
static inline void ESP_NAME(fused_depthwise)(const fused_job *job, int32_t row, const float *image, float *t) {
  const fused_shape *g = fused_shape_of(job, row);
  const conv_shape shape = fused_depthwise_shape(g);
  const conv_plane plane = conv_forward_plane(&shape, g->c, g->c);
  const depthwise_block block = {
    .x = image, .w = fused_operand(job, row, FUSED_DEPTHWISE), .y = t, .row_begin = 0, .row_end = g->oh,
  };
  depthwise_image(&plane, g->c, g->s, &block, DEPTHWISE_PLAIN);
}
#endif
