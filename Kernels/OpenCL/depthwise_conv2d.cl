// Depthwise convolution (c = k = groups), channels-last, in three directions. Weights [r, s, c].
//
// Item: one image row x 16 channels. Kernel size, dilation and stride of the common shapes are in a kernel's name; the
// kernels without them take any shape. 8 pixels of a row stay in registers: each column of the input is loaded once and
// serves every tap that meets it. `inside` picks a copy of the body without border tests. A block of fewer than 16
// channels goes the general way.

#define ESP_DW_FIELDS                                                                              \
  const int h = row->h, w = row->w, c = row->c, oh = row->oh, ow = row->ow, blocks = ESP_BLOCKS(c); \
  const int ph = row->pad_h, pw = row->pad_w;
#define ESP_DW_GENERAL_FIELDS                                                                      \
  const int r = row->r, s = row->s, sh = row->stride_h, sw = row->stride_w;                        \
  const int dh = row->dilation_h, dw = row->dilation_w;

// ---- any shape ----

inline void esp_dw_forward(const __global float *x, const __global float *weight, __global float *y,
                           const __global esp_conv2d_row *row, int oy, int n, int xs, int ys) {
  const int h = row->h, w = row->w, c = row->c, ow = row->ow, ph = row->pad_h, pw = row->pad_w;
  ESP_DW_GENERAL_FIELDS
  for (int ox = 0; ox < ow; ox++) {
    float16 sum = 0.0f;
    for (int ky = 0; ky < r; ky++) {
      const int iy = oy * sh - ph + ky * dh;
      if (iy < 0 || iy >= h) continue;
      for (int kx = 0; kx < s; kx++) {
        const int ix = ox * sw - pw + kx * dw;
        if (ix < 0 || ix >= w) continue;
        sum = fma(esp_load_float(x + (long)(iy * w + ix) * xs, n), esp_load_float(weight + (ky * s + kx) * c, n), sum);
      }
    }
    esp_store_float(sum, y + (long)ox * ys, n);
  }
}
inline void esp_dw_backward(const __global float *dy, const __global float *weight, __global float *dx,
                            const __global esp_conv2d_row *row, int iy, int n, int ys, int xs) {
  const int w = row->w, c = row->c, oh = row->oh, ow = row->ow, ph = row->pad_h, pw = row->pad_w;
  ESP_DW_GENERAL_FIELDS
  for (int ix = 0; ix < w; ix++) {
    float16 sum = 0.0f;
    for (int ky = 0; ky < r; ky++) {
      const int oy = esp_output_of(iy + ph - ky * dh, sh, oh);
      if (oy < 0) continue;
      for (int kx = 0; kx < s; kx++) {
        const int ox = esp_output_of(ix + pw - kx * dw, sw, ow);
        if (ox < 0) continue;
        const float16 tap = esp_load_float(weight + (ky * s + kx) * c, n);
        sum = fma(esp_load_float(dy + (long)(oy * ow + ox) * ys, n), tap, sum);
      }
    }
    esp_store_float(sum, dx + (long)ix * xs, n);
  }
}
// One row of taps over the images of a group.
inline void esp_dw_weight(const __global float *x, const __global float *dy, __global float *dweight,
                          const __global esp_conv2d_weight_row *row, int ky, int image0, int image1, int n, int xs,
                          int ys) {
  const int h = row->h, w = row->w, c = row->c, oh = row->oh, ow = row->ow, ph = row->pad_h, pw = row->pad_w;
  ESP_DW_GENERAL_FIELDS
  const int oy0 = esp_first_output(ky * dh - ph, sh), oy1 = esp_end_output(ky * dh - ph, sh, h, oh);
  for (int kx = 0; kx < s; kx++) {
    const int shift = kx * dw - pw, ox0 = esp_first_output(shift, sw), ox1 = esp_end_output(shift, sw, w, ow);
    float16 sum = 0.0f;
    for (int image = image0; image < image1; image++) {
      for (int oy = oy0; oy < oy1; oy++) {
        const int iy = oy * sh - ph + ky * dh;
        for (int ox = ox0; ox < ox1; ox++) {
          sum = fma(esp_load_float(x + ((long)(image * h + iy) * w + ox * sw + shift) * xs, n),
                    esp_load_float(dy + ((long)(image * oh + oy) * ow + ox) * ys, n), sum);
        }
      }
    }
    esp_store_float(sum, dweight + kx * c, n);
  }
}

