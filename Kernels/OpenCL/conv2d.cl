// Convolution of any shape, channels-last, in three directions. Weights [r, s, c / groups, k].
//
// Forward: 8 pixels of a row x 32 outputs in registers. Backward to the input: dx itself accumulates, tap by tap, with
// 16 x 16 weights transposed in registers. Backward to the weight: 8 inputs x 32 outputs of one tap, summed over a
// group of images; the groups are then added in order.

// acc[t] += Σ_ci x[t, ci]·w[ci] for one tap; N vectors of outputs, the last with `rest` of them.
#define ESP_CONV_TAP(N, TEST)                                                                      \
  for (int ci = 0; ci < cg; ci++) {                                                                \
    const float16 w0 = esp_load_float(wp + (long)ci * k, N == 1 ? rest : 16);                      \
    const float16 w1 = N == 2 ? esp_load_float(wp + (long)ci * k + 16, rest) : (float16)0.0f;      \
    ESP_UNROLL for (int t = 0; t < 8; t++) {                                                       \
      const float u = TEST ? xp[at[t] + ci] : 0.0f;                                                \
      acc0[t] = fma((float16)u, w0, acc0[t]);                                                      \
      if (N == 2) acc1[t] = fma((float16)u, w1, acc1[t]);                                          \
    }                                                                                              \
  }
