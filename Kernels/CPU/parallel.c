// The thread pool, the choice of an instruction set, and a pointer and scratch memory a thread.
//
// One region runs at a time: its caller publishes a ticket (generation, indices left), takes indices itself, and
// returns when every index is done. Workers take indices too, but nobody waits for a worker that has taken none, so a
// region costs nothing extra while workers sleep. A ticket with nothing left cannot be taken from; a take succeeds only
// if the ticket has not changed since its region's fields were read. Hence no worker ever mixes two regions.
//
// A nested call, and a call made while another OS thread owns the pool, runs inline. Denormals are flushed in workers
// and, during a region, in the caller: results do not depend on who runs an index.
#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../include/CKernels.h"

int esp_isa_level(void);
float *esp_thread_scratch(size_t bytes);

#define MAXIMUM_THREADS 256
#define SPIN_NANOSECONDS 50000

typedef void (*region_body)(void *context, int32_t index);

static struct {
  _Alignas(64) _Atomic uint64_t ticket;  // generation in the upper half, indices left in the lower
  _Alignas(64) _Atomic int32_t done;
  _Alignas(64) _Atomic(region_body) body;
  _Atomic(void *) context;
  _Atomic int32_t count, threads;  // threads: 0 until known
  _Alignas(64) _Atomic int32_t sleepers;
  _Atomic bool caller_sleeps;
  int32_t started, cores;  // guarded by owner
  pthread_mutex_t owner, sleep;
  pthread_cond_t work, finish;
} pool = {
  .owner = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER,
  .work = PTHREAD_COND_INITIALIZER, .finish = PTHREAD_COND_INITIALIZER,
};

static _Thread_local bool inside_region;
static _Thread_local void *slot;

void *esp_thread_slot(void) { return slot; }
void esp_set_thread_slot(void *value) { slot = value; }

// ---- scratch ----

static pthread_key_t scratch_key;  // frees a thread's scratch when the thread ends
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static _Thread_local float *scratch;
static _Thread_local size_t scratch_size;

static void make_scratch_key(void) { pthread_key_create(&scratch_key, free); }

// Grows, never shrinks; what it held is lost when it grows.
float *esp_thread_scratch(size_t bytes) {
  if (bytes <= scratch_size) return scratch;
  pthread_once(&scratch_once, make_scratch_key);
  free(scratch);
  scratch_size = (bytes + 65535) / 65536 * 65536;
  scratch = aligned_alloc(64, scratch_size);
  if (!scratch) {
    fprintf(stderr, "espalier: no memory for %zu bytes of scratch\n", scratch_size);
    abort();
  }
  pthread_setspecific(scratch_key, scratch);
  return scratch;
}

// ---- denormals ----

#if defined(__x86_64__)
static uint64_t flush_denormals(void) {
  uint32_t old = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(old | 0x8040);
  return old;
}
static void restore_denormals(uint64_t old) { __builtin_ia32_ldmxcsr((uint32_t)old); }
#elif defined(__aarch64__)
static uint64_t flush_denormals(void) {
  uint64_t old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" : : "r"(old | (UINT64_C(1) << 24)));
  return old;
}
static void restore_denormals(uint64_t old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
static uint64_t flush_denormals(void) { return 0; }
static void restore_denormals(uint64_t old) { (void)old; }
#endif

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// ---- number of threads ----

// What a container may use: its affinity mask, and its quota of CPU time where one is set.
static int32_t available_cores(void) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (file) {
    long quota, period;
    if (fscanf(file, "%ld %ld", &quota, &period) == 2 && quota > 0 && period > 0) {
      long allowed = (quota + period - 1) / period;
      if (allowed < cores) cores = allowed;
    }
    fclose(file);
  }
#endif
  return cores < 1 ? 1 : cores > MAXIMUM_THREADS ? MAXIMUM_THREADS : (int32_t)cores;
}

static void choose_threads(int32_t threads) {
  if (pool.cores == 0) pool.cores = available_cores();
  if (threads <= 0) threads = pool.cores;
  if (threads > MAXIMUM_THREADS) threads = MAXIMUM_THREADS;
  atomic_store(&pool.threads, threads);
}

void esp_set_threads(int32_t threads) {
  if (inside_region) return;
  pthread_mutex_lock(&pool.owner);
  choose_threads(threads);
  pthread_mutex_unlock(&pool.owner);
}

int32_t esp_threads(void) {
  if (atomic_load(&pool.threads) == 0) {  // then no region holds the lock
    pthread_mutex_lock(&pool.owner);
    const char *wish = getenv("ESPALIER_THREADS");
    if (atomic_load(&pool.threads) == 0) choose_threads(wish ? atoi(wish) : 0);
    pthread_mutex_unlock(&pool.owner);
  }
  return atomic_load(&pool.threads);
}

// ---- regions ----