// ---- the three kernels; BODY is the fast way for 16 channels ----

#define ESP_DW_FORWARD(name, WHEN, BODY)                                                           \
  __kernel void name(__global const float *restrict x, __global const float *restrict weight,     \
                     __global float *restrict y, __global const esp_conv2d_row *restrict rows) {   \
    ESP_ROW(esp_conv2d_row);                                                                       \
    ESP_DW_FIELDS                                                                                  \
    const int xs = row->operand[0].stride, ys = row->operand[2].stride;                            \
    x = ESP_AT(x, 0);                                                                              \
    weight = ESP_AT(weight, 1);                                                                    \
    y = ESP_AT(y, 2);                                                                              \
    ESP_ITEMS(item, row->n * oh * blocks) {                                                        \
      const int line = item / blocks, oy = line % oh, c0 = item % blocks * 16, n = min(16, c - c0); \
      const __global float *image = x + (long)(line / oh) * h * w * xs + c0, *wc = weight + c0;    \
      __global float *out = y + (long)line * ow * ys + c0;                                         \
      if (WHEN && n == 16) {                                                                       \
        BODY                                                                                       \
      } else {                                                                                     \
        esp_dw_forward(image, wc, out, row, oy, n, xs, ys);                                        \
      }                                                                                            \
    }                                                                                              \
  }
#define ESP_DW_BACKWARD(name, WHEN, BODY)                                                          \
  __kernel void name(__global const float *restrict dy, __global const float *restrict weight,    \
                     __global float *restrict dx, __global const esp_conv2d_row *restrict rows) {  \
    ESP_ROW(esp_conv2d_row);                                                                       \
    ESP_DW_FIELDS                                                                                  \
    const int ys = row->operand[0].stride, xs = row->operand[2].stride;                            \
    dy = ESP_AT(dy, 0);                                                                            \
    weight = ESP_AT(weight, 1);                                                                    \
    dx = ESP_AT(dx, 2);                                                                            \
    ESP_ITEMS(item, row->n * h * blocks) {                                                         \
      const int line = item / blocks, iy = line % h, c0 = item % blocks * 16, n = min(16, c - c0); \
      const __global float *image = dy + (long)(line / h) * oh * ow * ys + c0, *wc = weight + c0;  \
      __global float *out = dx + (long)line * w * xs + c0;                                         \
      if (WHEN && n == 16) {                                                                       \
        BODY                                                                                       \
      } else {                                                                                     \
        esp_dw_backward(image, wc, out, row, iy, n, ys, xs);                                       \
      }                                                                                            \
    }                                                                                              \
  }
#define ESP_DW_WEIGHT(name, WHEN, BODY)                                                            \
  __kernel void name(__global const float *restrict x, __global const float *restrict dy,         \
                     __global float *restrict dweight, __global float *restrict workspace,         \
                     __global const esp_conv2d_weight_row *restrict rows) {                        \
    ESP_ROW(esp_conv2d_weight_row);                                                                \
    ESP_DW_FIELDS                                                                                  \
    const int r = row->r, s = row->s, xs = row->operand[0].stride, ys = row->operand[1].stride;    \
    const int images = row->n, parts = min(images, ESP_WEIGHT_GROUPS);                             \
    x = ESP_AT(x, 0);                                                                              \
    dy = ESP_AT(dy, 1);                                                                            \
    workspace = ESP_AT(workspace, 3);                                                              \
    ESP_ITEMS(item, parts * r * blocks) {                                                          \
      const int c0 = item % blocks * 16, n = min(16, c - c0), ky = item / blocks % r;              \
      const int part = item / blocks / r;                                                          \
      const int image0 = (int)((long)images * part / parts), image1 = (int)((long)images * (part + 1) / parts); \
      __global float *out = workspace + ((long)(part * r + ky) * s) * c + c0;                      \
      if (WHEN && n == 16) {                                                                       \
        BODY                                                                                       \
      } else {                                                                                     \
        esp_dw_weight(x + c0, dy + c0, out, row, ky, image0, image1, n, xs, ys);                   \
      }                                                                                            \
    }                                                                                              \
  }

