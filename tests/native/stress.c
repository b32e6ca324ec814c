/* Two sides exchange items through ring.h, as fast as they can, with everything that may come in between: leases of random
 * length, items taken back, records up to the size of a ring, what goes through pipes, sleepers on every bell, signals, a
 * caller that waits itself, and (as processes) the death of the worker.
 *
 *     stress threads SEED ROUNDS     both sides in one process: for the thread sanitizer
 *     stress kills SEED ROUNDS       the worker is a process, and is killed in most rounds
 *
 * What is checked: the bytes of each record; outcomes come in order, each once; an item runs once, and not while it is taken
 * back; who takes back and looks has the outcomes of all that was taken but one; a death costs one item at most; nobody
 * sleeps through anything (a round that takes longer than the watchdog allows says where everybody was).
 *
 * Exit status: 0 fine, 1 something was wrong (it says what), 3 the watchdog.
 */
#define _GNU_SOURCE
#include "ring.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#ifndef WATCHDOG
#define WATCHDOG 20 /* seconds for a round; rounds take milliseconds */
#endif
#define ITEMS 300u /* in a round */
#define LONGEST_LEASE 16u
#define HAND 64u /* items that the worker may have in hand, about */
#define BULK_MOST (96u << 10) /* more than a pipe holds */

enum { LEASE = 1, STOP, PLAIN, PIPED, WORD, LARGE };
enum { WAITS = 0, RESOLVED, LOST };

typedef struct { uint32_t kind, size, first, count; } lease_t;
typedef struct { uint64_t id, words; } item_t;
typedef struct { uint32_t kind, heeded; uint64_t id, words; } outcome_t;
typedef struct { uint32_t kind, size; } frame_t;

static uint64_t seed, sizes; /* sizes: other ones in each round */
static const char *doing[3] = {"?", "?", "?"};
#define AT(who, what) (doing[who] = (what))

#define CHECK(holds, ...)                                                                                               \
    do {                                                                                                                \
        if (!(holds)) {                                                                                                 \
            fprintf(stderr, "stress: seed %llu: %s:%d: ", (unsigned long long)seed, __func__, __LINE__);                \
            fprintf(stderr, __VA_ARGS__);                                                                               \
            fprintf(stderr, "\n");                                                                                      \
            _exit(1);                                                                                                   \
        }                                                                                                               \
    } while (0)

/* ------------------------------------------------------------------------------------------------------- what is random */

static uint64_t mix(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}
static uint64_t draw(uint64_t *state) { return mix((*state)++); }
static uint32_t below(uint64_t *state, uint32_t most) { return (uint32_t)(draw(state) % most); }

/* Mostly a few words, at times many, seldom all that a ring holds. */
static uint64_t length(uint64_t id, uint64_t salt, uint64_t most) {
    uint64_t draws = mix(sizes ^ mix(id * 8 + salt));
    uint64_t bound = draws % 32 == 0 ? most : draws % 16 == 1 ? 2048 : 16;
    return (draws >> 32) % (bound + 1);
}
static bool is_bulky(uint64_t id) { return mix(sizes ^ mix(id * 8 + 3)) % 64 == 0; }
static bool is_piped(uint64_t id) { return mix(sizes ^ mix(id * 8 + 4)) % 32 == 0; }
static uint64_t task_words(uint64_t id) {
    if (is_bulky(id)) return length(id, 1, BULK_MOST / 8);
    return length(id, 1, (TASK_SIZE - sizeof(lease_t) - sizeof(item_t)) / 8);
}
static uint64_t outcome_words(uint64_t id) {
    if (is_piped(id)) return length(id, 2, BULK_MOST / 8);
    return length(id, 2, (OUT_SIZE - sizeof(outcome_t)) / 8);
}

