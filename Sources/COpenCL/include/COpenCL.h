// OpenCL and CLBlast, opened at run time: a machine without them builds, links and runs.
//
// No OpenCL type appears here, so a program compiles alike with and without OpenCL's headers. Every call that can fail
// returns a status (0 is success) and, where `error` is given, a sentence about what failed. Nothing prints, aborts or
// calls back. The caller holds a lock: no function here may run on two threads at once.
#ifndef COPENCL_H
#define COPENCL_H

#include <stddef.h>
#include <stdint.h>

// Status: OpenCL's codes (0 to -1001), CLBlast's (from -1002 to -2999), or one of these.
enum {
  ESP_CL_SUCCESS = 0,
  ESP_CL_NO_HEADERS = -9001,    // built without OpenCL's headers
  ESP_CL_NO_LOADER = -9002,     // libOpenCL cannot be opened
  ESP_CL_NO_SYMBOL = -9003,     // libOpenCL is too old
  ESP_CL_NO_PLATFORM = -9004,   // no driver is registered
  ESP_CL_NO_DEVICE = -9005,     // drivers, but no device
  ESP_CL_NO_MEMORY = -9010,     // refused by our own account of bytes
  ESP_CL_TOO_LARGE = -9011,     // more than one buffer may hold
  ESP_CL_BAD_ARGUMENT = -9012,  // refused before it reached the driver
  ESP_CL_NO_CLBLAST = -9020     // CLBlast cannot be opened, or built without its headers
};

// "CL_OUT_OF_RESOURCES", "CLBLAST_INVALID_DIMENSION", …; "unknown status" for others.
const char *esp_cl_status_name(int32_t status);

// ---- loading and devices ----

// Opens the OpenCL library and lists the devices of all platforms; later calls repeat the first answer. `library`: a
// file name, or NULL for the system's loader. Sets POCL_AFFINITY=1 where it is unset.
int32_t esp_cl_load(const char *library, char *error, size_t capacity);

enum { ESP_CL_CPU = 1, ESP_CL_GPU = 2, ESP_CL_ACCELERATOR = 3, ESP_CL_OTHER = 4 };
enum { ESP_CL_UNKNOWN_DRIVER, ESP_CL_POCL, ESP_CL_NVIDIA, ESP_CL_AMD, ESP_CL_INTEL, ESP_CL_OCLGRIND };

typedef struct {
  const char *name, *vendor, *driver, *version, *language, *extensions, *platform;  // live as long as the process
  uint64_t global_memory, max_allocation, local_memory;                            // bytes
  uint32_t compute_units, alignment /* bytes, of a slice's offset */, max_group, clock_mhz;
  int32_t type, vendor_kind;
  int32_t fp64, unified_memory;  // 0 or 1
} esp_cl_device;

int32_t esp_cl_device_count(void);                   // 0 before and after a failed load
const esp_cl_device *esp_cl_device_at(int32_t index);  // NULL where there is none

// ---- contexts and buffers ----

typedef struct esp_cl_context esp_cl_context;  // a context and its one in-order queue
typedef struct esp_cl_buffer esp_cl_buffer;
typedef struct esp_cl_program esp_cl_program;
typedef struct esp_cl_kernel esp_cl_kernel;

int32_t esp_cl_open(int32_t device, int32_t profiling, esp_cl_context **out, char *error, size_t capacity);
// Waits, then releases programs, kernels and queue. Release buffers before: they hold on to their context.
void esp_cl_close(esp_cl_context *context);

// Bytes of live buffers, their maximum, and what they may reach (drivers may abort where memory really ends).
uint64_t esp_cl_bytes_used(const esp_cl_context *context);
uint64_t esp_cl_bytes_peak(const esp_cl_context *context);
uint64_t esp_cl_bytes_limit(const esp_cl_context *context);
void esp_cl_set_bytes_limit(esp_cl_context *context, uint64_t bytes);

int32_t esp_cl_buffer_create(esp_cl_context *context, uint64_t bytes, esp_cl_buffer **out, char *error,
                             size_t capacity);
// A part of a buffer, as a buffer of its own (no new memory). `offset`: a multiple of the device's alignment.
int32_t esp_cl_buffer_slice(esp_cl_context *context, esp_cl_buffer *parent, uint64_t offset, uint64_t bytes,
                            esp_cl_buffer **out, char *error, size_t capacity);
void esp_cl_buffer_release(esp_cl_context *context, esp_cl_buffer *buffer);
uint64_t esp_cl_buffer_bytes(const esp_cl_buffer *buffer);

// Host memory in the driver's hands (`memory`, mapped while `out` lives), from which writes need no copy in between.
int32_t esp_cl_pinned_create(esp_cl_context *context, uint64_t bytes, esp_cl_buffer **out, void **memory, char *error,
                             size_t capacity);
void esp_cl_pinned_release(esp_cl_context *context, esp_cl_buffer *buffer, void *memory);

// Offsets and sizes in bytes, checked; zero bytes do nothing. Without `blocking`, host memory stays untouched by the
// caller until the next finish or blocking call.
int32_t esp_cl_write(esp_cl_context *context, esp_cl_buffer *buffer, uint64_t offset, uint64_t bytes,
                     const void *host, int32_t blocking);
