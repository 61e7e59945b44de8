// Convolution in plain loops, the three directions, of one image: what the fast kernels are measured against, and all
// there is in double; the float version takes kernels too large for a weight panel. Included with REAL defined as the
// element type and SCALAR(name) as its name with a suffix. Layouts as in rows.h; any stride, padding, dilation and
// groups.

// y[oh, ow, k] = Σ_{r, s, c} x[oh·stride − pad + r·dilation, …, c]·w[r, s, c, k], in this order.
__attribute__((unused)) static void SCALAR(conv2d_image)(const conv_shape *g, const REAL *x, int64_t x_stride,
                                                         const REAL *w, REAL *y, int64_t y_stride) {
  const int cg = g->c / g->groups, kg = g->k / g->groups;
  for (int oh = 0; oh < g->oh; oh++) {
    for (int ow = 0; ow < g->ow; ow++) {
      REAL *out = y + ((int64_t)oh * g->ow + ow) * y_stride;
      for (int k = 0; k < g->k; k++) out[k] = 0;
      for (int r = 0; r < g->r; r++) {
        const int h = oh * g->stride_h - g->pad_h + r * g->dilation_h;
        if (h < 0 || h >= g->h) continue;
        for (int s = 0; s < g->s; s++) {
          const int column = ow * g->stride_w - g->pad_w + s * g->dilation_w;
          if (column < 0 || column >= g->w) continue;
          const REAL *in = x + ((int64_t)h * g->w + column) * x_stride;
          for (int c = 0; c < g->c; c++) {
            const int first = c / cg * kg;
            const REAL *row = w + ((int64_t)(r * g->s + s) * cg + c % cg) * g->k + first;
            for (int k = 0; k < kg; k++) out[first + k] += in[c] * row[k];
          }
        }
      }
    }
  }
}

// dx[h, w, c] = Σ_{r, s, k} dy[(h + pad − r·dilation) / stride, …, k]·w[r, s, c, k], over taps where it divides.
__attribute__((unused)) static void SCALAR(conv2d_backward_input_image)(const conv_shape *g, const REAL *dy,
                                                                        int64_t dy_stride, const REAL *w, REAL *dx,
                                                                        int64_t dx_stride) {
  const int cg = g->c / g->groups, kg = g->k / g->groups;
  for (int h = 0; h < g->h; h++) {
    for (int column = 0; column < g->w; column++) {
      REAL *out = dx + ((int64_t)h * g->w + column) * dx_stride;
      for (int c = 0; c < g->c; c++) out[c] = 0;
      for (int r = 0; r < g->r; r++) {
        const int up = h + g->pad_h - r * g->dilation_h, oh = up / g->stride_h;
        if (up < 0 || up % g->stride_h != 0 || oh >= g->oh) continue;
        for (int s = 0; s < g->s; s++) {
          const int left = column + g->pad_w - s * g->dilation_w, ow = left / g->stride_w;
          if (left < 0 || left % g->stride_w != 0 || ow >= g->ow) continue;
          const REAL *in = dy + ((int64_t)oh * g->ow + ow) * dy_stride;
          for (int c = 0; c < g->c; c++) {
            const int first = c / cg * kg;
            const REAL *row = w + ((int64_t)(r * g->s + s) * cg + c % cg) * g->k + first;
            REAL sum = 0;
            for (int k = 0; k < kg; k++) sum += in[first + k] * row[k];
            out[c] += sum;
          }
        }
      }
    }
  }
}

// partial[r, s, c, k] += Σ_{oh, ow} x[…, c]·dy[oh, ow, k] of one image, for one kernel row r.
__attribute__((unused)) static void SCALAR(conv2d_backward_weight_image)(const conv_shape *g, const REAL *x,
                                                                         int64_t x_stride, const REAL *dy,
                                                                         int64_t dy_stride, REAL *partial, int r) {
  const int cg = g->c / g->groups, kg = g->k / g->groups;
  for (int s = 0; s < g->s; s++) {
    for (int oh = 0; oh < g->oh; oh++) {
      const int h = oh * g->stride_h - g->pad_h + r * g->dilation_h;
      if (h < 0 || h >= g->h) continue;
      for (int ow = 0; ow < g->ow; ow++) {
        const int column = ow * g->stride_w - g->pad_w + s * g->dilation_w;
        if (column < 0 || column >= g->w) continue;
        const REAL *in = x + ((int64_t)h * g->w + column) * x_stride;
        const REAL *out = dy + ((int64_t)oh * g->ow + ow) * dy_stride;
        for (int c = 0; c < g->c; c++) {
          const int first = c / cg * kg;
          REAL *row = partial + ((int64_t)(r * g->s + s) * cg + c % cg) * g->k + first;
          for (int k = 0; k < kg; k++) row[k] += in[c] * out[first + k];
        }
      }
    }
  }
}
