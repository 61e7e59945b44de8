// Batch norm over [images, pixels of an image, channels]: moments, normalisation and its gradients, running moments.
//
// Statistics are made in two launches: one partial an image (item: image x 16 channels), then the images in order. The
// sums are exact (common.cl), so E[x²] − E[x]² loses nothing that matters. γ and β may be absent.

#define ESP_PIXELS 64  // of an elementwise item

// Σ x and Σ x² of n channels of one image, into q and q + channels.
inline void esp_moments_of_image(const __global float *p, int xs, int pixels, int n, __global esp_sum *q,
                                 int channels) {
  esp_sum16_t sum = ESP_ZERO16, squares = ESP_ZERO16;
  if (n == 16) {
    for (int i = 0; i < pixels; i++, p += xs) {
      const float16 v = vload16(0, p);
      sum = esp_add16(sum, v);
      squares = esp_product16(squares, v, v);
    }
  } else {
    for (int i = 0; i < pixels; i++, p += xs) {
      const float16 v = esp_load_float(p, n);
      sum = esp_add16(sum, v);
      squares = esp_product16(squares, v, v);
    }
  }
  esp_sum lanes[16];
  esp_lanes16(sum, lanes);
  for (int i = 0; i < n; i++) q[i] = lanes[i];
  esp_lanes16(squares, lanes);
  for (int i = 0; i < n; i++) q[channels + i] = lanes[i];
}
// Mean and variance of up to 16 channels from c0 on, of `count` elements each, from the images' partials.
inline void esp_moments_of_images(const __global esp_sum *workspace, int images, float count, int channels, int c0,
                                  __global float *mean, __global float *variance) {
  for (int c = c0; c < min(channels, c0 + 16); c++) {
    esp_sum sum = ESP_ZERO, squares = ESP_ZERO;
    for (int image = 0; image < images; image++) {
      const __global esp_sum *p = workspace + (long)image * 2 * channels + c;
      sum = esp_add(sum, p[0]);
      squares = esp_add(squares, p[channels]);
    }
    const esp_sum m = esp_divide(sum, count);
    mean[c] = esp_narrow(m);
    variance[c] = fmax(esp_narrow(esp_add(esp_divide(squares, count), esp_negate(esp_times(m, m)))), 0.0f);
  }
}

#ifndef ESP_FUNCTIONS_ONLY
// First of two. items: images · ((channels + 15) / 16)
__kernel void esp_channel_moments(__global const float *restrict x, __global float *restrict mean,
                                  __global float *restrict variance, __global esp_sum *restrict workspace,
                                  __global const esp_channel_moments_row *restrict rows) {
  ESP_ROW(esp_channel_moments_row);
  const int pixels = row->pixels, channels = row->channels, blocks = ESP_BLOCKS(channels);
  const int xs = row->operand[0].stride;
  x = ESP_AT(x, 0);
  workspace = ESP_AT(workspace, 3);
  ESP_ITEMS(item, row->images * blocks) {
    const int image = item / blocks, c = item % blocks * 16;
    esp_moments_of_image(x + (long)image * pixels * xs + c, xs, pixels, min(16, channels - c),
                         workspace + (long)image * 2 * channels + c, channels);
  }
}

// Second of two. items: (channels + 15) / 16
__kernel void esp_channel_moments_merge(__global const float *restrict x, __global float *restrict mean,
                                        __global float *restrict variance, __global const esp_sum *restrict workspace,
                                        __global const esp_channel_moments_row *restrict rows) {
  ESP_ROW(esp_channel_moments_row);
  const int images = row->images, channels = row->channels;
  const float count = (float)images * (float)row->pixels;
  ESP_ITEMS(item, ESP_BLOCKS(channels)) {
    esp_moments_of_images(ESP_AT(workspace, 3), images, count, channels, item * 16, ESP_AT(mean, 1),
                          ESP_AT(variance, 2));
  }
}

