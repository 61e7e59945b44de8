// A node of a cell: the weighted sum of what its batch norms make of the candidates' results, in one pass over those
// results; and the sums that its backward needs of each of them.
//
// Rows that follow one another are terms of one sum. A task is some pixels of one sum: eight of them, sixteen channels
// wide, stay in registers while the terms are added in order, so no result depends on how the pixels are divided.
#ifndef ESP_ISA
#include "../include/CKernels.h"

enum { TERM_X, TERM_MEAN, TERM_VARIANCE, TERM_WEIGHTS, TERM_Y };
enum { SUMS_X, SUMS_MEAN, SUMS_VARIANCE, SUMS_DY, SUMS_WEIGHTS, SUMS_SUMS, SUMS_SCALE, SUMS_DWEIGHTS, SUMS_WORKSPACE };

typedef struct {
  void *const *base;
  const void *rows;
  int32_t count;
} combine_job;

// The first element of an operand; NULL if it is absent.
static inline float *combine_operand(const combine_job *job, const esp_operand *operands, int operand) {
  const esp_operand *o = operands + operand;
  return o->flags & ESP_ABSENT ? NULL : (float *)job->base[operand] + o->offset;
}
static inline float combine_weight(const float *weights, int32_t index) { return weights ? weights[index] : 1; }

// ---- a call's sums and their tasks ----

static inline const esp_combine_normalized_row *combine_term(const combine_job *job, int32_t row) {
  return (const esp_combine_normalized_row *)job->rows + row;
}
static inline int32_t combine_sum_end(const combine_job *job, int32_t row) {
  do row++;
  while (row < job->count && combine_term(job, row)->operand[TERM_Y].flags & ESP_ACCUMULATE);
  return row;
}
// Tasks that a sum is cut into: some ten microseconds each, at most some eight a thread.
static inline int32_t combine_tasks(const combine_job *job, int32_t row, int32_t end) {
  const esp_combine_normalized_row *r = combine_term(job, row);
  const double nanoseconds = 0.08 * (end - row + 1) * (double)r->pixels * r->channels;
  const int32_t most = 8 * esp_threads(), wanted = (int32_t)(nanoseconds / 10e3) + 1;
  return wanted < most ? wanted : most;
}

#define ESP_SELF "combine_normalized.c"
#include "dispatch.h"
ESP_DISPATCH(esp_combine_normalized_f32)
ESP_DISPATCH(esp_combine_sums_f32)
#else
#include "batch_norm.h"
#include "split.h"

// ---- the sum ----

// Centre and scale of a term's channels; `padded` of them, zeros behind the last.
static void ESP_NAME(combine_coefficients)(const combine_job *job, const esp_combine_normalized_row *r, int64_t padded,
                                           float *centre, float *scale) {
  const float *mean = combine_operand(job, r->operand, TERM_MEAN);
  const float weight = combine_weight(combine_operand(job, r->operand, TERM_WEIGHTS), r->index);
  if (mean) {
    ESP_NAME(normalize_coefficients)(mean, combine_operand(job, r->operand, TERM_VARIANCE), NULL, r->scalar[0],
                                     r->channels, centre, scale);
  }
  for (int32_t c = 0; c < r->channels; c++) {
    if (!mean) {
      centre[c] = 0;
      scale[c] = 1;
    }
    scale[c] *= weight;
  }
  for (int64_t c = r->channels; c < padded; c++) centre[c] = scale[c] = 0;
}