static void fill(uint64_t *words, uint64_t count, uint64_t key) {
    for (uint64_t i = 0; i < count; i++) words[i] = key + i * UINT64_C(0x9e3779b97f4a7c15);
}
static bool holds(const uint64_t *words, uint64_t count, uint64_t key) {
    for (uint64_t i = 0; i < count; i++)
        if (words[i] != key + i * UINT64_C(0x9e3779b97f4a7c15)) return false;
    return true;
}
static uint64_t task_key(uint64_t id) { return mix(id) ^ seed; }
static uint64_t outcome_key(uint64_t id) { return mix(~id) ^ seed; }

/* ------------------------------------------------------------------------------------------------------------- the worker */

typedef struct {
    ring_t *ring;
    int tasks, results; /* its ends of the pipes */
    _Atomic uint32_t *ran; /* by item: how often it was run */
    uint64_t random;
    uint32_t steps_to_live; /* 0: for ever */
    patience_t patience;
    uint64_t bulk[BULK_MOST / 8 + 1];
} worker_t;

/* Between any two of these, and anywhere else by the driver's hand, it may die. */
static void step(worker_t *me) {
    if (me->steps_to_live && !--me->steps_to_live) raise(SIGKILL);
}

static bool read_all(int fd, void *to, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, (char *)to + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        done += (size_t)got;
    }
    return true;
}
static void write_all(int fd, const void *from, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)from + done, size - done);
        if (put < 0 && errno == EINTR) continue;
        CHECK(put > 0, "write: %s", strerror(errno));
        done += (size_t)put;
    }
}

/* R4, with what belongs to it. */
static void say(worker_t *me, size_t size) {
    if (ring_publish_end(me->ring, size)) {
        step(me);
        frame_t word = {WORD, 0};
        write_all(me->results, &word, sizeof word);
    }
    step(me);
}

static void wait_for_tasks(worker_t *me, uint64_t at) {
    _Atomic uint64_t *tail = &me->ring->head->task_tail;
    if (patience_spins(&me->patience)) {
        AT(0, "spins for tasks");
        bool paid = ring_spin(tail, at, &me->ring->head->parent_cpu, 20000);
        patience_learn(&me->patience, paid);
        if (paid) return;
    }
    AT(0, "sleeps for tasks");
    uint32_t seen = bell_enter(&me->ring->head->task_bell);
    step(me);
    if (ring_task_tail(me->ring, memory_order_seq_cst) == at) bell_sleep(&me->ring->head->task_bell, seen, NULL);
    bell_leave(&me->ring->head->task_bell);
}

static void wait_for_room(worker_t *me, size_t size) {
    if (ring_out_room(me->ring, memory_order_acquire) >= size) return;
    say(me, 0); /* who is to make room has to hear of what there is */
    while (ring_out_room(me->ring, memory_order_acquire) < size) {
        AT(0, "sleeps for room");
        uint32_t seen = bell_enter(&me->ring->head->room_bell);
        step(me);
        if (ring_out_room(me->ring, memory_order_seq_cst) < size) bell_sleep(&me->ring->head->room_bell, seen, NULL);
        bell_leave(&me->ring->head->room_bell);
    }
}

/* Writes the outcome; returns how many bytes of the ring are to be published. */
static size_t write_outcome(worker_t *me, uint64_t id, bool heeded) {
    uint64_t words = outcome_words(id);
    bool piped = is_piped(id);
    if (piped) {
        AT(0, "writes to the pipe");
        frame_t frame = {LARGE, (uint32_t)(8 + words * 8)};
        me->bulk[0] = id;
        fill(me->bulk + 1, words, outcome_key(id));
        write_all(me->results, &frame, sizeof frame);
        step(me);
        write_all(me->results, me->bulk, 8 + words * 8);
    }
    size_t size = sizeof(outcome_t) + (piped ? 0 : words * 8);
    wait_for_room(me, size);
    outcome_t *out = (outcome_t *)ring_out_at(me->ring, ring_out_tail(me->ring, memory_order_relaxed));
    *out = (outcome_t){piped ? PIPED : PLAIN, heeded, id, words};
    step(me);
    if (!piped) fill((uint64_t *)(out + 1), words, outcome_key(id));
    step(me);
    return size;
}

