// 1 x 1 convolution with stride 1, no padding and one group, channels-last: pixels of all images are one long list.
//
// Item: 128 pixels x 16 channels of the result. 16 rows of weights (transposed for the gradient) stay in registers
// while the pixels pass, 8 at a time; the result accumulates in place over blocks of 16 summed channels. The weight's
// gradient is that of conv2d.cl with r = s = 1.

#define ESP_POINTWISE_PIXELS 128

// out[t] += Σ_j in[t, j]·block[j] for eight pixels from `first` (LOOP runs over j), or for one.
#define ESP_POINTWISE_TILE8(LOOP)                                                                  \
  {                                                                                                \
    const __global float *p = in + (long)first * is + from;                                        \
    __global float *q = out + (long)first * os + to;                                               \
    float16 acc[8];                                                                                \
    if (from == 0) {                                                                               \
      ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = 0.0f;                                        \
    } else {                                                                                       \
      ESP_LOAD8(acc, q, os, n)                                                                     \
    }                                                                                              \
    LOOP {                                                                                         \
      ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = fma((float16)p[t * is + j], block[j], acc[t]); \
    }                                                                                              \
    ESP_STORE8(acc, q, os, n, 8)                                                                   \
  }
#define ESP_POINTWISE_TILE1                                                                        \
  {                                                                                                \
    const __global float *p = in + (long)first * is + from;                                        \
    __global float *q = out + (long)first * os + to;                                               \
    float16 acc = from == 0 ? (float16)0.0f : esp_load_float(q, n);                                \
    for (int j = 0; j < terms; j++) acc = fma((float16)p[j], block[j], acc);                       \
    esp_store_float(acc, q, n);                                                                    \
  }
#define ESP_ALL_TERMS ESP_UNROLL for (int j = 0; j < 16; j++)
#define ESP_SOME_TERMS for (int j = 0; j < terms; j++)
// The body of both directions: `summed` channels in, `made` channels out, LOAD fills the block of weights.
#define ESP_POINTWISE(LOAD)                                                                        \
  const int pixels = row->n * row->h * row->w, blocks = ESP_BLOCKS(made);                          \
  ESP_ITEMS(item, (pixels + ESP_POINTWISE_PIXELS - 1) / ESP_POINTWISE_PIXELS * blocks) {           \
    const int to = item % blocks * 16, n = min(16, made - to);                                     \
    const int begin = item / blocks * ESP_POINTWISE_PIXELS, end = min(pixels, begin + ESP_POINTWISE_PIXELS); \
    for (int from = 0; from < summed; from += 16) {                                                \
      const int terms = min(16, summed - from);                                                    \
      float16 block[16];                                                                           \
      LOAD                                                                                         \
      int first = begin;                                                                           \
      if (terms == 16) {                                                                           \
        for (; first + 8 <= end; first += 8) ESP_POINTWISE_TILE8(ESP_ALL_TERMS)                   \
      } else {                                                                                     \
        for (; first + 8 <= end; first += 8) ESP_POINTWISE_TILE8(ESP_SOME_TERMS)                  \
      }                                                                                            \
      for (; first < end; first++) ESP_POINTWISE_TILE1                                            \
    }                                                                                              \
  }

// items: ((n · h · w + 127) / 128) · ((k + 15) / 16)
__kernel void esp_pointwise_conv2d(__global const float *restrict x, __global const float *restrict weight,
                                   __global float *restrict y, __global const esp_conv2d_row *restrict rows) {
  ESP_ROW(esp_conv2d_row);
  const int summed = row->c, made = row->k, is = row->operand[0].stride, os = row->operand[2].stride;
  const __global float *in = ESP_AT(x, 0);
  __global float *out = ESP_AT(y, 2);
  weight = ESP_AT(weight, 1);
  ESP_POINTWISE({
    for (int j = 0; j < 16; j++) {
      block[j] = j < terms ? esp_load_float(weight + (long)(from + j) * made + to, n) : (float16)0.0f;
    }
  })
}

// items: ((n · h · w + 127) / 128) · ((c + 15) / 16). Operands: dy, w, dx.
__kernel void esp_pointwise_conv2d_backward_input(__global const float *restrict dy,
                                                  __global const float *restrict weight, __global float *restrict dx,
                                                  __global const esp_conv2d_row *restrict rows) {
  ESP_ROW(esp_conv2d_row);
  const int summed = row->k, made = row->c, is = row->operand[0].stride, os = row->operand[2].stride;
  const __global float *in = ESP_AT(dy, 0);
  __global float *out = ESP_AT(dx, 2);
  weight = ESP_AT(weight, 1);
  ESP_POINTWISE({
    for (int i = 0; i < 16; i++) {
      block[i] = i < n ? esp_load_float(weight + (long)(to + i) * summed + from, terms) : (float16)0.0f;
    }
    esp_transpose16(block);
  })
}
