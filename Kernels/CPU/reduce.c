// Sum, mean, maximum, arg max and variance over up to four dimensions, keeping up to four.
//
// A unit is LANES neighbouring results where kept elements are contiguous and reduced ones are not (means over the
// pixels of channels-last images), else one result. Where there are few results, the reduced range is cut into parts
// whose number depends on the shape only; parts are merged in order, in double. Inside a part float sums are restarted
// every few thousand elements.
#ifndef ESP_ISA
#define ESP_SELF "reduce.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_reduce_f32)
#else
#include "lanes.h"
#include "split.h"

#ifndef ESP_REDUCE_COMMON
#define ESP_REDUCE_COMMON

// Dimensions with neighbours merged where they are contiguous, innermost last.
typedef struct {
  int64_t size[4], stride[4], total;
} esp_axes;
static inline esp_axes esp_axes_make(const esp_i32 *size, const esp_i32 *stride) {
  esp_axes a = {{1, 1, 1, 1}, {0, 0, 0, 0}, 1};
  int to = 4;
  for (int d = 3; d >= 0; d--) {
    a.total *= size[d];
    if (size[d] == 1) continue;
    if (to < 4 && stride[d] == a.stride[to] * a.size[to]) {
      a.size[to] *= size[d];
    } else {
      to--;
      a.size[to] = size[d];
      a.stride[to] = stride[d];
    }
  }
  return a;
}
static inline int64_t esp_axes_offset(const esp_axes *a, int64_t index) {
  int64_t offset = 0;
  for (int d = 3; d >= 0; d--) {
    offset += index % a->size[d] * a->stride[d];
    index /= a->size[d];
  }
  return offset;
}

// What a part of the reduced range comes to. Sum: value. Maximum: value, index. Variance: mean, and M2 in `second`.
typedef struct {
  double value, second;
  int64_t index, count;
} esp_partial;

static inline void esp_partial_merge(int kind, esp_partial *a, const esp_partial *b) {
  if (a->count == 0) {
    *a = *b;
    return;
  }
  switch (kind) {
    case ESP_SUM: case ESP_MEAN: a->value += b->value; break;
    case ESP_MAX: case ESP_ARGMAX:
      if (b->value > a->value || (b->value != b->value && a->value == a->value)) {
        a->value = b->value;
        a->index = b->index;
      }
      break;
    case ESP_VARIANCE: {
      double total = (double)(a->count + b->count), delta = b->value - a->value;
      a->value += delta * ((double)b->count / total);
      a->second += b->second + delta * delta * ((double)a->count * (double)b->count / total);
    }
  }
  a->count += b->count;
}

#define ESP_REDUCE_PARTIALS 512  // on the stack of the caller, when a range is cut into parts
typedef struct {
  esp_axes kept, reduced;
  bool columns;  // a unit is LANES neighbouring results
  int64_t width, groups, units, parts;
} esp_reduce_plan;
static inline esp_reduce_plan esp_reduce_plan_make(const esp_reduce_row *r, int64_t width) {
  esp_reduce_plan p = {.kept = esp_axes_make(r->kept, r->kept_stride)};
  p.reduced = esp_axes_make(r->reduced, r->reduced_stride);
  p.parts = p.width = 1;
  if (p.kept.total == 0) return p;
  p.columns = p.kept.stride[3] == 1 && p.kept.size[3] > 1 && p.reduced.stride[3] != 1;
  p.width = p.columns ? width : 1;
  p.groups = (p.kept.size[3] + p.width - 1) / p.width;
  p.units = p.kept.size[0] * p.kept.size[1] * p.kept.size[2] * p.groups;
  // At least 8,192 elements a part, whatever the lanes: float and double cut alike, and so do all instruction sets.
  int64_t wide = p.columns ? 16 : 1, room = ESP_REDUCE_PARTIALS / ((p.kept.total + wide - 1) / wide * wide);
  int64_t parts = p.reduced.total * wide / 8192;
  if (parts > 64) parts = 64;
  if (parts > room) parts = room;
  p.parts = p.kept.total <= 64 && parts > 1 ? parts : 1;
  return p;
}
#endif

