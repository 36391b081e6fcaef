// The time of day, CLOCK_AHEAD seconds off, for one process: the fault clock-skew preloads this into a broker and an edge.
//
// Monotonic clocks stay right, as they do on a machine whose clock is set. libfaketime would serve a broker, but not an
// edge: librdkafka waits with cnd_timedwait until a time of day, which libfaketime does not turn back into the real one.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

static long ahead;
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_cnd_timedwait)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void prepare(void) {
  const char *seconds = getenv("CLOCK_AHEAD");
  ahead = seconds ? atol(seconds) : 0;
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  real_cnd_timedwait = dlsym(RTLD_NEXT, "cnd_timedwait");
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  // Another library's constructor may ask before ours has run.
  if (!real_clock_gettime) prepare();
  int failed = real_clock_gettime(clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead;
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise)) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *where) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  if (where) *where = now.tv_sec;
  return now.tv_sec;
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
  struct timespec really = *until;
  really.tv_sec -= ahead;
  return real_cnd_timedwait(condition, mutex, &really);
}