static void run_lease(worker_t *me, const lease_t *lease, uint64_t at) {
    const unsigned char *next = (const unsigned char *)(lease + 1);
    size_t unsaid = 0; /* of the last outcome: it is published when nothing of the lease is read any more */
    for (uint32_t i = 0; i < lease->count; i++) {
        const item_t *item = (const item_t *)next;
        uint64_t id = item->id, words = item->words;
        const uint64_t *argument = (const uint64_t *)(item + 1);
        step(me);
        bool taken = ring_take_item(me->ring, lease->first + i);
        step(me);
        if (is_bulky(id)) { /* it comes, taken back or not */
            AT(0, "reads from the pipe");
            if (!read_all(me->tasks, me->bulk, words * 8)) _exit(2);
            argument = me->bulk;
        }
        next += sizeof(item_t) + (is_bulky(id) ? 0 : words * 8);
        if (!taken) continue;
        AT(0, "runs");
        CHECK(atomic_fetch_add(&me->ran[id], 1) == 0, "item %llu runs a second time", (unsigned long long)id);
        CHECK(words == task_words(id) && holds(argument, words, task_key(id)), "task %llu", (unsigned long long)id);
        step(me);
        size_t size = write_outcome(me, id, ring_asked(me->ring));
        if (i + 1 < lease->count) ring_publish_out(me->ring, size);
        else unsaid = size;
        step(me);
    }
    ring_task_done(me->ring, at + lease->size);
    step(me);
    say(me, unsaid);
}

static void *work(void *arg) {
    worker_t *me = arg;
    for (uint64_t at = 0;;) {
        if (below(&me->random, 8) == 0) atomic_store_explicit(&me->ring->head->worker_cpu, ring_cpu(), memory_order_relaxed);
        step(me);
        if (ring_task_tail(me->ring, memory_order_acquire) == at) {
            wait_for_tasks(me, at);
            continue;
        }
        const lease_t *lease = (const lease_t *)ring_task_at(me->ring, at);
        if (lease->kind == STOP) return NULL;
        CHECK(lease->kind == LEASE && lease->count - 1 < LONGEST_LEASE, "a lease of kind %u", lease->kind);
        uint64_t size = lease->size;
        run_lease(me, lease, at);
        at += size;
    }
}

/* ------------------------------------------------------------------------------------------------------------- the parent */

typedef struct {
    ring_t *ring;
    int tasks, results, death; /* its ends of the pipes; the third ends with the worker's process */
    int hear; /* by this its other threads wake the driver */
    pid_t pid; /* 0: the worker is a thread */
    pthread_t worker_thread, caller_thread;
    _Atomic uint32_t *ran;
    uint64_t random, callers_random;
    bool dead;
    /* the driver's own */
    uint64_t todo[ITEMS]; /* a stack: the next to be leased is on top */
    uint32_t todos, held; /* held: so long is the lease that has found no room */
    unsigned char *backlog; /* what the task pipe has not taken yet */
    size_t backlog_at, backlog_end;
    uint32_t back, kills;
    /* under the lock: how far outcomes have been read, and what is known of items */
    pthread_mutex_t lock;
    uint64_t head, hand[2 * ITEMS], large[ITEMS];
    uint32_t hand_from, hand_to, large_from, large_to, resolved, lost;
    unsigned char fate[ITEMS], asked[ITEMS];
    bool finished;
    alignas(8) unsigned char inbox[1 << 20];
    size_t in_end;
} parent_t;

/* Under the lock: read all that is in the result pipe; true: the driver was to hear that there are outcomes. */
static bool look_into_pipe(parent_t *me) {
    bool word = false;
    for (;;) {
        ssize_t got = read(me->results, me->inbox + me->in_end, sizeof me->inbox - me->in_end);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        me->in_end += (size_t)got;
        size_t at = 0;
        for (frame_t frame; me->in_end - at >= sizeof frame; at += sizeof frame + frame.size) {
            memcpy(&frame, me->inbox + at, sizeof frame);
            if (me->in_end - at < sizeof frame + frame.size) break;
            if (frame.kind == WORD) word = true;
            else {
                CHECK(frame.kind == LARGE, "a frame of kind %u", frame.kind);
                const uint64_t *body = (const uint64_t *)(me->inbox + at + sizeof frame);
                uint64_t words = frame.size / 8 - 1;
                CHECK(words == outcome_words(body[0]) && holds(body + 1, words, outcome_key(body[0])), "a large outcome");
                me->large[me->large_to++ % ITEMS] = body[0];
            }
        }
        memmove(me->inbox, me->inbox + at, me->in_end - at);
        me->in_end -= at;
    }
    return word;
}