#ifndef ESP_FUNCTIONS_ONLY
// items: n · oh · ((c + 15) / 16)
ESP_DW_FORWARD(esp_depthwise_conv2d, false, )
// items: n · h · ((c + 15) / 16). Operands: dy, w, dx.
ESP_DW_BACKWARD(esp_depthwise_conv2d_backward_input, false, )
// First of two; the second is esp_conv2d_backward_weight_merge. items: min(n, 8) · r · ((c + 15) / 16)
ESP_DW_WEIGHT(esp_depthwise_conv2d_backward_weight, false, )
#endif

// ---- fixed kernel size K, dilation D, stride S; T = 8 pixels at once ----

// Columns of the input under T outputs; does output t meet column j?
#define ESP_DW_COLUMNS(K, D, S) (7 * S + (K - 1) * D + 1)
#define ESP_DW_MEETS(j, t, K, D, S) ((j) - (t) * S >= 0 && ((j) - (t) * S) % D == 0 && ((j) - (t) * S) / D < K)

// LOAD(p) is the input's vector at p, as it is or after what is fused.
#define ESP_DW_PLAIN(p) vload16(0, p)
#define ESP_DW_FORWARD_TAPS(TEST, K, D, S, LOAD)                                                   \
  for (int ky = ky0; ky < ky1; ky++) {                                                             \
    float16 tap[K];                                                                                \
    ESP_UNROLL for (int kx = 0; kx < K; kx++) tap[kx] = vload16(0, wc + (ky * K + kx) * c);        \
    const __global float *p = image + (long)((iy0 + ky * D) * w + ix0) * xs;                       \
    ESP_UNROLL for (int j = 0; j < ESP_DW_COLUMNS(K, D, S); j++) {                                 \
      bool used = false;                                                                           \
      ESP_UNROLL for (int t = 0; t < 8; t++) used = used || ESP_DW_MEETS(j, t, K, D, S);           \
      if (!used || (TEST && (j < -ix0 || j >= w - ix0))) continue;                                 \
      const float16 v = LOAD(p + j * xs);                                                          \
      ESP_UNROLL for (int t = 0; t < 8; t++) {                                                     \
        if (ESP_DW_MEETS(j, t, K, D, S)) acc[t] = fma(v, tap[(j - t * S) / D], acc[t]);            \
      }                                                                                            \
    }                                                                                              \
  }
// The rows of taps of output row oy, then acc: eight outputs from ox0 on.
#define ESP_DW_FORWARD_ROWS(D, S)                                                                  \
  const int iy0 = oy * S - ph, ky0 = iy0 < 0 ? (D - 1 - iy0) / D : 0;
#define ESP_DW_FORWARD_TILE(K, D, S, LOAD)                                                         \
  const int ky1 = h - 1 - iy0 < 0 ? 0 : min(K, (h - 1 - iy0) / D + 1), ix0 = ox0 * S - pw;         \
  float16 acc[8];                                                                                  \
  ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = 0.0f;                                            \
  if (ix0 >= 0 && ix0 + ESP_DW_COLUMNS(K, D, S) <= w) {                                            \
    ESP_DW_FORWARD_TAPS(0, K, D, S, LOAD)                                                          \
  } else {                                                                                         \
    ESP_DW_FORWARD_TAPS(1, K, D, S, LOAD)                                                          \
  }