// items: ((images · pixels + 63) / 64) · ((channels + 15) / 16)
__kernel void esp_normalize(__global const float *restrict x, __global const float *restrict mean,
                            __global const float *restrict variance, __global const float *restrict gamma,
                            __global const float *restrict beta, __global float *restrict y,
                            __global const esp_normalize_row *restrict rows) {
  ESP_ROW(esp_normalize_row);
  const int channels = row->channels, blocks = ESP_BLOCKS(channels);
  const int total = row->images * row->pixels;
  const int xs = row->operand[0].stride, ys = row->operand[5].stride;
  const bool scaled = ESP_HERE(3), shifted = ESP_HERE(4);
  const float epsilon = row->scalar[0];
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 5);
  ESP_ITEMS(item, (total + ESP_PIXELS - 1) / ESP_PIXELS * blocks) {
    const int c = item % blocks * 16, n = min(16, channels - c), first = item / blocks * ESP_PIXELS;
    const float16 m = esp_load_float(ESP_AT(mean, 1) + c, n);
    float16 scale = 1.0f / sqrt(esp_load_float(ESP_AT(variance, 2) + c, n) + epsilon);
    if (scaled) scale *= esp_load_float(ESP_AT(gamma, 3) + c, n);
    const float16 shift = shifted ? esp_load_float(ESP_AT(beta, 4) + c, n) : (float16)0.0f;
    const __global float *p = x + (long)first * xs + c;
    __global float *q = y + (long)first * ys + c;
    const int count = min(ESP_PIXELS, total - first);
    if (n == 16) {
      for (int i = 0; i < count; i++) vstore16(fma(vload16(0, p + i * xs) - m, scale, shift), 0, q + i * ys);
    } else {
      for (int i = 0; i < count; i++) {
        esp_store_float(fma(esp_load_float(p + i * xs, n) - m, scale, shift), q + i * ys, n);
      }
    }
  }
}

// First of two: Σ dy and Σ dy·x̂ of each image. items: images · ((channels + 15) / 16)
__kernel void esp_batch_norm_sums(__global const float *restrict x, __global const float *restrict dy,
                                  __global const float *restrict mean, __global const float *restrict variance,
                                  __global float *restrict sums, __global esp_sum *restrict workspace,
                                  __global const esp_batch_norm_sums_row *restrict rows) {
  ESP_ROW(esp_batch_norm_sums_row);
  const int images = row->images, pixels = row->pixels, channels = row->channels, blocks = ESP_BLOCKS(channels);
  const int xs = row->operand[0].stride, ds = row->operand[1].stride;
  const float epsilon = row->scalar[0];
  x = ESP_AT(x, 0);
  dy = ESP_AT(dy, 1);
  workspace = ESP_AT(workspace, 5);
  ESP_ITEMS(item, images * blocks) {
    const int image = item / blocks, c = item % blocks * 16, n = min(16, channels - c);
    const __global float *p = x + (long)image * pixels * xs + c, *q = dy + (long)image * pixels * ds + c;
    const float16 m = esp_load_float(ESP_AT(mean, 2) + c, n);
    const float16 scale = 1.0f / sqrt(esp_load_float(ESP_AT(variance, 3) + c, n) + epsilon);
    esp_sum16_t sum = ESP_ZERO16, products = ESP_ZERO16;
    if (n == 16) {
      for (int i = 0; i < pixels; i++, p += xs, q += ds) {
        const float16 g = vload16(0, q);
        sum = esp_add16(sum, g);
        products = esp_product16(products, g, (vload16(0, p) - m) * scale);
      }
    } else {
      for (int i = 0; i < pixels; i++, p += xs, q += ds) {
        const float16 g = esp_load_float(q, n);
        sum = esp_add16(sum, g);
        products = esp_product16(products, g, (esp_load_float(p, n) - m) * scale);
      }
    }
    esp_sum lanes[16];
    __global esp_sum *o = workspace + (long)image * 2 * channels + c;
    esp_lanes16(sum, lanes);
    for (int i = 0; i < n; i++) o[i] = lanes[i];
    esp_lanes16(products, lanes);
    for (int i = 0; i < n; i++) o[channels + i] = lanes[i];
  }
}