/* Under the lock: one outcome, at `head`. */
static size_t take_outcome(parent_t *me, bool *word) {
    const outcome_t *out = (const outcome_t *)ring_out_at(me->ring, me->head);
    uint64_t id = out->id, words = out->words;
    CHECK(out->kind == PLAIN || out->kind == PIPED, "an outcome of kind %u", out->kind);
    CHECK(me->hand_from < me->hand_to, "an outcome of item %llu, and no item is in hand", (unsigned long long)id);
    CHECK(me->hand[me->hand_from] == id, "an outcome of item %llu is not the next", (unsigned long long)id);
    CHECK(atomic_load(&me->ran[id]) == 1, "an outcome of item %llu that has not run", (unsigned long long)id);
    CHECK(!out->heeded || me->asked[id], "item %llu heeds what was not asked of it", (unsigned long long)id);
    if (out->kind == PIPED) {
        *word |= look_into_pipe(me);
        CHECK(me->large_from < me->large_to && me->large[me->large_from++ % ITEMS] == id, "PIPED, and it is not there");
    } else
        CHECK(words == outcome_words(id) && holds((const uint64_t *)(out + 1), words, outcome_key(id)), "outcome bytes");
    me->hand_from++;
    me->fate[id] = RESOLVED;
    me->resolved++;
    return sizeof(outcome_t) + (out->kind == PIPED ? 0 : words * 8);
}

/* Under the lock: all outcomes that are there. `word`: the driver is to look, since its word has been read. Who is not the
 * driver and finds that word in the pipe hands it on: there may be room now for a lease, and only the driver knows of it. */
static void take_outcomes(parent_t *me, bool word, bool driver, uint64_t *random) {
    uint64_t tail = ring_out_tail(me->ring, memory_order_acquire), told = me->head;
    for (;;) {
        if (word && !driver) {
            word = false;
            uint64_t one = 1;
            write_all(me->hear, &one, sizeof one);
        } else if (word) { /* R6 */
            word = false;
            ring_driver_wants(me->ring, true);
            tail = ring_out_tail(me->ring, memory_order_seq_cst);
        }
        if (me->head == tail) break;
        me->head += take_outcome(me, &word);
        if (below(random, 4) == 0) ring_out_done(me->ring, told = me->head);
    }
    if (told != me->head) ring_out_done(me->ring, me->head);
}

static void *call(void *arg) {
    parent_t *me = arg;
    uint64_t random = me->callers_random;
    patience_t patience = {0, 0};
    bell_t *bell = &me->ring->head->caller_bell;
    for (uint64_t want = ITEMS;;) {
        pthread_mutex_lock(&me->lock);
        uint32_t hand = me->hand_to - me->hand_from;
        if (want == ITEMS) want = hand ? me->hand[me->hand_from + below(&random, hand)] : below(&random, ITEMS);
        if (!me->finished && me->fate[want] == WAITS) take_outcomes(me, false, false, &random);
        bool finished = me->finished, there = me->fate[want] != WAITS;
        uint64_t head = me->head;
        pthread_mutex_unlock(&me->lock);
        if (finished) return NULL;
        if (there) {
            want = ITEMS;
            continue;
        }
        if (patience_spins(&patience)) {
            AT(2, "spins for an outcome");
            bool paid = ring_spin(&me->ring->head->out_tail, head, &me->ring->head->worker_cpu, 20000);
            patience_learn(&patience, paid);
            if (paid) continue;
        }
        AT(2, "sleeps for an outcome");
        uint32_t seen = bell_enter(bell);
        pthread_mutex_lock(&me->lock);
        bool news = me->finished || me->fate[want] != WAITS || ring_out_tail(me->ring, memory_order_seq_cst) != me->head;
        pthread_mutex_unlock(&me->lock);
        if (!news) bell_sleep(bell, seen, NULL);
        bell_leave(bell);
    }
}