#define plan_of ESP_NAME(reduce_plan_of)
#define replaces ESP_NAME(reduce_replaces)
#define run_sum ESP_NAME(reduce_run_sum)
#define run_squares ESP_NAME(reduce_run_squares)
#define run_maximum ESP_NAME(reduce_run_maximum)
#define reduce_one ESP_NAME(reduce_one)
#define reduce_columns ESP_NAME(reduce_columns)
#define finish ESP_NAME(reduce_finish)
#define unit_partials ESP_NAME(reduce_unit_partials)
#define measure ESP_NAME(reduce_measure)
#define body ESP_NAME(reduce_body)

// ---- one result: runs along the innermost reduced dimension ----

#define BLOCK 4096

static double run_sum(const real *x, int64_t stride, int64_t n) {
  double sum = 0;
  if (stride != 1 || n < LANES) {
    for (int64_t i = 0; i < n; i++) sum += x[i * stride];
    return sum;
  }
  for (int64_t first = 0; first < n; first += BLOCK) {
    int64_t end = n - first < BLOCK ? n : first + BLOCK, i = first;
    lanes a = lanes_splat(0), b = a, c = a, d = a;
    for (; i + 4 * LANES <= end; i += 4 * LANES) {
      a += lanes_load(x + i);
      b += lanes_load(x + i + LANES);
      c += lanes_load(x + i + 2 * LANES);
      d += lanes_load(x + i + 3 * LANES);
    }
    for (; i < end; i += LANES) a += lanes_load_part(x + i, end - i);
    sum += lanes_sum((a + b) + (c + d));
  }
  return sum;
}

// Σ (x − centre)² and Σ (x − centre), the latter because the centre is a rounded mean.
static void run_squares(const real *x, int64_t stride, int64_t n, real centre, double *squares, double *rest) {
  if (stride != 1 || n < LANES) {
    for (int64_t i = 0; i < n; i++) {
      double d = (double)x[i * stride] - centre;
      *squares += d * d;
      *rest += d;
    }
    return;
  }
  for (int64_t first = 0; first < n; first += BLOCK) {
    int64_t end = n - first < BLOCK ? n : first + BLOCK, i = first;
    lanes a = lanes_splat(0), b = a, p = a, q = a;
    for (; i + 2 * LANES <= end; i += 2 * LANES) {
      lanes u = lanes_load(x + i) - centre, v = lanes_load(x + i + LANES) - centre;
      a += u;
      b += v;
      p = lanes_fma(u, u, p);
      q = lanes_fma(v, v, q);
    }
    *squares += lanes_sum(p + q);
    *rest += lanes_sum(a + b);
    for (; i < end; i++) {
      double d = (double)x[i] - centre;
      *squares += d * d;
      *rest += d;
    }
  }
}

ESP_LANES_INLINE lane_mask replaces(lanes v, lanes best) { return (v > best) | ((v != v) & (best == best)); }

static real run_maximum(const real *x, int64_t stride, int64_t n) {
  real best = x[0];
  int64_t i = 0;
  if (stride == 1 && n >= LANES) {
    lanes top = lanes_load(x), next = top;
    for (i = LANES; i + 2 * LANES <= n; i += 2 * LANES) {
      lanes u = lanes_load(x + i), v = lanes_load(x + i + LANES);
      top = lanes_select((u > top) | (u != u), u, top);
      next = lanes_select((v > next) | (v != v), v, next);
    }
    top = lanes_select((next > top) | (next != next), next, top);
    real each[LANES];
    lanes_store(each, top);
    best = each[0];
    for (int j = 1; j < LANES; j++) best = each[j] > best || each[j] != each[j] ? each[j] : best;
  }
  for (; i < n && best == best; i++) {
    real v = x[i * stride];
    if (v > best || v != v) best = v;
  }
  return best;
}