int32_t esp_cl_read(esp_cl_context *context, esp_cl_buffer *buffer, uint64_t offset, uint64_t bytes, void *host,
                    int32_t blocking);
int32_t esp_cl_copy(esp_cl_context *context, esp_cl_buffer *from, uint64_t from_offset, esp_cl_buffer *to,
                    uint64_t to_offset, uint64_t bytes);
// `words` 32-bit words of the pattern from byte `offset`, a multiple of 4.
int32_t esp_cl_fill(esp_cl_context *context, esp_cl_buffer *buffer, uint64_t offset, uint64_t words, uint32_t pattern);
int32_t esp_cl_flush(esp_cl_context *context);
int32_t esp_cl_finish(esp_cl_context *context);

// ---- programs and launches ----

// Builds the texts as one program with `-cl-std=CL1.2` and the options (may be NULL). Equal texts and options return
// the same program, or the same failure, without another build. `log`: the compiler's text, with the names given.
int32_t esp_cl_build(esp_cl_context *context, const char *const *names, const char *const *texts,
                     const size_t *lengths, int32_t count, const char *options, esp_cl_program **out, char *log,
                     size_t capacity);
// Where built programs are kept from now on; NULL: nowhere. At first under XDG_CACHE_HOME for drivers that have no cache
// of their own, else nowhere. A folder that cannot be written keeps nothing and is no error.
void esp_cl_set_binary_folder(esp_cl_context *context, const char *folder);
int32_t esp_cl_program_is_binary(const esp_cl_program *program);  // 1: from a file, not built here
// Kernels belong to their program; equal names return the same kernel.
int32_t esp_cl_kernel_named(esp_cl_program *program, const char *name, esp_cl_kernel **out, char *error,
                            size_t capacity);
int32_t esp_cl_kernel_arguments(const esp_cl_kernel *kernel);  // buffers and rows together

#define ESP_CL_DIMENSION_MAX 65535u
// Enqueues kernel(buffers…, rows) over global_x items and global_y rows. A dimension is rounded up to its local size;
// global_x is cut to ESP_CL_DIMENSION_MAX (items loop), global_y above it is refused. A buffer may be NULL where every
// row calls the operand absent. Zero items or rows do nothing.
int32_t esp_cl_launch(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers, int32_t count,
                      esp_cl_buffer *rows, uint64_t global_x, uint64_t global_y, uint32_t local_x, uint32_t local_y);
// The same over rows `first_row` to `first_row` + `global_y` of the buffer, so that the rows of many launches, each type
// at a multiple of its own size, go to the device in one write.
int32_t esp_cl_launch_from(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers,
                           int32_t count, esp_cl_buffer *rows, uint64_t first_row, uint64_t global_x,
                           uint64_t global_y, uint32_t local_x);
// As esp_cl_launch, waiting for its end; nanoseconds on the device. Needs a profiling queue.
int32_t esp_cl_launch_timed(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers,
                            int32_t count, esp_cl_buffer *rows, uint64_t global_x, uint64_t global_y,
                            uint32_t local_x, uint32_t local_y, uint64_t *nanoseconds);

// ---- CLBlast: row-major float32; offsets, leading dimensions and distances in elements; empty calls succeed ----

int32_t esp_cl_blast_load(char *error, size_t capacity);  // opens CLBlast; repeated by every call below
int32_t esp_cl_blast_gemm(esp_cl_context *context, int32_t transpose_a, int32_t transpose_b, uint64_t m, uint64_t n,
                          uint64_t k, float alpha, esp_cl_buffer *a, uint64_t a_offset, uint64_t lda,
                          esp_cl_buffer *b, uint64_t b_offset, uint64_t ldb, float beta, esp_cl_buffer *y,
                          uint64_t y_offset, uint64_t ldy);
int32_t esp_cl_blast_gemm_batched(esp_cl_context *context, int32_t transpose_a, int32_t transpose_b, uint64_t m,
                                  uint64_t n, uint64_t k, float alpha, esp_cl_buffer *a, uint64_t a_offset,
                                  uint64_t lda, uint64_t a_distance, esp_cl_buffer *b, uint64_t b_offset,
                                  uint64_t ldb, uint64_t b_distance, float beta, esp_cl_buffer *y,
                                  uint64_t y_offset, uint64_t ldy, uint64_t y_distance, uint64_t batch);
// Convolution as CLBlast has it: x [n, c, h, w], w [k, c, r, s], y [n, k, oh, ow]; no groups.
int32_t esp_cl_blast_convolution(esp_cl_context *context, uint64_t n, uint64_t c, uint64_t h, uint64_t w, uint64_t k,
                                 uint64_t r, uint64_t s, uint64_t pad_h, uint64_t pad_w, uint64_t stride_h,
                                 uint64_t stride_w, uint64_t dilation_h, uint64_t dilation_w, esp_cl_buffer *x,
                                 uint64_t x_offset, esp_cl_buffer *weight, uint64_t weight_offset,
                                 esp_cl_buffer *y, uint64_t y_offset);
// y[y_offset] = Σ x.
int32_t esp_cl_blast_sum(esp_cl_context *context, uint64_t count, esp_cl_buffer *x, uint64_t x_offset,
                         uint64_t x_increment, esp_cl_buffer *y, uint64_t y_offset);

#endif