#define ESP_CONV_ROW(N)                                                                            \
  for (int ox0 = 0; ox0 < ow; ox0 += 8) {                                                          \
    float16 acc0[8], acc1[8];                                                                      \
    ESP_UNROLL for (int t = 0; t < 8; t++) acc0[t] = acc1[t] = (float16)0.0f;                      \
    for (int ky = 0; ky < r; ky++) {                                                               \
      const int iy = oy * sh - ph + ky * dh;                                                       \
      if (iy < 0 || iy >= h) continue;                                                             \
      for (int kx = 0; kx < s; kx++) {                                                             \
        const int ix0 = ox0 * sw - pw + kx * dw;                                                   \
        const int lo = esp_first_output(ix0, sw), hi = esp_end_output(ix0, sw, w, 8);              \
        if (lo >= hi) continue;                                                                    \
        const __global float *xp = x_image + (long)(iy * w + ix0) * xs;                            \
        const __global float *wp = weight + (long)((ky * s + kx) * cg) * k + k0;                   \
        int at[8];                                                                                 \
        ESP_UNROLL for (int t = 0; t < 8; t++) at[t] = clamp(t, lo, hi - 1) * sw * xs;             \
        if (lo == 0 && hi == 8) {                                                                  \
          ESP_CONV_TAP(N, 1)                                                                       \
        } else {                                                                                   \
          ESP_CONV_TAP(N, (t >= lo && t < hi))                                                     \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
    const int count = min(8, ow - ox0);                                                            \
    __global float *q = y + ((long)line * ow + ox0) * ys + k0;                                     \
    ESP_STORE8(acc0, q, ys, N == 1 ? rest : 16, count)                                             \
    if (N == 2) {                                                                                  \
      ESP_STORE8(acc1, q + 16, ys, rest, count)                                                    \
    }                                                                                              \
  }

#define ESP_CONV_FIELDS                                                                            \
  const int h = row->h, w = row->w, c = row->c, k = row->k, r = row->r, s = row->s, oh = row->oh, ow = row->ow; \
  const int sh = row->stride_h, sw = row->stride_w, ph = row->pad_h, pw = row->pad_w;              \
  const int dh = row->dilation_h, dw = row->dilation_w, groups = row->groups;                      \
  const int cg = c / groups, kg = k / groups;

// items: n · oh · groups · ((k / groups + 31) / 32)
__kernel void esp_conv2d(__global const float *restrict x, __global const float *restrict weight,
                         __global float *restrict y, __global const esp_conv2d_row *restrict rows) {
  ESP_ROW(esp_conv2d_row);
  ESP_CONV_FIELDS
  const int xs = row->operand[0].stride, ys = row->operand[2].stride, blocks = (kg + 31) / 32;
  x = ESP_AT(x, 0);
  weight = ESP_AT(weight, 1);
  y = ESP_AT(y, 2);
  ESP_ITEMS(item, row->n * oh * groups * blocks) {
    const int block = item % blocks, group = item / blocks % groups, line = item / blocks / groups;
    const int oy = line % oh, image = line / oh, k0 = group * kg + block * 32, left = min(32, kg - block * 32);
    const int rest = left > 16 ? left - 16 : left;
    const __global float *x_image = x + (long)image * h * w * xs + group * cg;
    if (left > 16) {
      ESP_CONV_ROW(2)
    } else {
      ESP_CONV_ROW(1)
    }
  }
}

// Adds the products of eight output pixels from `q` with the transposed weights to dx at `o`, `step` apart; of one.
#define ESP_CONV_SPREAD8(LOOP)                                                                     \
  {                                                                                                \
    float16 acc[8];                                                                                \
    ESP_LOAD8(acc, o, step, n)                                                                     \
    LOOP {                                                                                         \
      ESP_UNROLL for (int t = 0; t < 8; t++) acc[t] = fma((float16)q[t * ys + j], wt[j], acc[t]);  \
    }                                                                                              \
    ESP_STORE8(acc, o, step, n, 8)                                                                 \
  }
#define ESP_CONV_SPREAD1                                                                           \
  {                                                                                                \
    float16 acc = esp_load_float(o, n);                                                            \
    for (int j = 0; j < kn; j++) acc = fma((float16)q[j], wt[j], acc);                             \
    esp_store_float(acc, o, n);                                                                    \
  }

// items: n · ((h + 7) / 8) · groups · ((c / groups + 15) / 16). Operands: dy, w, dx.
__kernel void esp_conv2d_backward_input(__global const float *restrict dy, __global const float *restrict weight,
                                        __global float *restrict dx, __global const esp_conv2d_row *restrict rows) {
  ESP_ROW(esp_conv2d_row);
  ESP_CONV_FIELDS
  const int ys = row->operand[0].stride, xs = row->operand[2].stride;
  const int blocks = ESP_BLOCKS(cg), strips = (h + 7) / 8;
  dy = ESP_AT(dy, 0);
  weight = ESP_AT(weight, 1);
  dx = ESP_AT(dx, 2);
  ESP_ITEMS(item, row->n * strips * groups * blocks) {
    const int block = item % blocks, group = item / blocks % groups, strip = item / blocks / groups;
    const int image = strip / strips, iy0 = strip % strips * 8, iy1 = min(h, iy0 + 8);
    const int c0 = block * 16, n = min(16, cg - c0);
    __global float *dx_image = dx + (long)image * h * w * xs + group * cg + c0;
    const __global float *dy_image = dy + (long)image * oh * ow * ys + group * kg;
    for (int iy = iy0; iy < iy1; iy++) {
      for (int ix = 0; ix < w; ix++) esp_store_float((float16)0.0f, dx_image + (long)(iy * w + ix) * xs, n);
    }
    for (int k0 = 0; k0 < kg; k0 += 16) {
      const int kn = min(16, kg - k0);
      for (int tap = 0; tap < r * s; tap++) {
        const int ky = tap / s, kx = tap % s, shift = kx * dw - pw;
        const int ox0 = esp_first_output(shift, sw), ox1 = esp_end_output(shift, sw, w, ow);
        if (ox0 >= ox1) continue;
        float16 wt[16];
        for (int i = 0; i < 16; i++) {
          wt[i] = i < n ? esp_load_float(weight + (long)(tap * cg + c0 + i) * k + group * kg + k0, kn) : (float16)0.0f;
        }
        esp_transpose16(wt);
        const int step = sw * xs;
        for (int iy = iy0; iy < iy1; iy++) {
          const int oy = esp_output_of(iy + ph - ky * dh, sh, oh);
          if (oy < 0) continue;
          int ox = ox0;
          for (; ox + 8 <= ox1; ox += 8) {
            const __global float *q = dy_image + (long)(oy * ow + ox) * ys + k0;
            __global float *o = dx_image + (long)(iy * w + ox * sw + shift) * xs;
            if (kn == 16) ESP_CONV_SPREAD8(ESP_UNROLL for (int j = 0; j < 16; j++))
            else ESP_CONV_SPREAD8(for (int j = 0; j < kn; j++))
          }
          for (; ox < ox1; ox++) {
            const __global float *q = dy_image + (long)(oy * ow + ox) * ys + k0;
            __global float *o = dx_image + (long)(iy * w + ox * sw + shift) * xs;
            ESP_CONV_SPREAD1
          }
        }
      }
    }
  }
}

// acc[j] += x[j]·dy over a run of `count` pixels; N vectors of outputs, the last with `rest` of them.
#define ESP_CONV_OUTER(N)                                                                          \
  for (int i = 0; i < count; i++, p += step, q += ys) {                                            \
    const float16 g0 = esp_load_float(q, N == 1 ? rest : 16);                                      \
    const float16 g1 = N == 2 ? esp_load_float(q + 16, rest) : (float16)0.0f;                      \
    ESP_UNROLL for (int j = 0; j < 8; j++) {                                                       \
      const float16 u = (float16)p[at[j]];                                                         \
      acc0[j] = fma(u, g0, acc0[j]);                                                               \
      if (N == 2) acc1[j] = fma(u, g1, acc1[j]);                                                   \
    }                                                                                              \
  }

// First of two: one partial a group of images.
// items: min(n, 8) · r · s · groups · ((c / groups + 7) / 8) · ((k / groups + 31) / 32)
__kernel void esp_conv2d_backward_weight(__global const float *restrict x, __global const float *restrict dy,
                                         __global float *restrict dw_unused, __global float *restrict workspace,
                                         __global const esp_conv2d_weight_row *restrict rows) {
  ESP_ROW(esp_conv2d_weight_row);
  ESP_CONV_FIELDS
  const int xs = row->operand[0].stride, ys = row->operand[1].stride, images = row->n;
  const int parts = min(images, ESP_WEIGHT_GROUPS), rows_c = (cg + 7) / 8, rows_k = (kg + 31) / 32;
  x = ESP_AT(x, 0);
  dy = ESP_AT(dy, 1);
  workspace = ESP_AT(workspace, 3);
  ESP_ITEMS(item, parts * r * s * groups * rows_c * rows_k) {
    int at_item = item;
    const int kb = at_item % rows_k * 32;
    at_item /= rows_k;
    const int cb = at_item % rows_c * 8;
    at_item /= rows_c;
    const int group = at_item % groups;
    at_item /= groups;
    const int tap = at_item % (r * s), part = at_item / (r * s);
    const int ky = tap / s, kx = tap % s, n = min(8, cg - cb), left = min(32, kg - kb);
    const int rest = left > 16 ? left - 16 : left, step = sw * xs, shift = kx * dw - pw;
    const int ox0 = esp_first_output(shift, sw), count = esp_end_output(shift, sw, w, ow) - ox0;
    const int oy0 = esp_first_output(ky * dh - ph, sh), oy1 = esp_end_output(ky * dh - ph, sh, h, oh);
    float16 acc0[8], acc1[8];
    int at[8];
    ESP_UNROLL for (int j = 0; j < 8; j++) {
      acc0[j] = 0.0f;
      acc1[j] = 0.0f;
      at[j] = min(j, n - 1);
    }
    for (int image = (int)((long)images * part / parts); image < (int)((long)images * (part + 1) / parts); image++) {
      for (int oy = oy0; oy < oy1; oy++) {
        const int iy = oy * sh - ph + ky * dh;
        const __global float *p = x + ((long)(image * h + iy) * w + ox0 * sw + shift) * xs + group * cg + cb;
        const __global float *q = dy + ((long)(image * oh + oy) * ow + ox0) * ys + group * kg + kb;
        if (left > 16) {
          ESP_CONV_OUTER(2)
        } else {
          ESP_CONV_OUTER(1)
        }
      }
    }
    __global float *o = workspace + (((long)part * r * s + tap) * cg + cb) * k + group * kg + kb;
    ESP_STORE8(acc0, o, (long)k, left > 16 ? 16 : rest, n)
    if (left > 16) {
      ESP_STORE8(acc1, o + 16, (long)k, rest, n)
    }
  }
}

// Second of two, for every weight gradient (dense, depthwise, pointwise): the partials in order.
// items: (r · s · (c / groups) · k + 1023) / 1024
__kernel void esp_conv2d_backward_weight_merge(__global const float *restrict x, __global const float *restrict dy,
                                               __global float *restrict dweight,
                                               __global const float *restrict workspace,
                                               __global const esp_conv2d_weight_row *restrict rows) {
  ESP_ROW(esp_conv2d_weight_row);
  const int parts = min(row->n, ESP_WEIGHT_GROUPS), size = row->r * row->s * (row->c / row->groups) * row->k;
  dweight = ESP_AT(dweight, 2);
  workspace = ESP_AT(workspace, 3);
  ESP_ITEMS(item, ESP_CHUNKS(size)) {
    for (int i = item * ESP_CHUNK; i < min(size, (item + 1) * ESP_CHUNK); i += 16) {
      const int n = min(16, min(size, (item + 1) * ESP_CHUNK) - i);
      float16 sum = 0.0f;
      for (int part = 0; part < parts; part++) sum += esp_load_float(workspace + (long)part * size + i, n);
      esp_store_float(sum, dweight + i, n);
    }
  }
}