// Elements from … to − 1 of the reduced range.
static esp_partial reduce_one(int kind, const real *x, const esp_axes *reduced, int64_t from, int64_t to) {
  esp_partial p = {0, 0, from, to - from};
  int64_t length = reduced->size[3], stride = reduced->stride[3], n;
  bool first = true;
  double rest = 0;
  real centre = 0;
  for (int pass = 0; pass < (kind == ESP_VARIANCE ? 2 : 1); pass++) {
    for (int64_t i = from; i < to; i += n) {
      n = length - i % length < to - i ? length - i % length : to - i;
      const real *run = x + esp_axes_offset(reduced, i);
      if (kind == ESP_MAX || kind == ESP_ARGMAX) {
        real top = run_maximum(run, stride, n);
        if (!first && !(top > p.value) && !(top != top && p.value == p.value)) continue;
        p.value = top;
        first = false;
        if (kind == ESP_MAX) continue;
        int64_t j = 0;
        while (j < n - 1 && !(run[j * stride] == top || run[j * stride] != run[j * stride])) j++;
        p.index = i + j;
      } else if (pass == 0) {
        p.value += run_sum(run, stride, n);
      } else {
        run_squares(run, stride, n, centre, &p.second, &rest);
      }
    }
    if (kind == ESP_VARIANCE && pass == 0) centre = (real)(p.value / (double)p.count);
  }
  if (kind == ESP_VARIANCE) {
    p.value = centre + rest / (double)p.count;
    p.second -= rest * rest / (double)p.count;
  }
  return p;
}

// ---- LANES neighbouring results: one vector a reduced element ----

#define RESTART 256  // vectors in a float sum

static void reduce_columns(int kind, const real *x, int64_t n, const esp_axes *reduced, int64_t from, int64_t to,
                           esp_partial *result) {
  int64_t length = reduced->size[3], stride = reduced->stride[3], run;
  double sum[LANES] = {0}, second[LANES] = {0};
  if (kind == ESP_MAX || kind == ESP_ARGMAX) {
    lanes best = lanes_load_part(x + esp_axes_offset(reduced, from), n);
    lane_mask winner = lanes_index((int32_t)from);
    for (int64_t i = from; i < to; i += run) {
      run = length - i % length < to - i ? length - i % length : to - i;
      const real *p = x + esp_axes_offset(reduced, i);
      for (int64_t j = 0; j < run; j++, p += stride) {
        lanes v = lanes_load_part(p, n);
        lane_mask wins = replaces(v, best);
        best = lanes_select(wins, v, best);
        winner = lanes_choose(wins, lanes_index((int32_t)(i + j)), winner);
      }
    }
    union { lanes whole; real lane[LANES]; } value = {best};
    union { lane_mask whole; int32_t lane[LANES]; } index = {winner};
    for (int64_t j = 0; j < n && j < LANES; j++) result[j] = (esp_partial){value.lane[j], 0, index.lane[j], to - from};
    return;
  }
  double shift[LANES] = {0};
  for (int pass = 0; pass < (kind == ESP_VARIANCE ? 2 : 1); pass++) {
    lanes centre = lanes_splat(0), a = centre, b = centre, q = centre;
    if (pass == 1) {
      real means[LANES];
      for (int j = 0; j < LANES; j++) {
        means[j] = (real)(sum[j] / (double)(to - from));
        shift[j] = means[j];
        sum[j] = 0;
      }
      centre = lanes_load(means);
    }
    int64_t since = 0;
    for (int64_t i = from; i < to; i += run) {
      run = length - i % length < to - i ? length - i % length : to - i;
      if (run > RESTART - since) run = RESTART - since;
      const real *p = x + esp_axes_offset(reduced, i);
      int64_t j = 0;
      if (pass == 0) {
        for (; j + 2 <= run; j += 2, p += 2 * stride) {
          a += lanes_load_part(p, n);
          b += lanes_load_part(p + stride, n);
        }
        if (j < run) a += lanes_load_part(p, n);
      } else {
        for (; j < run; j++, p += stride) {
          lanes d = lanes_load_part(p, n) - centre;
          a += d;
          q = lanes_fma(d, d, q);
        }
      }
      since += run;
      if (since == RESTART || i + run == to) {
        lanes_fold(sum, a + b);
        lanes_fold(second, q);
        a = b = q = lanes_splat(0);
        since = 0;
      }
    }
  }
  for (int64_t j = 0; j < n && j < LANES; j++) {
    double count = (double)(to - from);
    if (kind == ESP_VARIANCE) {  // the centre was rounded: see batch_norm.c
      result[j] = (esp_partial){shift[j] + sum[j] / count, second[j] - sum[j] * sum[j] / count, 0, to - from};
    } else {
      result[j] = (esp_partial){sum[j], 0, 0, to - from};
    }
  }
}

// ---- units ----

