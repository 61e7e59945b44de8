// Average pooling, channels-last, and its gradient. Item: one image row x 16 channels.

// One over the taps of a window that lie inside the image or, with count_include_pad, inside the padded image (in ceil
// mode a window may reach beyond that too).
inline float esp_window_share(int iy0, int ix0, int r, int s, int h, int w, int ph, int pw, int count_include_pad) {
  const int rows = min(r, h - iy0 + (count_include_pad ? ph : 0)) - (count_include_pad ? 0 : max(0, -iy0));
  const int columns = min(s, w - ix0 + (count_include_pad ? pw : 0)) - (count_include_pad ? 0 : max(0, -ix0));
  return rows > 0 && columns > 0 ? 1.0f / (float)(rows * columns) : 0.0f;
}

// The sum of a column of `height` pixels from row pointer `top`; 0 outside the image.
inline float16 esp_column(const __global float *top, int ix, int w, int height, int xs, int n) {
  float16 sum = 0.0f;
  if (ix < 0 || ix >= w) return sum;
  const __global float *p = top + ix * xs;
  for (int i = 0; i < height; i++, p += w * xs) sum += esp_load_float(p, n);
  return sum;
}

// items: n · oh · ((c + 15) / 16)
__kernel void esp_avg_pool2d(__global const float *restrict x, __global float *restrict y,
                             __global const esp_avg_pool2d_row *restrict rows) {
  ESP_ROW(esp_avg_pool2d_row);
  const int h = row->h, w = row->w, c = row->c, r = row->r, s = row->s, oh = row->oh, ow = row->ow;
  const int sh = row->stride_h, sw = row->stride_w, ph = row->pad_h, pw = row->pad_w, blocks = ESP_BLOCKS(c);
  const int xs = row->operand[0].stride, ys = row->operand[1].stride, include = row->count_include_pad;
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  ESP_ITEMS(item, row->n * oh * blocks) {
    const int block = item % blocks, line = item / blocks, oy = line % oh, image = line / oh;
    const int c0 = block * 16, n = min(16, c - c0);
    const int iy0 = oy * sh - ph, ky0 = max(0, -iy0), ky1 = min(r, h - iy0);
    const __global float *image_x = x + (long)image * h * w * xs + c0;
    __global float *out = y + (long)line * ow * ys + c0;
    const __global float *top = image_x + (iy0 + ky0) * w * xs;
    const int height = ky1 - ky0;
    if (s == 3 && sw == 1) {  // neighbouring windows share two columns
      float16 left = esp_column(top, -pw, w, height, xs, n), middle = esp_column(top, 1 - pw, w, height, xs, n);
      for (int ox = 0; ox < ow; ox++) {
        const float16 right = esp_column(top, ox - pw + 2, w, height, xs, n);
        const float share = esp_window_share(iy0, ox - pw, r, s, h, w, ph, pw, include);
        esp_store_float((left + middle + right) * share, out + ox * ys, n);
        left = middle;
        middle = right;
      }
      continue;
    }
    for (int ox = 0; ox < ow; ox++) {
      const int ix0 = ox * sw - pw;
      float16 sum = 0.0f;
      for (int kx = 0; kx < s; kx++) sum += esp_column(top, ix0 + kx, w, height, xs, n);
      esp_store_float(sum * esp_window_share(iy0, ix0, r, s, h, w, ph, pw, include), out + ox * ys, n);
    }
  }
}

// items: n · h · ((c + 15) / 16). Operands: dy, dx.
__kernel void esp_avg_pool2d_backward(__global const float *restrict dy, __global float *restrict dx,
                                      __global const esp_avg_pool2d_row *restrict rows) {
  ESP_ROW(esp_avg_pool2d_row);
  const int h = row->h, w = row->w, c = row->c, r = row->r, s = row->s, oh = row->oh, ow = row->ow;
  const int sh = row->stride_h, sw = row->stride_w, ph = row->pad_h, pw = row->pad_w, blocks = ESP_BLOCKS(c);
  const int ys = row->operand[0].stride, xs = row->operand[1].stride, include = row->count_include_pad;
  dy = ESP_AT(dy, 0);
  dx = ESP_AT(dx, 1);
  ESP_ITEMS(item, row->n * h * blocks) {
    const int block = item % blocks, line = item / blocks, iy = line % h, image = line / h;
    const int c0 = block * 16, n = min(16, c - c0);
    const int oy0 = max(0, (iy + ph - r + sh) / sh), oy1 = min(oh, (iy + ph) / sh + 1);
    for (int ix = 0; ix < w; ix++) {
      const int ox0 = max(0, (ix + pw - s + sw) / sw), ox1 = min(ow, (ix + pw) / sw + 1);
      float16 sum = 0.0f;
      for (int oy = oy0; oy < oy1; oy++) {
        for (int ox = ox0; ox < ox1; ox++) {
          const float share = esp_window_share(oy * sh - ph, ox * sw - pw, r, s, h, w, ph, pw, include);
          const long o = ((long)image * oh + oy) * ow + ox;
          sum = fma(esp_load_float(dy + o * ys + c0, n), (float16)share, sum);
        }
      }
      esp_store_float(sum, dx + ((long)line * w + ix) * xs + c0, n);
    }
  }
}