// `pixels` (at most 8) pixels of n ≤ LANES channels of a sum of `count` terms; coefficients lie `padded` apart.
ESP_LANES_INLINE void ESP_NAME(combine_block)(const float *const *x, const int64_t *stride, int32_t count,
                                              const float *coefficients, int64_t padded, float *y, int64_t stride_y,
                                              int64_t at, const int pixels, int64_t n, bool add) {
  lanes sum[8];
#pragma clang loop unroll(full)
  for (int p = 0; p < pixels; p++) {
    sum[p] = add ? lanes_load_part(y + (at + p) * stride_y, n) : lanes_splat(0);
  }
  for (int32_t k = 0; k < count; k++, coefficients += 2 * padded) {
    const lanes centre = lanes_load(coefficients), scale = lanes_load(coefficients + padded);
    const float *from = x[k] + at * stride[k];
#pragma clang loop unroll(full)
    for (int p = 0; p < pixels; p++) {
      sum[p] = lanes_fma(lanes_load_part(from + p * stride[k], n) - centre, scale, sum[p]);
    }
  }
#pragma clang loop unroll(full)
  for (int p = 0; p < pixels; p++) lanes_store_part(y + (at + p) * stride_y, sum[p], n);
}

static void ESP_NAME(combine_task)(void *context, int32_t index) {
  const combine_job *job = context;
  int32_t row = 0, end = combine_sum_end(job, 0), tasks;
  while (index >= (tasks = combine_tasks(job, row, end))) {
    index -= tasks;
    row = end;
    end = combine_sum_end(job, row);
  }
  const esp_combine_normalized_row *first = combine_term(job, row);
  int32_t terms = end - row;
  const int64_t channels = first->channels, padded = (channels + 15) / 16 * 16;
  const int64_t from = (int64_t)first->pixels * index / tasks, to = (int64_t)first->pixels * (index + 1) / tasks;
  // Scratch: pointers and strides of the terms, then centre and scale of each.
  const size_t addresses = (size_t)terms * (sizeof(float *) + sizeof(int64_t));
  char *scratch = (char *)esp_thread_scratch((addresses + 63) / 64 * 64 + (size_t)(2 * terms) * padded * sizeof(float));
  const float **x = (const float **)scratch;
  int64_t *stride = (int64_t *)(x + terms);
  float *coefficients = (float *)(scratch + (addresses + 63) / 64 * 64);
  terms = 0;
  for (; row < end; row++) {
    const esp_combine_normalized_row *r = combine_term(job, row);
    const esp_operand *o = &r->operand[TERM_X];
    // What a batch norm makes of an absent tensor need not be zero.
    if (o->flags & ESP_ABSENT && r->operand[TERM_MEAN].flags & ESP_ABSENT) continue;
    x[terms] = (const float *)job->base[TERM_X] + o->offset;
    stride[terms] = o->stride;
    ESP_NAME(combine_coefficients)(job, r, padded, coefficients + 2 * terms * padded,
                                   coefficients + (2 * terms + 1) * padded);
    terms++;
  }
  const bool add = first->operand[TERM_Y].flags & ESP_ACCUMULATE;
  float *y = combine_operand(job, first->operand, TERM_Y);
  const int64_t stride_y = first->operand[TERM_Y].stride;
  for (int64_t c = 0; c < channels; c += LANES, y += LANES, coefficients += LANES) {
    const int64_t n = channels - c < LANES ? channels - c : LANES;
    int64_t p = from;
    for (; p + 8 <= to; p += 8) {
      if (n == LANES) {
        ESP_NAME(combine_block)(x, stride, terms, coefficients, padded, y, stride_y, p, 8, LANES, add);
      } else {
        ESP_NAME(combine_block)(x, stride, terms, coefficients, padded, y, stride_y, p, 8, n, add);
      }
    }
    for (; p < to; p++) {
      ESP_NAME(combine_block)(x, stride, terms, coefficients, padded, y, stride_y, p, 1, n, add);
    }
    for (int32_t k = 0; k < terms; k++) x[k] += LANES;
  }
}

void ESP_NAME(esp_combine_normalized_f32)(void *const *base, const void *rows, int32_t count) {
  combine_job job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t row = 0, end; row < count; row = end) {
    end = combine_sum_end(&job, row);
    tasks += combine_tasks(&job, row, end);
  }
  esp_parallel(tasks, ESP_NAME(combine_task), &job);
}

