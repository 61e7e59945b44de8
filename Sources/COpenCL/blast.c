// CLBlast, opened at run time. Measured on PoCL: right, but 20-28 GFLOP/s and seconds for a first call; it is the
// oracle and the general matrix product of GPUs, never part of a search step on PoCL.
#include "internal.h"

#if ESP_HAVE_CL && __has_include(<clblast_c.h>)

#include <clblast_c.h>
#include <dlfcn.h>

static struct {
  __typeof__(&CLBlastSgemm) gemm;
  __typeof__(&CLBlastSgemmStridedBatched) gemm_batched;
  __typeof__(&CLBlastSconvgemm) convolution;
  __typeof__(&CLBlastSsum) sum;
} blast;

int32_t esp_cl_blast_load(char *error, size_t capacity) {
  static bool tried;
  static int32_t status;
  static char text[256];
  if (!tried) {
    tried = true;
    void *handle = dlopen("libclblast.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char *why = dlerror();
      status = esp_cl_fail(ESP_CL_NO_CLBLAST, text, sizeof text, "no CLBlast: %s", why ? why : "libclblast.so.1");
    } else {
      *(void **)&blast.gemm = dlsym(handle, "CLBlastSgemm");
      *(void **)&blast.gemm_batched = dlsym(handle, "CLBlastSgemmStridedBatched");
      *(void **)&blast.convolution = dlsym(handle, "CLBlastSconvgemm");
      *(void **)&blast.sum = dlsym(handle, "CLBlastSsum");
      if (!blast.gemm || !blast.gemm_batched || !blast.convolution || !blast.sum) {
        status = esp_cl_fail(ESP_CL_NO_CLBLAST, text, sizeof text, "libclblast.so.1 is too old");
      }
    }
  }
  return status ? esp_cl_fail(status, error, capacity, "%s", text) : 0;
}

static CLBlastTranspose transpose(int32_t on) { return on ? CLBlastTransposeYes : CLBlastTransposeNo; }

int32_t esp_cl_blast_gemm(esp_cl_context *context, int32_t transpose_a, int32_t transpose_b, uint64_t m, uint64_t n,
                          uint64_t k, float alpha, esp_cl_buffer *a, uint64_t a_offset, uint64_t lda,
                          esp_cl_buffer *b, uint64_t b_offset, uint64_t ldb, float beta, esp_cl_buffer *y,
                          uint64_t y_offset, uint64_t ldy) {
  int32_t status = esp_cl_blast_load(NULL, 0);
  if (status || m == 0 || n == 0) return status;
  if (k == 0 || !a || !b || !y) return ESP_CL_BAD_ARGUMENT;  // k = 0 would have to scale y: fill it instead
  return blast.gemm(CLBlastLayoutRowMajor, transpose(transpose_a), transpose(transpose_b), m, n, k, alpha, a->memory,
                    a_offset, lda, b->memory, b_offset, ldb, beta, y->memory, y_offset, ldy, &context->queue, NULL);
}

int32_t esp_cl_blast_gemm_batched(esp_cl_context *context, int32_t transpose_a, int32_t transpose_b, uint64_t m,
                                  uint64_t n, uint64_t k, float alpha, esp_cl_buffer *a, uint64_t a_offset,
                                  uint64_t lda, uint64_t a_distance, esp_cl_buffer *b, uint64_t b_offset,
                                  uint64_t ldb, uint64_t b_distance, float beta, esp_cl_buffer *y,
                                  uint64_t y_offset, uint64_t ldy, uint64_t y_distance, uint64_t batch) {
  int32_t status = esp_cl_blast_load(NULL, 0);
  if (status || m == 0 || n == 0 || batch == 0) return status;
  if (k == 0 || !a || !b || !y) return ESP_CL_BAD_ARGUMENT;
  return blast.gemm_batched(CLBlastLayoutRowMajor, transpose(transpose_a), transpose(transpose_b), m, n, k, alpha,
                            a->memory, a_offset, lda, a_distance, b->memory, b_offset, ldb, b_distance, beta,
                            y->memory, y_offset, ldy, y_distance, batch, &context->queue, NULL);
}

