// Counts what a process asks the heap for, thread by thread, in a file that others read while it runs: `klatsch-load bench`
// preloads this into an edge and reads the file before and after a load.
//
// The file (ALLOCATIONS_FILE) becomes 256 lines of four 64-bit numbers: thread id, calls of malloc, calloc, realloc and
// their aligned kin, octets asked for, calls of free. A line belongs to one thread, so counting needs no lock.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINES = 256 };
struct line { uint64_t thread, calls, octets, frees; };

static struct line *table;
static unsigned taken;
// Of the static kind: any other would be allocated on first use, by the functions below.
static __thread struct line *mine __attribute__((tls_model("initial-exec")));

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

__attribute__((constructor)) static void prepare(void) {
  const char *name = getenv("ALLOCATIONS_FILE");
  int file = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (file < 0) return;
  if (!ftruncate(file, LINES * sizeof *table)) {
    void *map = mmap(NULL, LINES * sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) __atomic_store_n(&table, map, __ATOMIC_RELEASE);
  }
  close(file);
}

static struct line *line(void) {
  if (mine) return mine;
  struct line *all = __atomic_load_n(&table, __ATOMIC_ACQUIRE);
  if (!all) return NULL;
  unsigned next = __atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED);
  // Threads beyond the last line share it.
  mine = all + (next < LINES ? next : LINES - 1);
  mine->thread = (uint64_t)gettid();
  return mine;
}

static void count(size_t octets) {
  struct line *here = line();
  if (!here) return;
  __atomic_fetch_add(&here->calls, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&here->octets, octets, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *block, size_t size) {
  count(size);
  return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **block, size_t alignment, size_t size) {
  if (alignment % sizeof(void *) || alignment & (alignment - 1) || !alignment) return EINVAL;
  void *got = memalign(alignment, size);
  if (!got) return ENOMEM;
  *block = got;
  return 0;
}

void free(void *block) {
  struct line *here = block ? line() : NULL;
  if (here) __atomic_fetch_add(&here->frees, 1, __ATOMIC_RELAXED);
  __libc_free(block);
}