// ---- the sums of its backward ----

static esp_work ESP_NAME(combine_sums_measure)(const void *row) {
  const esp_combine_sums_row *r = row;
  return (esp_work){r->images, 0.12 * (double)r->pixels * r->channels + 20};
}
static void ESP_NAME(combine_sums_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const combine_job job = {base, row, 1};
  const esp_combine_sums_row *r = row;
  const esp_operand *o = r->operand;
  const int64_t stride_x = o[SUMS_X].stride, stride_dy = o[SUMS_DY].stride, channels = r->channels;
  const float *mean = combine_operand(&job, o, SUMS_MEAN);
  for (int64_t image = from; image < to; image++) {
    const float *x = combine_operand(&job, o, SUMS_X) + image * r->pixels * stride_x;
    const float *dy = combine_operand(&job, o, SUMS_DY) + image * r->pixels * stride_dy;
    double *partial = (double *)base[SUMS_WORKSPACE] + o[SUMS_WORKSPACE].offset + 2 * image * channels;
    ESP_NAME(channel_sums)(x, stride_x, dy, stride_dy, r->pixels, channels, mean, partial);
  }
}

// Merges a row's images in order; leaves Σ dy·x̂ over all channels in its workspace's first element.
static esp_work ESP_NAME(combine_sums_merge_measure)(const void *row) {
  const esp_combine_sums_row *r = row;
  return (esp_work){1, 1.5 * (double)r->images * r->channels + 10};
}
static void ESP_NAME(combine_sums_merge)(void *const *base, const void *row, int64_t from, int64_t to) {
  (void)from, (void)to;
  const combine_job job = {base, row, 1};
  const esp_combine_sums_row *r = row;
  const esp_operand *o = r->operand;
  const int64_t channels = r->channels;
  const float *variance = combine_operand(&job, o, SUMS_VARIANCE);
  float *sums = combine_operand(&job, o, SUMS_SUMS), *scale = combine_operand(&job, o, SUMS_SCALE);
  double *partial = (double *)base[SUMS_WORKSPACE] + o[SUMS_WORKSPACE].offset, total = 0;
  const float weight = combine_weight(combine_operand(&job, o, SUMS_WEIGHTS), r->index);
  for (int64_t c = 0; c < channels; c += 16) {
    double s[16], q[16];
    const int64_t n = ESP_NAME(merge_sums)(partial, r->images, channels, c, s, q);
    for (int64_t j = 0; j < n; j++) {
      if (variance) q[j] /= sqrt((double)variance[c + j] + r->scalar[0]);
      total += q[j];
      if (sums) {
        sums[c + j] = (float)s[j];
        sums[channels + c + j] = (float)q[j];
        scale[c + j] = weight;
      }
    }
  }
  *partial = total;
}

void ESP_NAME(esp_combine_sums_f32)(void *const *base, const void *rows, int32_t count) {
  const combine_job job = {base, rows, count};
  const size_t size = sizeof(esp_combine_sums_row);
  esp_split(base, rows, size, count, ESP_NAME(combine_sums_measure), ESP_NAME(combine_sums_body));
  esp_split(base, rows, size, count, ESP_NAME(combine_sums_merge_measure), ESP_NAME(combine_sums_merge));
  // A few numbers a row, in order: terms may share a weight.
  for (int32_t row = 0; row < count; row++) {
    const esp_combine_sums_row *r = (const esp_combine_sums_row *)rows + row;
    const esp_operand *o = r->operand;
    float *weights = combine_operand(&job, o, SUMS_DWEIGHTS);
    if (!weights) continue;
    if (!(o[SUMS_DWEIGHTS].flags & ESP_ACCUMULATE)) memset(weights, 0, (size_t)r->weights * sizeof(float));
    weights[r->index] += (float)*((const double *)base[SUMS_WORKSPACE] + o[SUMS_WORKSPACE].offset);
  }
}
#endif
