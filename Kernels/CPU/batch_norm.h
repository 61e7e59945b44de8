// What batch norm does to one image: moments, normalisation and backward over runs of pixels; and the merging of
// moments over images. For batch_norm.c and for fused kernels, which so give the same bits.
//
// Include it once in the part of a kernel file that is compiled once an instruction set, like lanes.h.
#include "lanes.h"

// ---- moments ----

#define STRIP 64  // pixels: 64 · 16 floats stay in the first-level cache for the second pass

// Mean and M2 = Σ (x − mean)² of one image, n ≤ LANES channels from c on.
ESP_LANES_INLINE void ESP_NAME(image_moments)(const real *x, int64_t stride, int64_t pixels, int64_t n, double *mean,
                                              double *m2) {
  double mu[LANES] = {0}, deviations[LANES] = {0};
  for (int64_t first = 0; first < pixels; first += STRIP) {
    int64_t strip = pixels - first < STRIP ? pixels - first : STRIP;
    const real *p = x + first * stride;
    lanes a = lanes_splat(0), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 4 <= strip; i += 4) {
      a += lanes_load_part(p + i * stride, n);
      b += lanes_load_part(p + (i + 1) * stride, n);
      c += lanes_load_part(p + (i + 2) * stride, n);
      d += lanes_load_part(p + (i + 3) * stride, n);
    }
    for (; i < strip; i++) a += lanes_load_part(p + i * stride, n);
    lanes centre = ((a + b) + (c + d)) * ((real)1 / (real)strip);
    // The centre is rounded: the strip's true mean is centre + Σ d / n, and M2 = Σ d² − (Σ d)² / n.
    lanes s0 = lanes_splat(0), s1 = s0, q0 = s0, q1 = s0;
    for (i = 0; i + 2 <= strip; i += 2) {
      lanes u = lanes_load_part(p + i * stride, n) - centre, v = lanes_load_part(p + (i + 1) * stride, n) - centre;
      s0 += u;
      s1 += v;
      q0 = lanes_fma(u, u, q0);
      q1 = lanes_fma(v, v, q1);
    }
    if (i < strip) {
      lanes u = lanes_load_part(p + i * stride, n) - centre;
      s0 += u;
      q0 = lanes_fma(u, u, q0);
    }
    real m[LANES], s[LANES], q[LANES];
    lanes_store(m, centre);
    lanes_store(s, s0 + s1);
    lanes_store(q, q0 + q1);
    double before = (double)first, total = before + (double)strip;
    double share = (double)strip / total, cross = before * share, inverse = 1 / (double)strip;
    for (int j = 0; j < LANES; j++) {  // Chan's formula
      double shift = s[j] * inverse;
      double delta = m[j] + shift - mu[j];
      mu[j] += delta * share;
      deviations[j] += q[j] - s[j] * shift + delta * delta * cross;
    }
  }
  for (int64_t j = 0; j < n; j++) {
    mean[j] = mu[j];
    m2[j] = deviations[j];
  }
}

// Mean and M2 of every channel of one image, into partial [2, channels].
static inline void ESP_NAME(channel_moments)(const real *x, int64_t stride, int64_t pixels, int64_t channels,
                                             double *partial) {
  for (int64_t c = 0; c < channels; c += LANES) {
    int64_t n = channels - c < LANES ? channels - c : LANES;
    if (n == LANES) ESP_NAME(image_moments)(x + c, stride, pixels, LANES, partial + c, partial + channels + c);
    else ESP_NAME(image_moments)(x + c, stride, pixels, n, partial + c, partial + channels + c);
  }
}

// Merges the partials of all images, in order, for up to 16 channels from c on.
static inline void ESP_NAME(merge_moments)(const double *partial, int64_t images, int64_t pixels, int64_t channels,
                                           int64_t c, real *mean, real *variance) {
  int64_t n = channels - c < 16 ? channels - c : 16;
  double mu[16] = {0}, deviations[16] = {0};
  for (int64_t image = 0; image < images; image++) {
    const double *m = partial + 2 * image * channels + c, *q = m + channels;
    double share = 1 / (double)(image + 1), cross = (double)image * pixels * share;
    for (int64_t j = 0; j < n; j++) {
      double delta = m[j] - mu[j];
      mu[j] += delta * share;
      deviations[j] += q[j] + delta * delta * cross;
    }
  }
  double inverse = 1 / ((double)images * pixels);
  for (int64_t j = 0; j < n; j++) {
    mean[c + j] = (real)mu[j];
    variance[c + j] = (real)(deviations[j] < 0 ? 0 : deviations[j] * inverse);
  }
}