/* Room for so many items that begin with the top of the stack; the size of their record. */
static size_t size_of_lease(parent_t *me, uint32_t *count) {
    size_t size = sizeof(lease_t);
    for (uint32_t i = 0; i < *count; i++) {
        uint64_t id = me->todo[me->todos - 1 - i];
        size_t more = sizeof(item_t) + (is_bulky(id) ? 0 : task_words(id) * 8);
        if (size + more > TASK_SIZE) {
            *count = i;
            break;
        }
        size += more;
    }
    return size;
}

static void add_to_backlog(parent_t *me, uint64_t id) {
    uint64_t words = task_words(id);
    me->backlog_end -= me->backlog_at;
    if (me->backlog_end) memmove(me->backlog, me->backlog + me->backlog_at, me->backlog_end);
    me->backlog_at = 0;
    me->backlog = realloc(me->backlog, me->backlog_end + words * 8 + 1);
    uint64_t *bulk = malloc(words * 8 + 1);
    fill(bulk, words, task_key(id));
    memcpy(me->backlog + me->backlog_end, bulk, words * 8);
    free(bulk);
    me->backlog_end += words * 8;
}

static void lease(parent_t *me, uint32_t count) {
    size_t size = size_of_lease(me, &count);
    if (ring_task_room(me->ring) < size) {
        me->held = count;
        return;
    }
    me->held = 0;
    lease_t *record = (lease_t *)ring_task_at(me->ring, ring_task_tail(me->ring, memory_order_relaxed));
    unsigned char *next = (unsigned char *)(record + 1);
    *record = (lease_t){LEASE, (uint32_t)size, ring_issue(me->ring, count), count};
    pthread_mutex_lock(&me->lock);
    if (me->hand_to + count > 2 * ITEMS) {
        memmove(me->hand, me->hand + me->hand_from, (me->hand_to - me->hand_from) * sizeof *me->hand);
        me->hand_to -= me->hand_from;
        me->hand_from = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = me->todo[--me->todos], words = task_words(id);
        me->hand[me->hand_to++] = id;
        *(item_t *)next = (item_t){id, words};
        next += sizeof(item_t);
        if (is_bulky(id)) continue;
        fill((uint64_t *)next, words, task_key(id));
        next += words * 8;
    }
    pthread_mutex_unlock(&me->lock);
    ring_publish_task(me->ring, size);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = me->todo[me->todos + count - 1 - i];
        if (is_bulky(id)) add_to_backlog(me, id);
    }
}

/* C3 and the look: law 5. At a death the same, and what is left then is lost. */
static void take_back(parent_t *me, bool ask) {
    pthread_mutex_lock(&me->lock);
    uint32_t count = ring_withdraw(me->ring);
    CHECK(count <= me->hand_to - me->hand_from, "%u items are taken back, of fewer", count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = me->hand[--me->hand_to];
        CHECK(atomic_load(&me->ran[id]) == 0, "item %llu is taken back, and has run", (unsigned long long)id);
        me->todo[me->todos++] = id;
    }
    for (uint32_t i = 1; i <= count; i++) { /* they go out again in another order, under other numbers */
        uint32_t here = me->todos - i, there = below(&me->random, me->todos);
        uint64_t id = me->todo[here];
        me->todo[here] = me->todo[there];
        me->todo[there] = id;
    }
    me->back += count;
    take_outcomes(me, false, true, &me->random);
    uint32_t left = me->hand_to - me->hand_from;
    CHECK(left <= 1, "%u items are taken and without an outcome", left);
    if (ask && left) me->asked[me->hand[me->hand_from]] = 1;
    if (ask) ring_ask(me->ring);
    pthread_mutex_unlock(&me->lock);
}