#define ESP_DW_FORWARD_BODY(K, D, S)                                                               \
  ESP_DW_FORWARD_ROWS(D, S)                                                                        \
  for (int ox0 = 0; ox0 < ow; ox0 += 8) {                                                          \
    const int count = min(8, ow - ox0);                                                            \
    ESP_DW_FORWARD_TILE(K, D, S, ESP_DW_PLAIN)                                                     \
    ESP_UNROLL for (int t = 0; t < 8; t++) {                                                       \
      if (t < count) vstore16(acc[t], 0, out + (long)(ox0 + t) * ys);                              \
    }                                                                                              \
  }

// Column j of dy holds output ox = first + j, whose tap kx lands on pixel t = (j − M)·S + kx·D of the T.
#define ESP_DW_REACH(K, D, S) (((K - 1) * D + S - 1) / S)
#define ESP_DW_BACK_COLUMNS(K, D, S) (ESP_DW_REACH(K, D, S) + 7 / S + 1)
#define ESP_DW_LANDS(j, kx, K, D, S) (((j) - ESP_DW_REACH(K, D, S)) * S + (kx) * D)
#define ESP_DW_BACKWARD_TAPS(TEST, K, D, S)                                                        \
  for (int ky = 0; ky < K; ky++) {                                                                 \
    const int oy = esp_output_of(iy + ph - ky * D, S, oh);                                         \
    if (oy < 0) continue;                                                                          \
    float16 tap[K];                                                                                \
    ESP_UNROLL for (int kx = 0; kx < K; kx++) tap[kx] = vload16(0, wc + (ky * K + kx) * c);        \
    const __global float *p = image + (long)(oy * ow + first) * ys;                                \
    ESP_UNROLL for (int j = 0; j < ESP_DW_BACK_COLUMNS(K, D, S); j++) {                            \
      if (TEST && (j < -first || j >= ow - first)) continue;                                       \
      const float16 v = vload16(0, p + j * ys);                                                    \
      ESP_UNROLL for (int kx = 0; kx < K; kx++) {                                                  \
        if (ESP_DW_LANDS(j, kx, K, D, S) >= 0 && ESP_DW_LANDS(j, kx, K, D, S) < 8) {               \
          acc[ESP_DW_LANDS(j, kx, K, D, S) & 7] = fma(v, tap[kx], acc[ESP_DW_LANDS(j, kx, K, D, S) & 7]); \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }
// STORE(v, ix) is what goes to pixel ix of the row instead of v.
#define ESP_DW_AS_IT_IS(v, ix) v
#define ESP_DW_BACKWARD_BODY(K, D, S, STORE)                                                       \
  for (int ix0 = -(pw % S); ix0 < w; ix0 += 8) {                                                   \
    const int first = (ix0 + pw) / S - ESP_DW_REACH(K, D, S);                                      \
    float16 acc[8];                                                                                \
    ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = 0.0f;                                          \
    if (first >= 0 && first + ESP_DW_BACK_COLUMNS(K, D, S) <= ow) {                                \
      ESP_DW_BACKWARD_TAPS(0, K, D, S)                                                             \
    } else {                                                                                       \
      ESP_DW_BACKWARD_TAPS(1, K, D, S)                                                             \
    }                                                                                              \
    ESP_UNROLL for (int t = 0; t < 8; t++) {                                                       \
      if (ix0 + t >= 0 && ix0 + t < w) vstore16(STORE(acc[t], ix0 + t), 0, out + (long)(ix0 + t) * xs); \
    }                                                                                              \
  }

// Two accumulators a tap (even and odd pixels), else the additions wait for one another.
#define ESP_DW_WEIGHT_TAPS(TEST, K, D, S, LOAD)                                                    \
  ESP_UNROLL for (int j = 0; j < ESP_DW_COLUMNS(K, D, S); j++) {                                   \
    bool used = false;                                                                             \
    ESP_UNROLL for (int t = 0; t < 8; t++) used = used || ESP_DW_MEETS(j, t, K, D, S);             \
    if (!used || (TEST && (j < -ix0 || j >= w - ix0))) continue;                                   \
    const float16 v = LOAD(p + j * xs);                                                            \
    ESP_UNROLL for (int t = 0; t < 8; t++) {                                                       \
      if (ESP_DW_MEETS(j, t, K, D, S)) {                                                           \
        acc[t & 1][(j - t * S) / D] = fma(v, g[t], acc[t & 1][(j - t * S) / D]);                   \
      }                                                                                            \
    }                                                                                              \
  }
// acc += what one image gives to tap row ky: input at xi, gradient of the output at gi.
#define ESP_DW_WEIGHT_IMAGE(K, D, S, LOAD)                                                         \
  for (int oy = oy0; oy < oy1; oy++) {                                                             \
    const __global float *xr = xi + (long)(oy * S - ph + ky * D) * w * xs, *gr = gi + (long)oy * ow * ys; \
    for (int ox0 = 0; ox0 < ow; ox0 += 8) {                                                        \
      const int ix0 = ox0 * S - pw;                                                                \
      const __global float *p = xr + (long)ix0 * xs;                                               \
      float16 g[8];                                                                                \
      ESP_UNROLL for (int t = 0; t < 8; t++) {                                                     \
        g[t] = ox0 + t < ow ? vload16(0, gr + (long)(ox0 + t) * ys) : (float16)0.0f;               \
      }                                                                                            \
      if (ix0 >= 0 && ix0 + ESP_DW_COLUMNS(K, D, S) <= w) {                                        \
        ESP_DW_WEIGHT_TAPS(0, K, D, S, LOAD)                                                       \
      } else {                                                                                     \
        ESP_DW_WEIGHT_TAPS(1, K, D, S, LOAD)                                                       \
      }                                                                                            \
    }                                                                                              \
  }
#define ESP_DW_WEIGHT_START(K, D, S)                                                               \
  float16 acc[2][K];                                                                               \
  ESP_UNROLL for (int kx = 0; kx < K; kx++) acc[0][kx] = acc[1][kx] = (float16)0.0f;               \
  const int oy0 = esp_first_output(ky * D - ph, S), oy1 = esp_end_output(ky * D - ph, S, h, oh);
#define ESP_DW_WEIGHT_BODY(K, D, S)                                                                \
  ESP_DW_WEIGHT_START(K, D, S)                                                                     \
  for (int image = image0; image < image1; image++) {                                              \
    const __global float *xi = x + (long)image * h * w * xs + c0, *gi = dy + (long)image * oh * ow * ys + c0; \
    ESP_DW_WEIGHT_IMAGE(K, D, S, ESP_DW_PLAIN)                                                     \
  }                                                                                                \
  ESP_UNROLL for (int kx = 0; kx < K; kx++) vstore16(acc[0][kx] + acc[1][kx], 0, out + kx * c);

// esp_depthwise_conv2d_k3_d1_s1, …_backward_input_k3_d1_s1, …_backward_weight_k3_d1_s1: items as above.
#define ESP_DW_ALL(K, D, S)                                                                        \
  ESP_DW_FORWARD(esp_depthwise_conv2d_k##K##_d##D##_s##S, true, ESP_DW_FORWARD_BODY(K, D, S))      \
  ESP_DW_BACKWARD(esp_depthwise_conv2d_backward_input_k##K##_d##D##_s##S, true, \
                  ESP_DW_BACKWARD_BODY(K, D, S, ESP_DW_AS_IT_IS))                                  \
  ESP_DW_WEIGHT(esp_depthwise_conv2d_backward_weight_k##K##_d##D##_s##S, true, ESP_DW_WEIGHT_BODY(K, D, S))
#ifndef ESP_FUNCTIONS_ONLY
ESP_DW_ALL(3, 1, 1)
ESP_DW_ALL(3, 1, 2)
ESP_DW_ALL(3, 2, 1)
ESP_DW_ALL(3, 2, 2)
ESP_DW_ALL(5, 1, 1)
ESP_DW_ALL(5, 1, 2)
ESP_DW_ALL(5, 2, 1)
ESP_DW_ALL(5, 2, 2)
#endif