// ---- normalise ----

static inline real ESP_NAME(deviation_inverse)(real variance, real epsilon) { return 1 / R(sqrt)(variance + epsilon); }

// gamma may be NULL: 1.
static inline void ESP_NAME(normalize_coefficients)(const real *mean, const real *variance, const real *gamma,
                                                    real epsilon, int64_t n, real *centre, real *scale) {
  for (int64_t j = 0; j < n; j++) {
    centre[j] = mean[j];
    scale[j] = ESP_NAME(deviation_inverse)(variance[j], epsilon) * (gamma ? gamma[j] : 1);
  }
}

ESP_LANES_INLINE lanes ESP_NAME(rectify)(lanes v, const bool relu) {
  return relu ? lanes_max(lanes_splat(0), v) : v;
}

// y = (x − centre)·scale + shift, or its relu, for n channels; `relu` is a constant.
ESP_LANES_INLINE void ESP_NAME(normalize_pixels)(const real *x, int64_t stride_x, real *y, int64_t stride_y,
                                                 int64_t pixels, int64_t n, const real *centre, const real *scale,
                                                 const real *shift, const bool relu) {
  if (n == LANES) {
    lanes m = lanes_load(centre), s = lanes_load(scale), b = lanes_load(shift);
    for (int64_t p = 0; p < pixels; p++, x += stride_x, y += stride_y) {
      lanes_store(y, ESP_NAME(rectify)(lanes_fma(lanes_load(x) - m, s, b), relu));
    }
    return;
  }
  for (int64_t p = 0; p < pixels; p++, x += stride_x, y += stride_y) {
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
      lanes d = lanes_load(x + j) - lanes_load(centre + j);
      lanes_store(y + j, ESP_NAME(rectify)(lanes_fma(d, lanes_load(scale + j), lanes_load(shift + j)), relu));
    }
    if (j < n) {
      lanes d = lanes_load_part(x + j, n - j) - lanes_load_part(centre + j, n - j);
      lanes v = lanes_fma(d, lanes_load_part(scale + j, n - j), lanes_load_part(shift + j, n - j));
      lanes_store_part(y + j, ESP_NAME(rectify)(v, relu), n - j);
    }
  }
}

// y = relu(x).
static inline void ESP_NAME(relu_pixels)(const real *x, int64_t stride_x, real *y, int64_t stride_y, int64_t pixels,
                                         int64_t n) {
  for (int64_t p = 0; p < pixels; p++, x += stride_x, y += stride_y) {
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) lanes_store(y + j, ESP_NAME(rectify)(lanes_load(x + j), true));
    if (j < n) lanes_store_part(y + j, ESP_NAME(rectify)(lanes_load_part(x + j, n - j), true), n - j);
  }
}

// ---- backward ----

