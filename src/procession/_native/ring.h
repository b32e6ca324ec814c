/* The memory that one worker process and its parent share, and the protocol on it. No Python in this file: the stress
 * test under the thread sanitizer (tests/native/stress.c) compiles it alone. README.md beside this file says in numbered
 * steps why it is right; the comments here name those steps.
 *
 * All indices only grow. task_* and out_* count bytes (64 bits: never around), items are counted modulo 2**32.
 * Each ring is mapped twice, one behind the other, so whatever lies in it is in one piece.
 */
#ifndef PROCESSION_RING_H
#define PROCESSION_RING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getcpu */
#endif

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RING_MAGIC UINT64_C(0x70726f6365737331)
#define HEAD_SIZE 4096u
#define TASK_SIZE (1u << 20)
#define OUT_SIZE (1u << 20)
#define SHARED_SIZE (HEAD_SIZE + TASK_SIZE + OUT_SIZE)
#define LINE 64
#define NOBODY UINT32_MAX

/* One side sleeps on it, the other rings. `waiting` counts sleepers, `rings` is the futex word. */
typedef struct {
    _Atomic uint32_t rings;
    _Atomic uint32_t waiting;
} bell_t;

typedef struct {
    /* written once, before the worker exists */
    alignas(LINE) uint64_t magic;
    _Atomic uint32_t closed; /* the parent has let go: there is nothing more to come */
    _Atomic uint32_t spoke; /* the worker has printed something since the driver last showed all that was printed */
    /* who owns which item: written by both sides, by compare-and-swap only */
    alignas(LINE) _Atomic uint64_t claim;
    /* written by the parent */
    alignas(LINE) _Atomic uint64_t task_tail;
    _Atomic uint64_t out_head;
    _Atomic uint64_t asked;
    _Atomic uint32_t parent_cpu;
    _Atomic uint32_t driver_wants; /* the driver sleeps on descriptors: say it there (cleared by the worker) */
    _Atomic uint32_t timed; /* the worker is to write down when it runs each item */
    /* written by the worker */
    alignas(LINE) _Atomic uint64_t out_tail;
    _Atomic uint64_t task_head;
    _Atomic uint32_t worker_cpu;
    /* what each sleeps on: a word of its own for each kind of sleeper (one word for two loses wake-ups) */
    alignas(LINE) bell_t task_bell; /* the worker, for something to do */
    alignas(LINE) bell_t room_bell; /* the worker, for room among the outcomes */
    alignas(LINE) bell_t caller_bell; /* threads of the parent that wait for an outcome themselves */
} shared_t;

_Static_assert(sizeof(shared_t) <= HEAD_SIZE, "the head has a page");

typedef struct {
    shared_t *head;
    unsigned char *tasks; /* TASK_SIZE bytes, and the same again */
    unsigned char *outs;
} ring_t;

/* ------------------------------------------------------------------------------------------------------- mapping it */