int32_t esp_cl_blast_convolution(esp_cl_context *context, uint64_t n, uint64_t c, uint64_t h, uint64_t w, uint64_t k,
                                 uint64_t r, uint64_t s, uint64_t pad_h, uint64_t pad_w, uint64_t stride_h,
                                 uint64_t stride_w, uint64_t dilation_h, uint64_t dilation_w, esp_cl_buffer *x,
                                 uint64_t x_offset, esp_cl_buffer *weight, uint64_t weight_offset,
                                 esp_cl_buffer *y, uint64_t y_offset) {
  int32_t status = esp_cl_blast_load(NULL, 0);
  if (status || n == 0 || k == 0) return status;
  if (!c || !h || !w || !r || !s || !stride_h || !stride_w || !dilation_h || !dilation_w || !x || !weight || !y ||
      (r - 1) * dilation_h + 1 > h + 2 * pad_h || (s - 1) * dilation_w + 1 > w + 2 * pad_w) {
    return ESP_CL_BAD_ARGUMENT;
  }
  return blast.convolution(CLBlastKernelModeCrossCorrelation, c, h, w, r, s, pad_h, pad_w, stride_h, stride_w,
                           dilation_h, dilation_w, k, n, x->memory, x_offset, weight->memory, weight_offset,
                           y->memory, y_offset, &context->queue, NULL);
}

int32_t esp_cl_blast_sum(esp_cl_context *context, uint64_t count, esp_cl_buffer *x, uint64_t x_offset,
                         uint64_t x_increment, esp_cl_buffer *y, uint64_t y_offset) {
  int32_t status = esp_cl_blast_load(NULL, 0);
  if (status || !y) return status ? status : ESP_CL_BAD_ARGUMENT;
  if (count == 0) return esp_cl_fill(context, y, y_offset * 4, 1, 0);
  if (!x || x_increment == 0) return ESP_CL_BAD_ARGUMENT;
  return blast.sum(count, y->memory, y_offset, x->memory, x_offset, x_increment, &context->queue, NULL);
}

#else

// One answer for all: what is missing, and the parameters left alone.
#if ESP_HAVE_CL
#define ESP_MISSING ESP_CL_NO_CLBLAST
#else
#define ESP_MISSING ESP_CL_NO_HEADERS
#endif

int32_t esp_cl_blast_load(char *error, size_t capacity) {
  return esp_cl_fail(ESP_MISSING, error, capacity, "built without CLBlast's headers");
}
int32_t esp_cl_blast_gemm(esp_cl_context *, int32_t, int32_t, uint64_t, uint64_t, uint64_t, float, esp_cl_buffer *,
                          uint64_t, uint64_t, esp_cl_buffer *, uint64_t, uint64_t, float, esp_cl_buffer *, uint64_t,
                          uint64_t) {
  return ESP_MISSING;
}
int32_t esp_cl_blast_gemm_batched(esp_cl_context *, int32_t, int32_t, uint64_t, uint64_t, uint64_t, float,
                                  esp_cl_buffer *, uint64_t, uint64_t, uint64_t, esp_cl_buffer *, uint64_t, uint64_t,
                                  uint64_t, float, esp_cl_buffer *, uint64_t, uint64_t, uint64_t, uint64_t) {
  return ESP_MISSING;
}
int32_t esp_cl_blast_convolution(esp_cl_context *, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                                 esp_cl_buffer *, uint64_t, esp_cl_buffer *, uint64_t, esp_cl_buffer *, uint64_t) {
  return ESP_MISSING;
}
int32_t esp_cl_blast_sum(esp_cl_context *, uint64_t, esp_cl_buffer *, uint64_t, uint64_t, esp_cl_buffer *,
                         uint64_t) {
  return ESP_MISSING;
}

#endif