// Σ dy and Σ dy·(x − mean) of one image, n ≤ LANES channels.
ESP_LANES_INLINE void ESP_NAME(image_sums)(const real *x, int64_t stride_x, const real *dy, int64_t stride_dy,
                                           int64_t pixels, int64_t n, const real *mean, double *sum,
                                           double *product) {
  double s[LANES] = {0}, q[LANES] = {0};
  lanes m = lanes_load_part(mean, n);
  for (int64_t first = 0; first < pixels; first += STRIP) {
    int64_t strip = pixels - first < STRIP ? pixels - first : STRIP;
    lanes s0 = lanes_splat(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0;
    int64_t i = 0;
    for (; i + 4 <= strip; i += 4, x += 4 * stride_x, dy += 4 * stride_dy) {
      lanes d0 = lanes_load_part(dy, n), d1 = lanes_load_part(dy + stride_dy, n);
      lanes d2 = lanes_load_part(dy + 2 * stride_dy, n), d3 = lanes_load_part(dy + 3 * stride_dy, n);
      s0 += d0;
      s1 += d1;
      s2 += d2;
      s3 += d3;
      q0 = lanes_fma(d0, lanes_load_part(x, n) - m, q0);
      q1 = lanes_fma(d1, lanes_load_part(x + stride_x, n) - m, q1);
      q2 = lanes_fma(d2, lanes_load_part(x + 2 * stride_x, n) - m, q2);
      q3 = lanes_fma(d3, lanes_load_part(x + 3 * stride_x, n) - m, q3);
    }
    for (; i < strip; i++, x += stride_x, dy += stride_dy) {
      lanes d0 = lanes_load_part(dy, n);
      s0 += d0;
      q0 = lanes_fma(d0, lanes_load_part(x, n) - m, q0);
    }
    lanes_fold(s, (s0 + s1) + (s2 + s3));
    lanes_fold(q, (q0 + q1) + (q2 + q3));
  }
  for (int64_t j = 0; j < n; j++) {
    sum[j] = s[j];
    product[j] = q[j];
  }
}

// Σ dy and Σ dy·(x − mean) of every channel of one image, into partial [2, channels]; mean may be NULL: 0.
static inline void ESP_NAME(channel_sums)(const real *x, int64_t stride_x, const real *dy, int64_t stride_dy,
                                          int64_t pixels, int64_t channels, const real *mean, double *partial) {
  static const real zeros[LANES];
  for (int64_t c = 0; c < channels; c += LANES) {
    int64_t n = channels - c < LANES ? channels - c : LANES;
    const real *centre = mean ? mean + c : zeros;
    double *s = partial + c, *q = partial + channels + c;
    if (n == LANES) ESP_NAME(image_sums)(x + c, stride_x, dy + c, stride_dy, pixels, LANES, centre, s, q);
    else ESP_NAME(image_sums)(x + c, stride_x, dy + c, stride_dy, pixels, n, centre, s, q);
  }
}

// Adds the partials of all images up, in order, for up to 16 channels from c on; returns how many.
static inline int64_t ESP_NAME(merge_sums)(const double *partial, int64_t images, int64_t channels, int64_t c,
                                           double *sum, double *product) {
  int64_t n = channels - c < 16 ? channels - c : 16;
  for (int64_t j = 0; j < 16; j++) sum[j] = product[j] = 0;
  for (int64_t image = 0; image < images; image++) {
    const double *s = partial + 2 * image * channels + c, *q = s + channels;
    for (int64_t j = 0; j < n; j++) {
      sum[j] += s[j];
      product[j] += q[j];
    }
  }
  return n;
}

// The coefficients of backward_pixels; `inverse` is 1 / m, `sum` and `product` the two rows of the sums.
static inline void ESP_NAME(backward_coefficients)(const real *mean, const real *variance, const real *gamma,
                                                   const real *sum, const real *product, real epsilon, real inverse,
                                                   int64_t n, real *centre, real *scale, real *a, real *b) {
  for (int64_t j = 0; j < n; j++) {
    real deviation = ESP_NAME(deviation_inverse)(variance[j], epsilon);
    centre[j] = mean[j];
    scale[j] = deviation * (gamma ? gamma[j] : 1);
    a[j] = sum[j] * inverse;
    b[j] = product[j] * inverse * deviation;
  }
}

// dx = scale·(dy − a − (x − centre)·b) for n channels.
static inline void ESP_NAME(backward_pixels)(const real *x, int64_t stride_x, const real *dy, int64_t stride_dy,
                                             real *dx, int64_t stride_dx, int64_t pixels, int64_t n,
                                             const real *centre, const real *scale, const real *a, const real *b) {
  if (n == LANES) {
    lanes m = lanes_load(centre), s = lanes_load(scale), va = lanes_load(a), vb = lanes_load(b);
    for (int64_t p = 0; p < pixels; p++, x += stride_x, dy += stride_dy, dx += stride_dx) {
      lanes_store(dx, (lanes_load(dy) - va - (lanes_load(x) - m) * vb) * s);
    }
    return;
  }
  for (int64_t p = 0; p < pixels; p++, x += stride_x, dy += stride_dy, dx += stride_dx) {
    for (int64_t j = 0; j < n; j += LANES) {
      lanes d = (lanes_load_part(x + j, n - j) - lanes_load_part(centre + j, n - j)) * lanes_load_part(b + j, n - j);
      lanes v = lanes_load_part(dy + j, n - j) - lanes_load_part(a + j, n - j) - d;
      lanes_store_part(dx + j, v * lanes_load_part(scale + j, n - j), n - j);
    }
  }
}