// Takes and runs indices until the current region has none left.
static void run_indices(void) {
  uint64_t ticket = atomic_load(&pool.ticket);
  while ((uint32_t)ticket != 0) {
    int32_t left = (int32_t)(uint32_t)ticket;
    region_body body = atomic_load_explicit(&pool.body, memory_order_relaxed);
    void *context = atomic_load_explicit(&pool.context, memory_order_relaxed);
    int32_t count = atomic_load_explicit(&pool.count, memory_order_relaxed);
    // Several indices at once only while there are very many, so that the end stays even.
    int32_t taken = 1 + left / (32 * atomic_load_explicit(&pool.threads, memory_order_relaxed));
    if (!atomic_compare_exchange_weak(&pool.ticket, &ticket, ticket - (uint32_t)taken)) continue;
    for (int32_t i = 0; i < taken; i++) body(context, count - left + i);
    if (atomic_fetch_add(&pool.done, taken) + taken == count && atomic_load(&pool.caller_sleeps)) {
      pthread_mutex_lock(&pool.sleep);
      pthread_cond_signal(&pool.finish);
      pthread_mutex_unlock(&pool.sleep);
    }
    ticket = atomic_load(&pool.ticket);
  }
}

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool work_for(int32_t worker) {
  return (uint32_t)atomic_load(&pool.ticket) != 0 && worker < atomic_load(&pool.threads);
}
static bool all_done(int32_t count) { return atomic_load(&pool.done) == count; }

// Spins until the condition holds or the time is up. More threads than cores must not spin: they would keep off the
// very thread that they wait for.
static bool spin(bool (*condition)(int32_t), int32_t argument) {
  if (condition(argument)) return true;
  if (atomic_load_explicit(&pool.threads, memory_order_relaxed) > pool.cores) return false;
  int64_t end = nanoseconds() + SPIN_NANOSECONDS;
  do {
    for (int i = 0; i < 32; i++) {
      relax();
      if (condition(argument)) return true;
    }
  } while (nanoseconds() < end);
  return false;
}

static void *worker_main(void *argument) {
  int32_t worker = (int32_t)(intptr_t)argument;
  flush_denormals();
  inside_region = true;
  for (;;) {
    if (!spin(work_for, worker)) {
      pthread_mutex_lock(&pool.sleep);
      atomic_fetch_add(&pool.sleepers, 1);
      while (!work_for(worker)) pthread_cond_wait(&pool.work, &pool.sleep);
      atomic_fetch_sub(&pool.sleepers, 1);
      pthread_mutex_unlock(&pool.sleep);
    }
    run_indices();
  }
  return NULL;
}

// Workers are numbered from 1; the caller is 0. A thread that cannot be started is done without.
static void start_workers(int32_t threads) {
  while (pool.started < threads - 1) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 4 << 20);
    int failure = pthread_create(&thread, &attributes, worker_main, (void *)(intptr_t)(pool.started + 1));
    pthread_attr_destroy(&attributes);
    if (failure) return;
    pool.started++;
  }
}

static void run_region(int32_t count, region_body body, void *context, int32_t threads) {
  start_workers(threads);
  atomic_store_explicit(&pool.body, body, memory_order_relaxed);
  atomic_store_explicit(&pool.context, context, memory_order_relaxed);
  atomic_store_explicit(&pool.count, count, memory_order_relaxed);
  atomic_store(&pool.done, 0);
  uint64_t generation = (atomic_load(&pool.ticket) >> 32) + 1;
  atomic_store(&pool.ticket, generation << 32 | (uint32_t)count);
  if (atomic_load(&pool.sleepers) > 0) {
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.sleep);
  }
  run_indices();
  if (!spin(all_done, count)) {
    pthread_mutex_lock(&pool.sleep);
    atomic_store(&pool.caller_sleeps, true);
    while (!all_done(count)) pthread_cond_wait(&pool.finish, &pool.sleep);
    atomic_store(&pool.caller_sleeps, false);
    pthread_mutex_unlock(&pool.sleep);
  }
}

void esp_parallel(int32_t count, void (*body)(void *context, int32_t index), void *context) {
  if (count <= 0) return;
  if (inside_region) {
    for (int32_t i = 0; i < count; i++) body(context, i);
    return;
  }
  uint64_t denormals = flush_denormals();
  int32_t threads = count > 1 ? esp_threads() : 1;
  inside_region = true;
  if (threads > 1 && pthread_mutex_trylock(&pool.owner) == 0) {
    run_region(count, body, context, threads);
    pthread_mutex_unlock(&pool.owner);
  } else {
    for (int32_t i = 0; i < count; i++) body(context, i);
  }
  inside_region = false;
  restore_denormals(denormals);
}

// ---- instruction set ----

static int detect_isa(void) {
  int level = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    level = 1;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq")) {
      level = 2;
    }
  }
#endif
  const char *wish = getenv("ESPALIER_ISA");
  if (wish && strcmp(wish, "avx2") == 0 && level > 1) level = 1;
  if (wish && strcmp(wish, "baseline") == 0) level = 0;
  return level;
}

int esp_isa_level(void) {
  static _Atomic int known = -1;
  int level = atomic_load_explicit(&known, memory_order_relaxed);
  if (level < 0) {
    level = detect_isa();
    atomic_store_explicit(&known, level, memory_order_relaxed);
  }
  return level;
}

const char *esp_instruction_set(void) {
  switch (esp_isa_level()) {
    case 2: return "avx512";
    case 1: return "avx2";
    default: return "baseline";
  }
}
