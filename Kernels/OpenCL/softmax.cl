// Softmax and log-softmax over the middle of [outer, size, inner], dense, and their gradients.
//
// With inner = 1 an item is one row, vectors along it; else 16 neighbouring columns side by side. The maximum is taken
// off first. Sums in float, in one order.

inline float esp_max16(float16 v) {
  float8 a = fmax(v.lo, v.hi);
  float4 b = fmax(a.lo, a.hi);
  return fmax(fmax(b.s0, b.s1), fmax(b.s2, b.s3));
}
// Maximum of a row, and the sum of exp(x − maximum).
inline float esp_row_max(const __global float *x, int size) {
  float16 best = -INFINITY;
  for (int i = 0; i < size; i += 16) {
    const int n = min(16, size - i);
    best = fmax(best, esp_first(esp_load_float(x + i, n), n, -INFINITY));
  }
  return esp_max16(best);
}
inline float esp_row_exp_sum(const __global float *x, int size, float top) {
  float16 sum = 0.0f;
  for (int i = 0; i < size; i += 16) {
    const int n = min(16, size - i);
    sum += esp_first(exp(esp_load_float(x + i, n) - top), n, 0.0f);
  }
  return esp_sum16(sum);
}

// items: outer · ((inner + 15) / 16)
__kernel void esp_softmax(__global const float *restrict x, __global float *restrict y,
                          __global const esp_softmax_row *restrict rows) {
  ESP_ROW(esp_softmax_row);
  const int size = row->size, inner = row->inner, logarithm = row->logarithm, blocks = ESP_BLOCKS(inner);
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  ESP_ITEMS(item, row->outer * blocks) {
    const int first = item % blocks * 16;
    const long offset = (long)(item / blocks) * size * inner + first;
    const __global float *p = x + offset;
    __global float *q = y + offset;
    if (inner == 1) {
      const float top = esp_row_max(p, size), sum = esp_row_exp_sum(p, size, top);
      const float shift = top + log(sum), scale = 1.0f / sum;
      for (int i = 0; i < size; i += 16) {
        const int n = min(16, size - i);
        const float16 v = esp_load_float(p + i, n);
        esp_store_float(logarithm ? v - shift : exp(v - top) * scale, q + i, n);
      }
      continue;
    }
    const int n = min(16, inner - first);
    float16 top = -INFINITY, sum = 0.0f;
    for (int i = 0; i < size; i++) top = fmax(top, esp_load_float(p + (long)i * inner, n));
    for (int i = 0; i < size; i++) sum += exp(esp_load_float(p + (long)i * inner, n) - top);
    const float16 shift = top + log(sum), scale = 1.0f / sum;
    for (int i = 0; i < size; i++) {
      const float16 v = esp_load_float(p + (long)i * inner, n);
      esp_store_float(logarithm ? v - shift : exp(v - top) * scale, q + (long)i * inner, n);
    }
  }
}

// items: outer · ((inner + 15) / 16)
__kernel void esp_softmax_backward(__global const float *restrict y, __global const float *restrict dy,
                                   __global float *restrict dx,
                                   __global const esp_softmax_backward_row *restrict rows) {
  ESP_ROW(esp_softmax_backward_row);
  const int size = row->size, inner = row->inner, logarithm = row->logarithm, blocks = ESP_BLOCKS(inner);
  y = ESP_AT(y, 0);
  dy = ESP_AT(dy, 1);
  dx = ESP_AT(dx, 2);
  ESP_ITEMS(item, row->outer * blocks) {
    const int first = item % blocks * 16;
    const long offset = (long)(item / blocks) * size * inner + first;
    const int lanes = inner == 1 ? 16 : min(16, inner - first);       // of a vector
    const long step = inner == 1 ? 16 : inner;                        // between vectors
    const int vectors = inner == 1 ? ESP_BLOCKS(size) : size;
    float16 sum = 0.0f;
    for (int i = 0; i < vectors; i++) {
      const int n = inner == 1 ? min(16, size - 16 * i) : lanes;
      const float16 g = esp_load_float(dy + offset + i * step, n);
      sum = logarithm ? sum + g : fma(g, esp_load_float(y + offset + i * step, n), sum);
    }
    if (inner == 1) sum = (float16)esp_sum16(sum);
    for (int i = 0; i < vectors; i++) {
      const int n = inner == 1 ? min(16, size - 16 * i) : lanes;
      const float16 g = esp_load_float(dy + offset + i * step, n), v = esp_load_float(y + offset + i * step, n);
      esp_store_float(logarithm ? fma(-exp(v), sum, g) : v * (g - sum), dx + offset + i * step, n);
    }
  }
}
