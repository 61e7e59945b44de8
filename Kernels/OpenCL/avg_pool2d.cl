// Average pooling, channels-last, and its gradient.

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
  ESP_POOL_FIELDS
  const int xs = row->operand[0].stride, ys = row->operand[1].stride, include = row->count_include_pad;
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  ESP_ITEMS(item, row->n * oh * blocks) {
    ESP_POOL_ITEM(oy, oh)
    ESP_POOL_TAPS
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
  ESP_POOL_FIELDS
  const int ys = row->operand[0].stride, xs = row->operand[1].stride, include = row->count_include_pad;
  dy = ESP_AT(dy, 0);
  dx = ESP_AT(dx, 1);
  ESP_ITEMS(item, row->n * h * blocks) {
    ESP_POOL_ITEM(iy, h)
    for (int ix = 0; ix < w; ix++) {
      float16 sum = 0.0f;
      ESP_POOL_WINDOWS(ix) {
        const float share = esp_window_share(oy * sh - ph, ox * sw - pw, r, s, h, w, ph, pw, include);
        sum = fma(esp_load_float(dy + o * ys + c0, n), (float16)share, sum);
      }
      esp_store_float(sum, dx + ((long)line * w + ix) * xs + c0, n);
    }
  }
}