static void send_backlog(parent_t *me) {
    while (me->backlog_at < me->backlog_end) {
        ssize_t put = write(me->tasks, me->backlog + me->backlog_at, me->backlog_end - me->backlog_at);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && (errno == EAGAIN || errno == EPIPE)) return;
        CHECK(put > 0, "write: %s", strerror(errno));
        me->backlog_at += (size_t)put;
    }
}

static void last_rites(parent_t *me) {
    int status;
    CHECK(waitpid(me->pid, &status, 0) == me->pid, "waitpid: %s", strerror(errno));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the worker ended with status %x", status);
    me->dead = true;
    pthread_mutex_lock(&me->lock);
    look_into_pipe(me);
    pthread_mutex_unlock(&me->lock);
    take_back(me, false);
    pthread_mutex_lock(&me->lock);
    for (; me->hand_from < me->hand_to; me->hand_from++) {
        me->fate[me->hand[me->hand_from]] = LOST;
        me->lost++;
    }
    pthread_mutex_unlock(&me->lock);
}

/* Sleep on descriptors until there is something. */
static void watch(parent_t *me) {
    AT(1, "sleeps on descriptors");
    bool backlog = me->backlog_at < me->backlog_end;
    struct pollfd fds[4] = {{me->results, POLLIN, 0}, {me->hear, POLLIN, 0}, {me->death, 0, 0}, {-1, POLLOUT, 0}};
    if (backlog) fds[3].fd = me->tasks;
    if (poll(fds, 4, -1) < 0) {
        CHECK(errno == EINTR, "poll: %s", strerror(errno));
        return;
    }
    AT(1, "is awake");
    if (fds[3].revents) send_backlog(me);
    if ((fds[0].revents | fds[1].revents) & POLLIN) {
        uint64_t heard = 0;
        pthread_mutex_lock(&me->lock);
        if (fds[1].revents) CHECK(read_all(me->hear, &heard, sizeof heard), "eventfd");
        bool word = look_into_pipe(me);
        take_outcomes(me, word || heard, true, &me->random);
        pthread_mutex_unlock(&me->lock);
    } else if (fds[2].revents)
        last_rites(me);
}

static void nudge(parent_t *me) {
    pthread_kill(me->caller_thread, SIGUSR1);
    if (me->pid) kill(me->pid, SIGUSR1);
    else pthread_kill(me->worker_thread, SIGUSR1);
}

static void spin(parent_t *me) {
    pthread_mutex_lock(&me->lock);
    uint64_t head = me->head;
    pthread_mutex_unlock(&me->lock);
    ring_spin(&me->ring->head->out_tail, head, &me->ring->head->worker_cpu, 5000);
    pthread_mutex_lock(&me->lock);
    take_outcomes(me, false, true, &me->random);
    pthread_mutex_unlock(&me->lock);
}

static void drive(parent_t *me, uint32_t kill_after) {
    for (uint32_t steps = 1; !me->dead; steps++) {
        if (steps == kill_after) {
            for (uint32_t i = below(&me->random, 3000); i; i--) ring_relax();
            kill(me->pid, SIGKILL);
        }
        pthread_mutex_lock(&me->lock);
        uint32_t hand = me->hand_to - me->hand_from;
        pthread_mutex_unlock(&me->lock);
        bool idle = me->backlog_at == me->backlog_end && !hand;
        if (idle && !me->todos && steps < kill_after) kill(me->pid, SIGKILL);
        if (idle && !me->todos && !kill_after) return;
        uint32_t dice = below(&me->random, 64);
        if (dice == 0) nudge(me);
        else if (dice < 12) {
            if (dice < 4) take_back(me, dice == 1);
            else spin(me);
            if (me->held) lease(me, me->held < me->todos ? me->held : me->todos); /* the word may have been among it */
        }
        else if (me->todos && !me->held && (hand < HAND || idle) && (dice < 48 || idle))
            lease(me, 1 + below(&me->random, me->todos < LONGEST_LEASE ? me->todos : LONGEST_LEASE));
        else if (!idle || me->held || !me->todos) { /* what is held has room when a record has been read, which is said */
            watch(me);
            if (me->held && !me->dead) lease(me, me->held < me->todos ? me->held : me->todos);
        }
    }
}