// The results of a unit over a part of the range; returns how many there are, and where the first lies in y.
static int64_t unit_partials(const esp_reduce_row *r, const esp_reduce_plan *p, const real *x, int64_t unit,
                             int64_t part, esp_partial *result, int64_t *at) {
  int64_t from = p->reduced.total * part / p->parts, to = p->reduced.total * (part + 1) / p->parts;
  int64_t c = unit % p->groups * p->width, n = p->kept.size[3] - c < p->width ? p->kept.size[3] - c : p->width;
  *at = unit / p->groups * p->kept.size[3] + c;
  x += esp_axes_offset(&p->kept, *at);
  if (p->columns) reduce_columns(r->kind, x, n, &p->reduced, from, to, result);
  else *result = reduce_one(r->kind, x, &p->reduced, from, to);
  return n;
}

static void finish(const esp_reduce_row *r, void *y, int64_t at, const esp_partial *p) {
  real *target = (real *)y + at;
  switch (r->kind) {
    case ESP_SUM: case ESP_MAX: *target = (real)p->value; break;
    case ESP_MEAN: *target = (real)(p->value / (double)p->count); break;
    case ESP_ARGMAX: ((int32_t *)y)[at] = (int32_t)p->index; break;
    case ESP_VARIANCE: {
      double divisor = (double)(p->count - r->correction);
      *target = (real)((p->second < 0 ? 0 : p->second) / (divisor > 0 ? divisor : 0));
    }
  }
}

static esp_work measure(const void *row) {
  esp_reduce_plan p = esp_reduce_plan_make(row, LANES);
  double element = p.columns ? 0.1 * (double)p.width : p.reduced.stride[3] == 1 ? 0.1 : 1;
  if (p.parts > 1) return (esp_work){0, 0};
  return (esp_work){p.units, (double)p.reduced.total * element + 20};
}

static void body(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_reduce_row *r = row;
  esp_reduce_plan p = esp_reduce_plan_make(r, LANES);
  const real *x = (const real *)base[0] + r->operand[0].offset;
  char *y = (char *)base[1] + (int64_t)r->operand[1].offset * (int64_t)(r->kind == ESP_ARGMAX ? 4 : sizeof(real));
  for (int64_t unit = from; unit < to; unit++) {
    esp_partial result[LANES];
    int64_t at, n = unit_partials(r, &p, x, unit, 0, result, &at);
    for (int64_t j = 0; j < n; j++) finish(r, y, at + j, result + j);
  }
}

// ---- few results of many elements: parts ----

typedef struct {
  const esp_reduce_row *row;
  const esp_reduce_plan *plan;
  const real *x;
  esp_partial *partials;  // [parts][results]
} ESP_NAME(reduce_parts);

static void ESP_NAME(reduce_part)(void *context, int32_t index) {
  const ESP_NAME(reduce_parts) *c = context;
  int64_t part = index / c->plan->units, at, n;
  esp_partial result[LANES];
  n = unit_partials(c->row, c->plan, c->x, index % c->plan->units, part, result, &at);
  memcpy(c->partials + part * c->plan->kept.total + at, result, (size_t)n * sizeof(esp_partial));
}

static void ESP_NAME(reduce_in_parts)(void *const *base, const esp_reduce_row *r, const esp_reduce_plan *p) {
  esp_partial partials[ESP_REDUCE_PARTIALS];
  ESP_NAME(reduce_parts) context = {r, p, (const real *)base[0] + r->operand[0].offset, partials};
  char *y = (char *)base[1] + (int64_t)r->operand[1].offset * (int64_t)(r->kind == ESP_ARGMAX ? 4 : sizeof(real));
  esp_parallel((int32_t)(p->units * p->parts), ESP_NAME(reduce_part), &context);
  for (int64_t at = 0; at < p->kept.total; at++) {
    esp_partial total = {0};
    for (int64_t part = 0; part < p->parts; part++) {
      esp_partial_merge(r->kind, &total, partials + part * p->kept.total + at);
    }
    finish(r, y, at, &total);
  }
}

void ESP_KERNEL(esp_reduce)(void *const *base, const void *rows, int32_t count) {
  const esp_reduce_row *r = rows;
  esp_split(base, rows, sizeof(esp_reduce_row), count, measure, body);
  for (int32_t i = 0; i < count; i++) {
    esp_reduce_plan p = esp_reduce_plan_make(r + i, LANES);
    if (p.parts > 1) ESP_NAME(reduce_in_parts)(base, r + i, &p);
  }
}
#endif