static inline void *ring_map_twice(int fd, size_t size, off_t offset) {
    unsigned char *at = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    for (int i = 0; i < 2; i++) {
        if (mmap(at + i * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
            int why = errno;
            munmap(at, 2 * size);
            errno = why;
            return NULL;
        }
    }
    return at;
}

static inline void ring_unmap(ring_t *ring) {
    if (ring->outs) munmap(ring->outs, 2 * OUT_SIZE);
    if (ring->tasks) munmap(ring->tasks, 2 * TASK_SIZE);
    if (ring->head) munmap(ring->head, HEAD_SIZE);
    ring->head = NULL;
    ring->tasks = ring->outs = NULL;
}

/* Map what `fd` holds, a file of at least SHARED_SIZE bytes; -1 and errno when that cannot be. */
static inline int ring_map(ring_t *ring, int fd) {
    ring->tasks = ring->outs = NULL;
    void *head = mmap(NULL, HEAD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ring->head = head == MAP_FAILED ? NULL : head;
    if (ring->head) ring->tasks = ring_map_twice(fd, TASK_SIZE, HEAD_SIZE);
    if (ring->tasks) ring->outs = ring_map_twice(fd, OUT_SIZE, HEAD_SIZE + TASK_SIZE);
    if (ring->outs) return 0;
    int why = errno;
    ring_unmap(ring);
    errno = why;
    return -1;
}

/* The file is new, and all zero. */
static inline void ring_begin(ring_t *ring) {
    ring->head->magic = RING_MAGIC;
    atomic_store(&ring->head->parent_cpu, NOBODY);
    atomic_store(&ring->head->worker_cpu, NOBODY);
}

static inline unsigned char *ring_task_at(ring_t *ring, uint64_t index) { return ring->tasks + (index & (TASK_SIZE - 1)); }
static inline unsigned char *ring_out_at(ring_t *ring, uint64_t index) { return ring->outs + (index & (OUT_SIZE - 1)); }

/* -------------------------------------------------------------------------------------------- the claim word: steps C */

static inline uint32_t claim_next(uint64_t word) { return (uint32_t)word; }
static inline uint32_t claim_end(uint64_t word) { return (uint32_t)(word >> 32); }
static inline uint64_t claim_word(uint32_t next, uint32_t end) { return (uint64_t)end << 32 | next; }

/* Parent, C1: `count` more items may be taken; returns the number of the first. Before their record is published. */
static inline uint32_t ring_issue(ring_t *ring, uint32_t count) {
    uint64_t word = atomic_load_explicit(&ring->head->claim, memory_order_relaxed);
    uint64_t more;
    do {
        more = claim_word(claim_next(word), claim_end(word) + count);
    } while (!atomic_compare_exchange_weak_explicit(&ring->head->claim, &word, more, memory_order_acq_rel,
                                                    memory_order_acquire));
    return claim_end(word);
}

/* Worker, C2: take item `number`, if it is still there to be taken. */
static inline bool ring_take_item(ring_t *ring, uint32_t number) {
    uint64_t word = atomic_load_explicit(&ring->head->claim, memory_order_relaxed);
    while (claim_next(word) == number && claim_end(word) != number) {
        if (atomic_compare_exchange_weak_explicit(&ring->head->claim, &word, claim_word(number + 1, claim_end(word)),
                                                  memory_order_acq_rel, memory_order_acquire))
            return true;
    }
    return false;
}

/* Parent, C3: take back all that the worker has not taken; returns how many items that were. */
static inline uint32_t ring_withdraw(ring_t *ring) {
    uint64_t word = atomic_load_explicit(&ring->head->claim, memory_order_acquire);
    while (claim_next(word) != claim_end(word)) {
        if (atomic_compare_exchange_weak_explicit(&ring->head->claim, &word, claim_word(claim_end(word), claim_end(word)),
                                                  memory_order_acq_rel, memory_order_acquire))
            return claim_end(word) - claim_next(word);
    }
    return 0;
}

/* ----------------------------------------------------------------- what was printed is shown before its item's outcome */

/* Worker, right after it has printed, so before it publishes the outcome of what did. */
static inline void ring_speak(ring_t *ring) { atomic_store_explicit(&ring->head->spoke, 1, memory_order_release); }
/* Parent, when it has seen the outcome: has somebody to show what was printed first? */
static inline bool ring_spoke(ring_t *ring) {
    return atomic_load_explicit(&ring->head->spoke, memory_order_acquire) != 0;
}
/* Driver, before it shows all there is: what is printed from now on is said anew. */
static inline bool ring_will_show(ring_t *ring) {
    return ring_spoke(ring) && atomic_exchange_explicit(&ring->head->spoke, 0, memory_order_acq_rel);
}

/* ---------------------------------------------------------------------------------- asking an item to end: steps A */

/* The item that the worker is at, by a number that no other item has for 2**32 items; while it idles, none. */
static inline uint64_t ring_place(ring_t *ring) {
    return UINT64_C(1) << 32 | claim_next(atomic_load_explicit(&ring->head->claim, memory_order_acquire));
}
static inline void ring_ask(ring_t *ring) {
    atomic_store_explicit(&ring->head->asked, ring_place(ring), memory_order_release);
}
static inline bool ring_asked(ring_t *ring) {
    return atomic_load_explicit(&ring->head->asked, memory_order_acquire) == ring_place(ring);
}

/* --------------------------------------------------------------------------------------------------- bells: steps B */

static inline long ring_futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *patience) {
    return syscall(SYS_futex, word, op, value, patience, NULL, 0);
}

/* B3, after what the sleeper looks for was stored with memory_order_seq_cst. */
static inline void bell_ring(bell_t *bell) {
    if (atomic_load_explicit(&bell->waiting, memory_order_seq_cst)) {
        atomic_fetch_add_explicit(&bell->rings, 1, memory_order_seq_cst);
        ring_futex(&bell->rings, FUTEX_WAKE, INT32_MAX, NULL);
    }
}

/* B1: to be called before the last look; B2 is `bell_sleep`, unless that look found something, and then `bell_leave`. */
static inline uint32_t bell_enter(bell_t *bell) {
    atomic_fetch_add_explicit(&bell->waiting, 1, memory_order_seq_cst);
    return atomic_load_explicit(&bell->rings, memory_order_seq_cst);
}
static inline void bell_leave(bell_t *bell) { atomic_fetch_sub_explicit(&bell->waiting, 1, memory_order_seq_cst); }

/* Returns at a ring since `seen`, at a signal, after `patience`, or for no reason. */
static inline int bell_sleep(bell_t *bell, uint32_t seen, const struct timespec *patience) {
    return ring_futex(&bell->rings, FUTEX_WAIT, seen, patience) == 0 ? 0 : errno;
}

/* ------------------------------------------------------------------------------------------------ the rings: steps R */

static inline uint64_t ring_task_tail(ring_t *ring, memory_order order) {
    return atomic_load_explicit(&ring->head->task_tail, order);
}
static inline uint64_t ring_out_tail(ring_t *ring, memory_order order) {
    return atomic_load_explicit(&ring->head->out_tail, order);
}

/* Parent: bytes that may be written at task_tail. */
static inline size_t ring_task_room(ring_t *ring) {
    return TASK_SIZE - (size_t)(ring_task_tail(ring, memory_order_relaxed) -
                                atomic_load_explicit(&ring->head->task_head, memory_order_acquire));
}
/* Parent, R1: what was written at task_tail is complete. */
static inline void ring_publish_task(ring_t *ring, size_t size) {
    atomic_store_explicit(&ring->head->task_tail, ring_task_tail(ring, memory_order_relaxed) + size,
                          memory_order_seq_cst);
    bell_ring(&ring->head->task_bell);
}
/* Worker, R2: what lies below `index` has been read. */
static inline void ring_task_done(ring_t *ring, uint64_t index) {
    atomic_store_explicit(&ring->head->task_head, index, memory_order_release);
}

/* Worker: bytes that may be written at out_tail. */
static inline size_t ring_out_room(ring_t *ring, memory_order order) {
    return OUT_SIZE -
           (size_t)(ring_out_tail(ring, memory_order_relaxed) - atomic_load_explicit(&ring->head->out_head, order));
}
/* Worker, R3: what was written at out_tail is complete. Nobody is woken for it. */
static inline void ring_publish_out(ring_t *ring, size_t size) {
    atomic_store_explicit(&ring->head->out_tail, ring_out_tail(ring, memory_order_relaxed) + size,
                          memory_order_release);
}
/* Worker, R4: the same, and callers that wait are woken; true: the driver wants to hear of it through its descriptor. */
static inline bool ring_publish_end(ring_t *ring, size_t size) {
    atomic_store_explicit(&ring->head->out_tail, ring_out_tail(ring, memory_order_relaxed) + size,
                          memory_order_seq_cst);
    bell_ring(&ring->head->caller_bell);
    return atomic_load_explicit(&ring->head->driver_wants, memory_order_seq_cst) &&
           atomic_exchange_explicit(&ring->head->driver_wants, 0, memory_order_seq_cst);
}
/* Parent, R5: what lies below `index` has been read. */
static inline void ring_out_done(ring_t *ring, uint64_t index) {
    atomic_store_explicit(&ring->head->out_head, index, memory_order_seq_cst);
    bell_ring(&ring->head->room_bell);
}
/* Driver, R6: from now on it wants to hear; it looks (at out_tail, seq_cst) once more after this. */
static inline void ring_driver_wants(ring_t *ring, bool wants) {
    atomic_store_explicit(&ring->head->driver_wants, wants, memory_order_seq_cst);
}

/* ------------------------------------------------------------------------------------------------- waiting: steps S */

static inline uint64_t ring_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint32_t ring_cpu(void) {
    int cpu = sched_getcpu();
    return cpu < 0 ? NOBODY : (uint32_t)cpu;
}

static inline void ring_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Whether looking again and again has paid lately: it costs the other side its core where both share one. */
typedef struct {
    uint32_t credit, skipped;
} patience_t;
#define MOST_CREDIT 8u
#define TRY_AGAIN 16u

static inline bool patience_spins(patience_t *patience) {
    if (patience->credit) return true;
    if (++patience->skipped < TRY_AGAIN) return false;
    patience->skipped = 0;
    return true;
}
static inline void patience_learn(patience_t *patience, bool paid) {
    if (paid)
        patience->credit = patience->credit + 2 > MOST_CREDIT ? MOST_CREDIT : patience->credit + 2;
    else if (patience->credit)
        patience->credit--;
}

/* Look whether *word is still `old`, for up to `ns`; true when it has changed. `peer`: where the other side last ran. */
static inline bool ring_spin(_Atomic uint64_t *word, uint64_t old, _Atomic uint32_t *peer, uint64_t ns) {
    uint64_t until = 0;
    for (;;) {
        for (int i = 0; i < 64; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old) return true;
            ring_relax();
        }
        if (atomic_load_explicit(peer, memory_order_relaxed) == ring_cpu()) return false;
        uint64_t now = ring_now_ns();
        if (!until) until = now + ns;
        if (now >= until) return false;
    }
}

#endif
