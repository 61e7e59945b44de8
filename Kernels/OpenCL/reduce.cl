// Reductions over up to four dimensions of a strided tensor, to a dense one.
//
// An item makes up to 16 neighbouring results: side by side in a vector where they are neighbours in x too (the mean
// over an image), else one after another, along the reduced dimension in vectors where that is contiguous. Sums are
// exact (common.cl); the order depends on the shape alone. NaN wins a maximum, as in PyTorch.

typedef struct {
  int size[4], stride[4];
} esp_reduce_axes;

inline long esp_reduce_offset(const esp_reduce_axes *a, long at) {
  long offset = 0;
  for (int d = 3; d >= 0; d--) {
    offset += at % a->size[d] * a->stride[d];
    at /= a->size[d];
  }
  return offset;
}
inline long esp_reduce_count(const esp_reduce_axes *a) {
  return (long)a->size[0] * a->size[1] * a->size[2] * a->size[3];
}
// Offset of the reduced run at `run` (all dimensions but the innermost).
inline long esp_reduce_run(const esp_reduce_axes *a, long run) {
  const int i2 = run % a->size[2];
  run /= a->size[2];
  return (long)i2 * a->stride[2] + run % a->size[1] * a->stride[1] + run / a->size[1] * (long)a->stride[0];
}

inline bool esp_beats(float v, float best) { return !(v <= best) && best == best; }

// The sum of the elements, or of the squares of their distances from `shift`.
inline esp_sum esp_reduce_one(const __global float *x, const esp_reduce_axes *reduced, long runs, bool squares,
                              float shift) {
  const int length = reduced->size[3], s = reduced->stride[3];
  esp_sum16_t sums = ESP_ZERO16;
  for (long run = 0; run < runs; run++) {
    const __global float *p = x + esp_reduce_run(reduced, run);
    for (int i = 0; i < length; i += 16) {
      const int n = min(16, length - i);
      float16 v = esp_gather_float(p + (long)i * s, s, n);
      if (squares) {
        v = esp_first(v - shift, n, 0.0f);
        sums = esp_product16(sums, v, v);
      } else {
        sums = esp_add16(sums, esp_first(v, n, 0.0f));
      }
    }
  }
  return esp_fold16(sums);
}

inline void esp_reduce_single(int kind, int correction, const __global float *x, __global float *y, long result,
                              const esp_reduce_axes *reduced) {
  const long count = esp_reduce_count(reduced);
  const int length = reduced->size[3], s = reduced->stride[3];
  const long runs = length > 0 ? count / length : 0;
  if (kind == ESP_MAX || kind == ESP_ARGMAX) {
    float best = -INFINITY;
    long index = 0;
    for (long run = 0; run < runs; run++) {
      const __global float *p = x + esp_reduce_run(reduced, run);
      for (int i = 0; i < length; i++) {
        const float v = p[(long)i * s];
        if (esp_beats(v, best)) {
          best = v;
          index = run * length + i;
        }
      }
    }
    if (kind == ESP_MAX) y[result] = best;
    else ((__global int *)y)[result] = (int)index;
    return;
  }
  esp_sum sum = esp_reduce_one(x, reduced, runs, false, 0.0f);
  if (kind == ESP_SUM) {
    y[result] = esp_narrow(sum);
    return;
  }
  const esp_sum mean = esp_divide(sum, (float)count);
  if (kind == ESP_MEAN) {
    y[result] = esp_narrow(mean);
    return;
  }
  // Variance: around the mean rounded to float, then corrected for the rounding.
  const float shift = esp_narrow(mean);
  const esp_sum gap = esp_add(mean, esp_negate(esp_widen(shift)));
  sum = esp_reduce_one(x, reduced, runs, true, shift);
  sum = esp_add(sum, esp_negate(esp_times(esp_times(gap, gap), esp_widen((float)count))));
  y[result] = esp_narrow(esp_divide(sum, (float)(count - correction)));
}

// items: (product of kept + 15) / 16. y: int32 for the index of the maximum.
__kernel void esp_reduce(__global const float *restrict x, __global float *restrict y,
                         __global const esp_reduce_row *restrict rows) {
  ESP_ROW(esp_reduce_row);
  const int kind = row->kind, correction = row->correction;
  esp_reduce_axes kept, reduced;
  for (int d = 0; d < 4; d++) {
    kept.size[d] = row->kept[d];
    kept.stride[d] = row->kept_stride[d];
    reduced.size[d] = row->reduced[d];
    reduced.stride[d] = row->reduced_stride[d];
  }
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  const long results = esp_reduce_count(&kept), count = esp_reduce_count(&reduced);
  const int length = reduced.size[3], s = reduced.stride[3];
  const long runs = length > 0 ? count / length : 0;
  ESP_ITEMS(item, (int)((results + 15) / 16)) {
    const long first = (long)item * 16;
    const int n = (int)min((long)16, results - first);
    // Side by side: 16 neighbours of x in the innermost kept dimension.
    const bool together = n > 1 && kept.stride[3] == 1 && first % kept.size[3] + n <= kept.size[3];
    const __global float *base = x + esp_reduce_offset(&kept, first);
    if (!together || kind == ESP_VARIANCE) {
      for (int lane = 0; lane < n; lane++) {
        esp_reduce_single(kind, correction, x + esp_reduce_offset(&kept, first + lane), y, first + lane, &reduced);
      }
    } else if (kind == ESP_MAX || kind == ESP_ARGMAX) {
      float16 best = -INFINITY;
      int16 index = 0;
      for (long run = 0; run < runs; run++) {
        const __global float *p = base + esp_reduce_run(&reduced, run);
        for (int i = 0; i < length; i++) {
          const float16 v = esp_load_float(p + (long)i * s, n);
          const int16 wins = ~(v <= best) & (best == best);
          best = wins ? v : best;
          index = wins ? (int16)(int)(run * length + i) : index;
        }
      }
      if (kind == ESP_MAX) esp_store_float(best, y + first, n);
      else esp_store_int(index, (__global int *)y + first, n);
    } else {
      esp_sum16_t sums = ESP_ZERO16;
      for (long run = 0; run < runs; run++) {
        const __global float *p = base + esp_reduce_run(&reduced, run);
        for (int i = 0; i < length; i++) sums = esp_add16(sums, esp_load_float(p + (long)i * s, n));
      }
      esp_sum lanes[16];
      esp_lanes16(sums, lanes);
      for (int lane = 0; lane < n; lane++) {
        y[first + lane] = esp_narrow(kind == ESP_MEAN ? esp_divide(lanes[lane], (float)count) : lanes[lane]);
      }
    }
  }
}