/* ------------------------------------------------------------------------------------------------------------- a round */

static parent_t me;

/* Where everybody is, read without a lock: nothing moves any more. */
static void on_alarm(int signal) {
    (void)signal;
    char text[600];
    shared_t *head = me.ring->head;
    uint64_t claim = atomic_load(&head->claim), out = atomic_load(&head->out_tail), room = ring_task_room(me.ring);
    int size = snprintf(text, sizeof text,
                        "stress: watchdog: seed %llu: the worker %s, the driver %s, the caller %s; %u to do, %u of them held, "
                        "%u in hand, %llu bytes of backlog, room for tasks %llu, claim %u of %u, outcomes %llu of %llu, "
                        "driver_wants %u, waiting %u %u %u\n",
                        (unsigned long long)seed, doing[0], doing[1], doing[2], me.todos, me.held, me.hand_to - me.hand_from,
                        (unsigned long long)(me.backlog_end - me.backlog_at), (unsigned long long)room, claim_next(claim),
                        claim_end(claim), (unsigned long long)me.head, (unsigned long long)out,
                        atomic_load(&head->driver_wants), atomic_load(&head->task_bell.waiting),
                        atomic_load(&head->room_bell.waiting), atomic_load(&head->caller_bell.waiting));
    if (write(2, text, (size_t)size)) _exit(3);
    _exit(3);
}
static void on_nudge(int signal) { (void)signal; }

static void start_worker(parent_t *me, worker_t *worker, const int pipes[3][2], bool process) {
    if (!process) {
        CHECK(!pthread_create(&me->worker_thread, NULL, work, worker), "pthread_create");
        return;
    }
    me->pid = fork();
    CHECK(me->pid >= 0, "fork: %s", strerror(errno));
    if (me->pid) {
        close(pipes[0][0]);
        close(pipes[1][1]);
        close(pipes[2][1]);
        return;
    }
    close(pipes[0][1]);
    close(pipes[1][0]);
    close(pipes[2][0]);
    work(worker);
    _exit(0);
}

static void stop_worker(parent_t *me) {
    lease_t *record = (lease_t *)ring_task_at(me->ring, ring_task_tail(me->ring, memory_order_relaxed));
    *record = (lease_t){STOP, sizeof *record, 0, 0};
    ring_publish_task(me->ring, sizeof *record);
    if (!me->pid) {
        pthread_join(me->worker_thread, NULL);
        return;
    }
    int status;
    CHECK(waitpid(me->pid, &status, 0) == me->pid, "waitpid: %s", strerror(errno));
    me->dead = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; /* it may still die by itself */
    CHECK(me->dead || status == 0, "the worker ended with status %x", status);
}

static void settle(parent_t *me) {
    pthread_mutex_lock(&me->lock);
    me->finished = true;
    pthread_mutex_unlock(&me->lock);
    bell_ring(&me->ring->head->caller_bell);
    pthread_join(me->caller_thread, NULL);
    CHECK(me->resolved + me->todos + me->lost == ITEMS, "%u + %u + %u items", me->resolved, me->todos, me->lost);
    CHECK(me->lost <= me->dead, "%u items are lost", me->lost);
    CHECK(me->dead || me->resolved == ITEMS, "%u outcomes", me->resolved);
    uint32_t ran = 0;
    for (uint32_t id = 0; id < ITEMS; id++) ran += atomic_load(&me->ran[id]);
    CHECK(ran == me->resolved || ran == me->resolved + me->lost, "%u runs, %u outcomes", ran, me->resolved);
}

static uint32_t totals[7];

