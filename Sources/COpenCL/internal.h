// What the files of this target share: the table of OpenCL's functions and the structures behind the opaque pointers.
#ifndef COPENCL_INTERNAL_H
#define COPENCL_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // setenv under -std=c2x
#endif

#include "COpenCL.h"

#if __has_include(<CL/cl.h>)
#define ESP_HAVE_CL 1
#else
#define ESP_HAVE_CL 0
#endif

// Writes the text, cut to the capacity (0 or a null pointer: nothing), and returns the status.
int32_t esp_cl_fail(int32_t status, char *error, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#if ESP_HAVE_CL

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>
#include <stdbool.h>

#define ESP_CL_FUNCTIONS(X)                                                                                        \
  X(clGetPlatformIDs) X(clGetPlatformInfo) X(clGetDeviceIDs) X(clGetDeviceInfo)                                    \
  X(clCreateContext) X(clReleaseContext) X(clCreateCommandQueue) X(clReleaseCommandQueue)                          \
  X(clCreateBuffer) X(clCreateSubBuffer) X(clReleaseMemObject)                                                     \
  X(clEnqueueWriteBuffer) X(clEnqueueReadBuffer) X(clEnqueueCopyBuffer) X(clEnqueueFillBuffer)                     \
  X(clEnqueueMapBuffer) X(clEnqueueUnmapMemObject)                                                                 \
  X(clFlush) X(clFinish)                                                                                           \
  X(clCreateProgramWithSource) X(clBuildProgram) X(clGetProgramBuildInfo) X(clReleaseProgram)                      \
  X(clCreateProgramWithBinary) X(clGetProgramInfo)                                                                 \
  X(clCreateKernel) X(clGetKernelInfo) X(clSetKernelArg) X(clReleaseKernel) X(clEnqueueNDRangeKernel)              \
  X(clWaitForEvents) X(clGetEventProfilingInfo) X(clReleaseEvent)

typedef struct {
#define ESP_CL_FIELD(name) __typeof__(&name) name;
  ESP_CL_FUNCTIONS(ESP_CL_FIELD)
#undef ESP_CL_FIELD
} esp_cl_functions;

extern esp_cl_functions esp_cl;  // filled by esp_cl_load

typedef struct {
  esp_cl_device device;
  cl_platform_id platform;
  cl_device_id id;
} esp_cl_entry;

const esp_cl_entry *esp_cl_entry_at(int32_t index);

struct esp_cl_context {
  const esp_cl_entry *entry;
  cl_context context;
  cl_command_queue queue;
  bool profiling;
  uint64_t used, peak, limit;
  esp_cl_program *programs;     // linked list: few, looked up rarely
  esp_cl_program *fill_program;  // built at the first fill
  bool fill_failed;
  char *binaries;               // the folder of built programs; NULL: none is kept
};

struct esp_cl_buffer {
  cl_mem memory;
  uint64_t bytes;
  bool slice;
};

struct esp_cl_kernel {
  esp_cl_kernel *next;
  cl_kernel kernel;
  int32_t status;     // of its creation: failures are remembered too
  int32_t arguments;
  cl_mem *bound;      // the arguments as last set
  bool *is_bound;
  char name[];
};

struct esp_cl_program {
  esp_cl_program *next;
  esp_cl_context *context;
  cl_program program;
  int32_t status;
  bool is_binary;  // not built here, but read from a file
  uint64_t key[2];
  char *log;
  esp_cl_kernel *kernels;
};

void esp_cl_program_release_all(esp_cl_context *context);
// Forgets that kernels were last launched with this buffer: its handle may come back for another one.
void esp_cl_program_forget(esp_cl_context *context, cl_mem memory);

typedef struct {
  uint32_t state[8];
  uint64_t length;
  unsigned char block[64];
} esp_sha256;

void esp_sha256_begin(esp_sha256 *hash);
void esp_sha256_add(esp_sha256 *hash, const void *bytes, size_t count);
void esp_sha256_end(esp_sha256 *hash, unsigned char digest[32]);

// Where the device's built programs are kept, to be freed; NULL where the driver keeps them itself.
char *esp_cl_binary_folder(const esp_cl_device *device);
void esp_cl_binary_key(const esp_cl_device *device, const char *options, const char *const *texts,
                       const size_t *lengths, int32_t count, unsigned char key[32]);
// The program of that key, built; NULL where the folder has no sound file that the driver takes.
cl_program esp_cl_binary_load(esp_cl_context *context, const unsigned char key[32], const char *options);
// Keeps a built program; where that fails, nothing is kept.
void esp_cl_binary_save(esp_cl_context *context, const unsigned char key[32], cl_program program);

#endif
#endif
