// Built programs in files, for drivers that keep none themselves.
//
// A file is named by the SHA-256 of all that made the program: texts, options, device, driver. It holds a magic number,
// the payload's length, the SHA-256 of name and payload, and the payload: drivers may crash on a binary that was
// damaged or meant for another. Whatever is wrong with a file or its folder, the program is built from its source.
#include "internal.h"

#if ESP_HAVE_CL

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = {'E', 'S', 'P', 'C', 'L', 'B', '1', '\n'};

typedef struct {
  char magic[8];
  uint64_t length;  // of the payload, in the machine's byte order
  unsigned char digest[32];
} header;

#define PAYLOAD_MAX ((off_t)1 << 30)

char *esp_cl_binary_folder(const esp_cl_device *device) {
  // The simulator only interprets.
  int32_t kind = device->vendor_kind;
  if (kind == ESP_CL_POCL || kind == ESP_CL_NVIDIA || kind == ESP_CL_OCLGRIND) return NULL;
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  bool named = cache && *cache == '/';  // else ignored, as the XDG specification wants it
  if (!named && !(home && *home == '/')) return NULL;
  char *folder = NULL;
  int length = asprintf(&folder, "%s%s/espalier/opencl", named ? cache : home, named ? "" : "/.cache");
  return length < 0 ? NULL : folder;
}

static void add_text(esp_sha256 *hash, const char *text, uint64_t length) {
  esp_sha256_add(hash, &length, sizeof length);  // so that the cut between two texts counts
  esp_sha256_add(hash, text, length);
}

void esp_cl_binary_key(const esp_cl_device *device, const char *options, const char *const *texts,
                       const size_t *lengths, int32_t count, unsigned char key[32]) {
  esp_sha256 hash;
  esp_sha256_begin(&hash);
  const char *made_by[] = {device->name, device->vendor, device->version, device->driver, device->platform, options};
  for (size_t i = 0; i < sizeof made_by / sizeof *made_by; i++) add_text(&hash, made_by[i], strlen(made_by[i]));
  for (int32_t i = 0; i < count; i++) add_text(&hash, texts[i], lengths[i]);
  esp_sha256_end(&hash, key);
}

static void digest_of(const unsigned char key[32], const void *payload, size_t length, unsigned char digest[32]) {
  esp_sha256 hash;
  esp_sha256_begin(&hash);
  esp_sha256_add(&hash, key, 32);  // a file under another's name is refused
  esp_sha256_add(&hash, payload, length);
  esp_sha256_end(&hash, digest);
}

static char *path_of(const char *folder, const unsigned char key[32]) {
  char name[65], *path = NULL;
  for (int i = 0; i < 32; i++) snprintf(name + 2 * i, 3, "%02x", key[i]);
  return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static bool read_all(int file, void *bytes, size_t count) {
  for (char *to = bytes; count;) {
    ssize_t part = read(file, to, count);
    if (part <= 0) return false;
    to += part, count -= (size_t)part;
  }
  return true;
}

static bool write_all(int file, const void *bytes, size_t count) {
  for (const char *from = bytes; count;) {
    ssize_t part = write(file, from, count);
    if (part <= 0) return false;
    from += part, count -= (size_t)part;
  }
  return true;
}

// The payload, to be freed; NULL where there is none or it is not what was written.
static unsigned char *read_payload(const char *path, const unsigned char key[32], size_t *length) {
  int file = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;  // a pipe would wait
  if (file < 0) return NULL;
  struct stat status;
  header head;
  unsigned char *payload = NULL, digest[32];
  bool good = !fstat(file, &status) && S_ISREG(status.st_mode) && status.st_size > (off_t)sizeof head &&
              status.st_size <= PAYLOAD_MAX && read_all(file, &head, sizeof head) &&
              !memcmp(head.magic, magic, sizeof magic) && head.length == (uint64_t)status.st_size - sizeof head &&
              (payload = malloc(head.length)) && read_all(file, payload, head.length);
  close(file);
  if (good) {
    *length = head.length;
    digest_of(key, payload, *length, digest);
    good = !memcmp(digest, head.digest, sizeof digest);
  }
  if (good) return payload;
  free(payload);
  return NULL;
}

cl_program esp_cl_binary_load(esp_cl_context *context, const unsigned char key[32], const char *options) {
  char *path = path_of(context->binaries, key);
  size_t length = 0;
  unsigned char *payload = read_payload(path, key, &length);
  free(path);
  if (!payload) return NULL;
  const unsigned char *binaries[] = {payload};
  cl_int status = 0, loaded = 0;
  cl_program program = esp_cl.clCreateProgramWithBinary(context->context, 1, &context->entry->id, &length, binaries,
                                                        &loaded, &status);
  free(payload);
  if (status || !program) return NULL;
  if (!loaded && !esp_cl.clBuildProgram(program, 1, &context->entry->id, options, NULL, NULL)) return program;
  esp_cl.clReleaseProgram(program);
  return NULL;
}

static void make_folders(char *path) {
  for (char *end = path; end; *end = '/') {
    end = strchr(end + 1, '/');
    if (!end) break;
    *end = 0;
    mkdir(path, 0700);
  }
}

// The file appears whole or not at all: it gets its name last.
static void write_payload(const char *path, const unsigned char key[32], const void *payload, size_t length) {
  char *temporary = NULL;
  if (asprintf(&temporary, "%s.XXXXXX", path) < 0) return;
  make_folders(temporary);
  header head = {.length = length};
  memcpy(head.magic, magic, sizeof magic);
  digest_of(key, payload, length, head.digest);
  int file = mkostemp(temporary, O_CLOEXEC);
  if (file >= 0) {
    bool written = write_all(file, &head, sizeof head) && write_all(file, payload, length);
    if (close(file) || !written || rename(temporary, path)) unlink(temporary);
  }
  free(temporary);
}

void esp_cl_binary_save(esp_cl_context *context, const unsigned char key[32], cl_program program) {
  size_t length = 0;
  if (esp_cl.clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof length, &length, NULL) || length == 0 ||
      length > (size_t)PAYLOAD_MAX - sizeof(header)) {
    return;
  }
  unsigned char *payload = malloc(length);
  char *path = path_of(context->binaries, key);
  if (payload && path && !esp_cl.clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof payload, &payload, NULL)) {
    write_payload(path, key, payload, length);
  }
  free(path), free(payload);
}

void esp_cl_set_binary_folder(esp_cl_context *context, const char *folder) {
  free(context->binaries);
  context->binaries = folder ? strdup(folder) : NULL;
}

#endif
