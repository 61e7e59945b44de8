// Convolution in plain loops, the three directions, of one image: what the fast kernels are measured against, and all
// there is in double. Included once with REAL defined as the element type and SCALAR(name) as its name with a suffix.
// Layouts as in rows.h; any stride, padding, dilation and groups.

// y[oh, ow, k] = Σ_{r, s, c} x[oh·stride − pad + r·dilation, …, c]·w[r, s, c, k], in this order.
static void SCALAR(conv2d_image)(const conv_shape *g, const REAL *x, int64_t x_stride, const REAL *w, REAL *y,
                                 int64_t y_stride) {
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
static void SCALAR(conv2d_backward_input_image)(const conv_shape *g, const REAL *dy, int64_t dy_stride, const REAL *w,
                                                REAL *dx, int64_t dx_stride) {
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
static void SCALAR(conv2d_backward_weight_image)(const conv_shape *g, const REAL *x, int64_t x_stride, const REAL *dy,
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

// ---- whole tensors: one task an image, or a partial gradient and kernel row ----

typedef struct {
  void *const *base;
  const void *rows;
  int32_t count;
} SCALAR(conv2d_job);

static void SCALAR(conv2d_task)(void *context, int32_t index) {
  const SCALAR(conv2d_job) *job = context;
  const esp_conv2d_row *row = job->rows;
  while (index >= row->n) index -= (row++)->n;
  const conv_shape g = conv_shape_of(row);
  const int64_t xs = row->operand[0].stride, ys = row->operand[2].stride;
  SCALAR(conv2d_image)(&g, (const REAL *)job->base[0] + row->operand[0].offset + (int64_t)index * g.h * g.w * xs, xs,
                       (const REAL *)job->base[1] + row->operand[1].offset,
                       (REAL *)job->base[2] + row->operand[2].offset + (int64_t)index * g.oh * g.ow * ys, ys);
}
static void SCALAR(conv2d_backward_input_task)(void *context, int32_t index) {
  const SCALAR(conv2d_job) *job = context;
  const esp_conv2d_row *row = job->rows;
  while (index >= row->n) index -= (row++)->n;
  const conv_shape g = conv_shape_of(row);
  const int64_t dys = row->operand[0].stride, dxs = row->operand[2].stride;
  SCALAR(conv2d_backward_input_image)(
      &g, (const REAL *)job->base[0] + row->operand[0].offset + (int64_t)index * g.oh * g.ow * dys, dys,
      (const REAL *)job->base[1] + row->operand[1].offset,
      (REAL *)job->base[2] + row->operand[2].offset + (int64_t)index * g.h * g.w * dxs, dxs);
}
static void SCALAR(conv2d_backward_weight_task)(void *context, int32_t index) {
  const SCALAR(conv2d_job) *job = context;
  const esp_conv2d_weight_row *row = job->rows;
  while (index >= weight_groups(row->n) * row->r) index -= weight_groups(row->n) * row->r, row++;
  const conv_shape g = conv_weight_shape_of(row);
  const int groups = weight_groups(g.n), group = index / g.r, r = index % g.r;
  const int64_t xs = row->operand[0].stride, dys = row->operand[1].stride, size = conv_weight_size(&g);
  REAL *partial = (REAL *)job->base[3] + row->operand[3].offset + group * size;
  memset(partial + size / g.r * r, 0, (size_t)(size / g.r) * sizeof(REAL));
  for (int n = weight_group_start(g.n, groups, group); n < weight_group_start(g.n, groups, group + 1); n++) {
    SCALAR(conv2d_backward_weight_image)(
        &g, (const REAL *)job->base[0] + row->operand[0].offset + (int64_t)n * g.h * g.w * xs, xs,
        (const REAL *)job->base[1] + row->operand[1].offset + (int64_t)n * g.oh * g.ow * dys, dys, partial, r);
  }
}
static void SCALAR(conv2d_add_partials_task)(void *context, int32_t index) {
  const SCALAR(conv2d_job) *job = context;
  const esp_conv2d_weight_row *row = (const esp_conv2d_weight_row *)job->rows + index;
  const conv_shape g = conv_weight_shape_of(row);
  const int64_t size = conv_weight_size(&g);
  const REAL *partial = (const REAL *)job->base[3] + row->operand[3].offset;
  REAL *dw = (REAL *)job->base[2] + row->operand[2].offset;
  memcpy(dw, partial, (size_t)size * sizeof(REAL));
  for (int group = 1; group < weight_groups(g.n); group++) {
    for (int64_t i = 0; i < size; i++) dw[i] += partial[group * size + i];
  }
}

static void SCALAR(conv2d_forward)(void *const *base, const void *rows, int32_t count) {
  SCALAR(conv2d_job) job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) tasks += ((const esp_conv2d_row *)rows)[i].n;
  esp_parallel(tasks, SCALAR(conv2d_task), &job);
}
static void SCALAR(conv2d_backward_input)(void *const *base, const void *rows, int32_t count) {
  SCALAR(conv2d_job) job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) tasks += ((const esp_conv2d_row *)rows)[i].n;
  esp_parallel(tasks, SCALAR(conv2d_backward_input_task), &job);
}
static void SCALAR(conv2d_backward_weight)(void *const *base, const void *rows, int32_t count) {
  SCALAR(conv2d_job) job = {base, rows, count};
  int32_t tasks = 0;
  for (int32_t i = 0; i < count; i++) {
    const esp_conv2d_weight_row *row = (const esp_conv2d_weight_row *)rows + i;
    tasks += weight_groups(row->n) * row->r;
  }
  esp_parallel(tasks, SCALAR(conv2d_backward_weight_task), &job);
  esp_parallel(count, SCALAR(conv2d_add_partials_task), &job);
}