// Second of two. items: (2 · channels + 15) / 16
__kernel void esp_batch_norm_sums_merge(__global const float *restrict x, __global const float *restrict dy,
                                        __global const float *restrict mean, __global const float *restrict variance,
                                        __global float *restrict sums, __global const esp_sum *restrict workspace,
                                        __global const esp_batch_norm_sums_row *restrict rows) {
  ESP_ROW(esp_batch_norm_sums_row);
  const int images = row->images, width = 2 * row->channels;
  sums = ESP_AT(sums, 4);
  workspace = ESP_AT(workspace, 5);
  ESP_ITEMS(item, ESP_BLOCKS(width)) {
    for (int c = item * 16; c < min(width, item * 16 + 16); c++) {
      esp_sum sum = ESP_ZERO;
      for (int image = 0; image < images; image++) sum = esp_add(sum, workspace[(long)image * width + c]);
      sums[c] = esp_narrow(sum);
    }
  }
}

// items: ((images · pixels + 63) / 64) · ((channels + 15) / 16)
__kernel void esp_batch_norm_backward(__global const float *restrict x, __global const float *restrict dy,
                                      __global const float *restrict mean, __global const float *restrict variance,
                                      __global const float *restrict gamma, __global const float *restrict sums,
                                      __global float *restrict dx,
                                      __global const esp_batch_norm_backward_row *restrict rows) {
  ESP_ROW(esp_batch_norm_backward_row);
  const int channels = row->channels, blocks = ESP_BLOCKS(channels);
  const int total = row->images * row->pixels;
  const int xs = row->operand[0].stride, ds = row->operand[1].stride, os = row->operand[6].stride;
  const bool scaled = ESP_HERE(4);
  const float epsilon = row->scalar[0], share = 1.0f / (float)total;
  x = ESP_AT(x, 0);
  dy = ESP_AT(dy, 1);
  sums = ESP_AT(sums, 5);
  dx = ESP_AT(dx, 6);
  ESP_ITEMS(item, (total + ESP_PIXELS - 1) / ESP_PIXELS * blocks) {
    const int c = item % blocks * 16, n = min(16, channels - c), first = item / blocks * ESP_PIXELS;
    const float16 m = esp_load_float(ESP_AT(mean, 2) + c, n);
    const float16 inverse = 1.0f / sqrt(esp_load_float(ESP_AT(variance, 3) + c, n) + epsilon);
    const float16 scale = scaled ? inverse * esp_load_float(ESP_AT(gamma, 4) + c, n) : inverse;
    const float16 mean_dy = esp_load_float(sums + c, n) * share;
    const float16 slope = esp_load_float(sums + channels + c, n) * share * inverse;  // of x − mean
    const __global float *p = x + (long)first * xs + c, *q = dy + (long)first * ds + c;
    __global float *o = dx + (long)first * os + c;
    const int count = min(ESP_PIXELS, total - first);
    for (int i = 0; i < count; i++) {
      const float16 v = esp_load_float(p + i * xs, n), g = esp_load_float(q + i * ds, n);
      esp_store_float(scale * (fma(m - v, slope, g) - mean_dy), o + i * os, n);
    }
  }
}

// items: (channels + 1023) / 1024
__kernel void esp_running_update(__global float *restrict running_mean, __global float *restrict running_variance,
                                 __global const float *restrict mean, __global const float *restrict variance,
                                 __global const float *restrict flag, __global const float *restrict share,
                                 __global const esp_running_update_row *restrict rows) {
  ESP_ROW(esp_running_update_row);
  const int channels = row->channels;
  const float correction = row->scalar[1];
  const int shared = !(row->operand[5].flags & ESP_ABSENT);
  running_mean = ESP_AT(running_mean, 0);
  running_variance = ESP_AT(running_variance, 1);
  mean = ESP_AT(mean, 2);
  variance = ESP_AT(variance, 3);
  share = ESP_AT(share, 5);
  ESP_ITEMS(item, ESP_AT(flag, 4)[0] != 0.0f ? 0 : ESP_CHUNKS(channels)) {
    for (int c = item * ESP_CHUNK; c < min(channels, (item + 1) * ESP_CHUNK); c++) {
      const float momentum = shared ? row->scalar[0] * share[c] : row->scalar[0], keep = 1.0f - momentum;
      running_mean[c] = fma(keep, running_mean[c], momentum * mean[c]);
      running_variance[c] = fma(keep, running_variance[c], momentum * (variance[c] * correction));
    }
  }
}
#endif
