// 1 x 1 convolution with stride 1, no padding and one group, channels-last: pixels of all images are one long list.
//
// Forward item: 32 pixels x 32 outputs; backward to the input: 128 pixels x 16 channels. The weight's gradient is that of
// conv2d.cl with r = s = 1, over whole images at once.

// acc[t] = Σ_ci x[t, ci]·w[ci] for T pixels, N vectors of outputs.
#define ESP_POINTWISE_TILE(T, N)                                                                   \
  for (int first = begin; first < end; first += T) {                                               \
    const __global float *xp = x + (long)first * xs, *wp = weight + k0;                            \
    float16 acc0[T], acc1[T];                                                                      \
    int at[T];                                                                                     \
    ESP_UNROLL for (int t = 0; t < T; t++) {                                                       \
      acc0[t] = acc1[t] = (float16)0.0f;                                                           \
      at[t] = min(t, end - first - 1) * xs;                                                        \
    }                                                                                              \
    for (int ci = 0; ci < c; ci++, wp += k) {                                                      \
      const float16 w0 = esp_load_float(wp, N == 1 ? rest : 16);                                   \
      const float16 w1 = N == 2 ? esp_load_float(wp + 16, rest) : (float16)0.0f;                   \
      ESP_UNROLL for (int t = 0; t < T; t++) {                                                     \
        const float16 u = (float16)xp[at[t] + ci];                                                 \
        acc0[t] = fma(u, w0, acc0[t]);                                                             \
        if (N == 2) acc1[t] = fma(u, w1, acc1[t]);                                                 \
      }                                                                                            \
    }                                                                                              \
    ESP_UNROLL for (int t = 0; t < T; t++) {                                                       \
      if (first + t < end) {                                                                       \
        __global float *q = y + (long)(first + t) * ys + k0;                                       \
        esp_store_float(acc0[t], q, N == 1 ? rest : 16);                                           \
        if (N == 2) esp_store_float(acc1[t], q + 16, rest);                                        \
      }                                                                                            \
    }                                                                                              \
  }

// items: ((n · h · w + 31) / 32) · ((k + 31) / 32)
__kernel void esp_pointwise_conv2d(__global const float *restrict x, __global const float *restrict weight,
                                   __global float *restrict y, __global const esp_conv2d_row *restrict rows) {
  ESP_ROW(esp_conv2d_row);
  const int c = row->c, k = row->k, pixels = row->n * row->h * row->w, blocks = (k + 31) / 32;
  const int xs = row->operand[0].stride, ys = row->operand[2].stride;
  x = ESP_AT(x, 0);
  weight = ESP_AT(weight, 1);
  y = ESP_AT(y, 2);
  ESP_ITEMS(item, (pixels + 31) / 32 * blocks) {
    const int k0 = item % blocks * 32, left = min(32, k - k0), rest = left > 16 ? left - 16 : left;
    const int begin = item / blocks * 32, end = min(pixels, begin + 32);
    if (left > 16) {
      ESP_POINTWISE_TILE(8, 2)
    } else {
      ESP_POINTWISE_TILE(16, 1)
    }
  }
}

#define ESP_POINTWISE_BACK(T, COUNT)                                                               \
  {                                                                                                \
    const __global float *q = dy + (long)first * ys + k0;                                          \
    __global float *o = dx + (long)first * xs + c0;                                                \
    float16 acc[T];                                                                                \
    ESP_UNROLL for (int t = 0; t < T; t++) {                                                       \
      acc[t] = k0 == 0 ? (float16)0.0f : esp_load_float(o + t * xs, n);                            \
    }                                                                                              \
    for (int j = 0; j < COUNT; j++) {                                                              \
      ESP_UNROLL for (int t = 0; t < T; t++) acc[t] = fma((float16)q[t * ys + j], wt[j], acc[t]);  \
    }                                                                                              \
    ESP_UNROLL for (int t = 0; t < T; t++) esp_store_float(acc[t], o + t * xs, n);                 \
  }

// items: ((n · h · w + 127) / 128) · ((c + 15) / 16). Operands: dy, w, dx.
__kernel void esp_pointwise_conv2d_backward_input(__global const float *restrict dy,
                                                  __global const float *restrict weight, __global float *restrict dx,
                                                  __global const esp_conv2d_row *restrict rows) {
  ESP_ROW(esp_conv2d_row);
  const int c = row->c, k = row->k, pixels = row->n * row->h * row->w, blocks = ESP_BLOCKS(c);
  const int ys = row->operand[0].stride, xs = row->operand[2].stride;
  dy = ESP_AT(dy, 0);
  weight = ESP_AT(weight, 1);
  dx = ESP_AT(dx, 2);
  ESP_ITEMS(item, (pixels + 127) / 128 * blocks) {
    const int c0 = item % blocks * 16, n = min(16, c - c0);
    const int begin = item / blocks * 128, end = min(pixels, begin + 128);
    for (int k0 = 0; k0 < k; k0 += 16) {
      const int kn = min(16, k - k0);
      float16 wt[16];
      for (int i = 0; i < 16; i++) {
        wt[i] = i < n ? esp_load_float(weight + (long)(c0 + i) * k + k0, kn) : (float16)0.0f;
      }
      esp_transpose16(wt);
      int first = begin;
      if (kn == 16) {
        for (; first + 8 <= end; first += 8) ESP_POINTWISE_BACK(8, 16)
      }
      for (; first < end; first++) ESP_POINTWISE_BACK(1, kn)
    }
  }
}