static void run_round(uint64_t random, bool process) {
    static worker_t worker;
    int fd = memfd_create("stress", MFD_CLOEXEC), pipes[3][2];
    ring_t ring;
    CHECK(fd >= 0 && !ftruncate(fd, SHARED_SIZE) && !ring_map(&ring, fd), "the memory: %s", strerror(errno));
    close(fd);
    ring_begin(&ring);
    for (int i = 0; i < 3; i++) CHECK(!pipe2(pipes[i], O_CLOEXEC), "pipe2: %s", strerror(errno));
    fcntl(pipes[0][1], F_SETFL, O_NONBLOCK);
    fcntl(pipes[1][0], F_SETFL, O_NONBLOCK);
    _Atomic uint32_t *ran = mmap(NULL, ITEMS * sizeof *ran, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(ran != MAP_FAILED, "mmap: %s", strerror(errno));
    memset(&me, 0, offsetof(parent_t, inbox));
    me.in_end = 0;
    me.ring = &ring, me.ran = ran, me.random = mix(random), me.callers_random = mix(random ^ 77);
    me.tasks = pipes[0][1], me.results = pipes[1][0], me.death = pipes[2][0];
    me.hear = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&me.lock, NULL);
    for (uint32_t id = ITEMS; id--;) me.todo[me.todos++] = id;
    uint32_t death = process ? below(&me.random, 8) : 0; /* 0: none, to 3: by itself, else by the driver */
    worker = (worker_t){.ring = &ring, .tasks = pipes[0][0], .results = pipes[1][1], .ran = ran, .random = mix(~random)};
    if (death && death < 4) worker.steps_to_live = 1 + below(&me.random, 1u << (4 + below(&me.random, 8)));
    ring_driver_wants(&ring, true);
    start_worker(&me, &worker, (const int (*)[2])pipes, process);
    CHECK(!pthread_create(&me.caller_thread, NULL, call, &me), "pthread_create");
    drive(&me, death >= 4 ? 1 + below(&me.random, 1u << (2 + below(&me.random, 8))) : 0);
    if (!me.dead) stop_worker(&me);
    settle(&me);
    totals[0] += me.resolved, totals[1] += me.back, totals[2] += me.dead, totals[3] += me.lost;
    for (int i = 0; i < 3; i++)
        for (int end = 0; end < 2; end++)
            if (!process || pipes[i][end] == me.tasks || pipes[i][end] == me.results || pipes[i][end] == me.death)
                close(pipes[i][end]);
    shared_t *head = ring.head;
    totals[4] += atomic_load(&head->task_bell.rings), totals[5] += atomic_load(&head->room_bell.rings);
    totals[6] += atomic_load(&head->caller_bell.rings);
    close(me.hear);
    free(me.backlog);
    munmap(ran, ITEMS * sizeof *ran);
    pthread_mutex_destroy(&me.lock);
    ring_unmap(&ring);
}

int main(int count, char **words) {
    if (count != 4 || (strcmp(words[1], "threads") && strcmp(words[1], "kills"))) {
        fprintf(stderr, "usage: stress threads|kills SEED ROUNDS\n");
        return 2;
    }
    bool process = words[1][0] == 'k';
    seed = strtoull(words[2], NULL, 10);
    uint32_t rounds = (uint32_t)strtoul(words[3], NULL, 10);
    struct sigaction nudged = {.sa_handler = on_nudge}, alarmed = {.sa_handler = on_alarm};
    sigaction(SIGUSR1, &nudged, NULL);
    sigaction(SIGALRM, &alarmed, NULL);
    signal(SIGPIPE, SIG_IGN);
    for (uint32_t i = 0; i < rounds; i++) {
        alarm(WATCHDOG);
        sizes = mix(seed) + i;
        run_round(mix(seed) + i * 1000, process);
    }
    printf("%s, seed %llu: %u rounds, %u outcomes, %u taken back, %u deaths, %u lost; woken for tasks %u, for room %u, "
           "for outcomes %u\n", words[1], (unsigned long long)seed, rounds, totals[0], totals[1], totals[2], totals[3],
           totals[4], totals[5], totals[6]);
    return 0;
}
