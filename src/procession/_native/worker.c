/* WorkerRing: the worker's end of its rings. Laws 4 and 5 of core/README.md are kept in `run`:
 *
 * 1. An item is taken (C2) right before it is run; one that cannot be taken ends its record.
 * 2. The outcome of an item is published (R3, R4) before the next one is taken.
 * 3. Each lease that is left behind, run or not, is reported: OUT_END.
 * 4. A process that a task has forked, and that comes back from it, touches nothing here and ends (`forked`).
 * 5. Each item runs in a copy of the worker's context (worker/surroundings.py). The copy serves for the next one, too, if
 *    nothing was set in it meanwhile (around.c).
 * 6. While somebody wants to know, it is written down when each item is run (transport/timesheet.py, whose laws hold).
 */
#include "native.h"

#include <poll.h>
#include <pthread.h>

#define SPIN_NS UINT64_C(50000)
#define FEW 8

static int forked; /* set in a child that this process has forked */

static void in_child(void) { forked = 1; }

/* An entry of the time sheet, as transport/timesheet.py has it. */
typedef struct {
    int64_t started, ended;
    uint32_t load, dump, out, number;
} entry_t;

#define SHEET_HEAD 4096

typedef struct {
    PyObject_HEAD
    ring_t ring;
    uint64_t at; /* bytes of the task ring that have been read */
    uint64_t began_ns; /* the lease, or 0: between two */
    unsigned items; /* run of the lease */
    uint32_t item;  /* the number after that of the item that was taken last */
    unsigned mode; /* the last OUT_MODE */
    bool mode_told;
    bool urgent; /* what is being published ends a lease, and is to be decoded */
    record_t record; /* the group that is being run */
    const unsigned char *body;
    PyObject *piped; /* records that came through the pipe, or NULL */
    const unsigned char *piped_at, *piped_end;
    PyObject *write; /* write(kind, bytes): a frame into the result pipe, whole */
    PyObject *resting, *rest; /* a bytearray: not 0: rest() is to be called before an item is taken */
    patience_t patience;
    around_t around;
    uint64_t published; /* outcomes, ever: the number of the item that is run next */
    Py_buffer sheet; /* the time sheet; nothing: nobody has wanted to know yet */
    PyObject *wanted; /* wanted(): gives the sheet, by `times` */
    bool timed; /* of this record */
    entry_t *entry; /* of the item that is run */
    uint64_t ran_ns; /* when its function had returned, if that was asked for */
    uint64_t loaded; /* ns that it took to decode its arguments */
    uint64_t aside; /* bytes of its outcome that do not lie in the ring */
} worker_ring_t;

/* -------------------------------------------------------------------------------------------------- the time sheet */

static uint32_t at_most(uint64_t value) { return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value; }

/* The next item is run. */
static void time_began(worker_ring_t *self) {
    size_t slots = ((size_t)self->sheet.len - SHEET_HEAD) / sizeof(entry_t);
    self->entry = (entry_t *)((char *)self->sheet.buf + SHEET_HEAD) + self->published % slots;
    self->entry->number = ~(uint32_t)self->published; /* not whole */
    atomic_thread_fence(memory_order_release);
    *self->entry = (entry_t){.started = (int64_t)ring_now_ns(), .number = ~(uint32_t)self->published};
    atomic_thread_fence(memory_order_release);
    self->entry->number = (uint32_t)self->published;
    self->ran_ns = self->loaded = self->aside = 0;
}

/* Its outcome, of so many bytes, is about to be published. */
static void time_ended(worker_ring_t *self, size_t out) {
    uint64_t now = ring_now_ns();
    self->entry->ended = (int64_t)now;
    self->entry->load = at_most(self->loaded);
    self->entry->dump = self->ran_ns ? at_most(now - self->ran_ns) : 0;
    self->entry->out = at_most(out + self->aside);
    atomic_thread_fence(memory_order_release);
    *(volatile uint64_t *)self->sheet.buf = self->published + 1;
}

/* The outcome is not plain: encoding it begins. */
static void time_encodes(worker_ring_t *self) {
    if (self->timed && !self->ran_ns) self->ran_ns = ring_now_ns();
}

/* ----------------------------------------------------------------------------------------------------- publishing */

enum { TO_DRIVER_BELL = 22, TO_DRIVER_PIPED = 23 }; /* as in transport/frames.py */

static int tell_driver(worker_ring_t *self) {
    PyObject *done = PyObject_CallFunction(self->write, "iy#", TO_DRIVER_BELL, "", (Py_ssize_t)0);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* Wait until so many bytes of the outcome ring are free. */
static int await_room(worker_ring_t *self, size_t size) {
    ring_t *ring = &self->ring;
    bool told = false;
    while (ring_out_room(ring, memory_order_acquire) < size) {
        ring_publish_end(ring, 0); /* nobody was told of what was published by R3, so nobody would make room */
        if (!told && tell_driver(self) < 0) return -1; /* whether or not it has asked */
        told = true;
        uint32_t seen = bell_enter(&ring->head->room_bell);
        if (ring_out_room(ring, memory_order_seq_cst) < size) {
            struct timespec patience = {1, 0};
            Py_BEGIN_ALLOW_THREADS
            bell_sleep(&ring->head->room_bell, seen, &patience);
            Py_END_ALLOW_THREADS
        }
        bell_leave(&ring->head->room_bell);
        if (PyErr_CheckSignals() < 0) return -1;
    }
    return 0;
}

/* A pen at the tail of the outcome ring with at least `size` bytes before it. */
static int begin_out(worker_ring_t *self, pen_t *pen, size_t size) {
    if (await_room(self, size) < 0) return -1;
    unsigned char *at = ring_out_at(&self->ring, ring_out_tail(&self->ring, memory_order_relaxed));
    size_t room = ring_out_room(&self->ring, memory_order_acquire);
    *pen = (pen_t){at, at + (room < LARGEST ? room : LARGEST)};
    return 0;
}

static int end_out(worker_ring_t *self, pen_t *pen, bool wakes) {
    ring_t *ring = &self->ring;
    size_t size = (size_t)(pen->at - ring_out_at(ring, ring_out_tail(ring, memory_order_relaxed)));
    if (!wakes) {
        ring_publish_out(ring, size);
        return 0;
    }
    /* what is to be decoded is for the driver, even if a caller waits for it and the driver does not ask */
    bool wanted = ring_publish_end(ring, size), urgent = self->urgent;
    self->urgent = false;
    return wanted || urgent ? tell_driver(self) : 0;
}

#define ROOM_FOR_HEADS (8 * WORD)

static void put_mode(worker_ring_t *self, pen_t *pen) {
    if (self->mode_told && self->mode == self->record.mode) return;
    self->mode = self->record.mode;
    self->mode_told = true;
    put_word(pen, word_of(TAG_RAW, OUT_MODE, self->mode));
}

static void put_end(worker_ring_t *self, pen_t *pen) {
    /* the record is not needed any more, and whoever hears of the end looks for room once */
    if (!self->piped) ring_task_done(&self->ring, self->at + self->record.size);
    uint64_t now = ring_now_ns(), ns = self->began_ns ? now - self->began_ns : 0;
    put_word(pen, word_of(TAG_RAW, OUT_END, self->items));
    put_word(pen, ns);
    self->began_ns = 0;
    self->items = 0;
}

/* What is too large for the ring goes through the pipe whole; then its place in the ring is published. */
static int publish_piped(worker_ring_t *self, const unsigned char *data, size_t size, bool ends) {
    PyObject *done =
        PyObject_CallFunction(self->write, "iy#", TO_DRIVER_PIPED, (const char *)data, (Py_ssize_t)size);
    if (!done) return -1;
    Py_DECREF(done);
    pen_t pen;
    if (begin_out(self, &pen, ROOM_FOR_HEADS) < 0) return -1;
    put_mode(self, &pen);
    put_word(&pen, word_of(TAG_RAW, OUT_PIPED, 0));
    if (ends) put_end(self, &pen);
    return end_out(self, &pen, true);
}

/* One outcome, by `put`, into the ring or, when that has no room for it, into memory of its own. `ends`: its lease ends.
 * 1: `put` says that it cannot be put so. */
static int publish(worker_ring_t *self, put_t (*put)(pen_t *, const void *), const void *what, bool ends) {
    pen_t pen;
    for (size_t room = 16 * WORD;; room = LARGEST) {
        if (begin_out(self, &pen, room) < 0) return -1;
        bool told = self->mode_told;
        unsigned mode = self->mode;
        put_mode(self, &pen);
        pen.end -= 2 * WORD; /* for the end of the lease */
        unsigned char *before = pen.at;
        put_t done = put(&pen, what);
        pen.end += 2 * WORD;
        if (done == PUT_DONE) {
            if (self->timed) time_ended(self, (size_t)(pen.at - before));
            if (ends) put_end(self, &pen);
            return end_out(self, &pen, ends);
        }
        self->mode_told = told;
        self->mode = mode;
        if (done == PUT_ERROR || done == PUT_NOT_PLAIN) return done == PUT_ERROR ? -1 : 1;
        if (room == LARGEST) break;
    }
    for (size_t size = 2 * LARGEST;; size *= 2) {
        unsigned char *heap = PyMem_Malloc(size);
        if (!heap) return PyErr_NoMemory(), -1;
        pen_t own = {heap, heap + size};
        put_word(&own, word_of(TAG_RAW, OUT_MODE, self->record.mode));
        put_t done = put(&own, what);
        if (self->timed && done == PUT_DONE) time_ended(self, (size_t)(own.at - heap));
        int failed = done == PUT_DONE ? publish_piped(self, heap, (size_t)(own.at - heap), ends) : -1;
        PyMem_Free(heap);
        if (done != PUT_NO_ROOM) return failed;
    }
}

static put_t put_value(pen_t *pen, const void *value) { return value_put(pen, (PyObject *)value); }
static put_t put_nest(pen_t *pen, const void *value) { return value_put_nest(pen, (PyObject *)value); }

typedef struct {
    unsigned kind;
    PyObject *data;
} packed_t;

static put_t put_packed(pen_t *pen, const void *what) {
    const packed_t *packed = what;
    return value_put_bytes(pen, TAG_RAW, packed->kind, PyBytes_AS_STRING(packed->data),
                           PyBytes_GET_SIZE(packed->data));
}

static int publish_packed(worker_ring_t *self, unsigned kind, PyObject *data, bool ends) {
    if (data && !PyBytes_Check(data)) {
        PyErr_SetString(PyExc_SystemError, "procession: an outcome was not encoded as bytes");
        Py_CLEAR(data);
    }
    if (!data) return -1;
    packed_t packed = {kind, data};
    self->urgent = ends;
    int failed = publish(self, put_packed, &packed, ends);
    Py_DECREF(data);
    return failed;
}

/* -------------------------------------------------------------------------------------------------------- one item */

/* What turns a body into a value, and that into bytes: see worker/fast.py. */
typedef struct {
    PyObject *plain, *encoded, *encode_result, *encode_error, *place;
    PyObject *lends; /* a bytearray: not 0: arrays may lie in the arena already, and are for the pickler */
} hands_t;

/* Call with the arguments at *at, which moves behind them in any case. */
static PyObject *call_with(hands_t *hands, const unsigned char **at, unsigned mode) {
    uint64_t word;
    memcpy(&word, *at, WORD);
    if (mode != MODE_WHOLE_ITEMS && word_tag(word) == TAG_RAW) {
        const char *data = (const char *)*at + WORD;
        *at += WORD + padded(word_length(word));
        PyObject *body = PyBytes_FromStringAndSize(data, (Py_ssize_t)word_length(word));
        PyObject *value = body ? PyObject_CallOneArg(hands->encoded, body) : NULL;
        Py_XDECREF(body);
        return value;
    }
    size_t count = 1;
    if (mode != MODE_WHOLE_ITEMS) {
        count = (size_t)word_length(word);
        *at += WORD;
    }
    PyObject *few[FEW + 1], **args = count <= FEW ? few : PyMem_New(PyObject *, count + 1);
    if (!args) {
        for (size_t i = 0; i < count; i++) value_skip(at);
        return PyErr_NoMemory();
    }
    size_t got = 0;
    while (got < count && (args[got + 1] = value_get(at))) got++;
    for (size_t i = got + 1; i < count; i++) value_skip(at); /* one could not be made: it has been passed */
    PyObject *value = NULL;
    if (got == count) value = PyObject_Vectorcall(hands->plain, args + 1, count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    while (got) Py_DECREF(args[got--]);
    if (args != few) PyMem_Free(args);
    return value;
}

/* Call with the item at *number, which moves on by `step`. */
static PyObject *call_with_number(hands_t *hands, int64_t *number, int64_t step) {
    PyObject *args[2] = {NULL, PyLong_FromLongLong(*number)};
    *number += step;
    PyObject *value = args[1] ? PyObject_Vectorcall(hands->plain, args + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL) : NULL;
    Py_XDECREF(args[1]);
    return value;
}

static PyObject *current_error(void) {
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace && error) PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return error;
}

static int publish_error(worker_ring_t *self, hands_t *hands, bool ends) {
    PyObject *error = current_error();
    time_encodes(self);
    PyObject *data = error ? PyObject_CallOneArg(hands->encode_error, error) : NULL;
    Py_XDECREF(error);
    return publish_packed(self, OUT_ERROR, data, ends);
}

static int publish_value(worker_ring_t *self, hands_t *hands, PyObject *value, bool ends) {
    if (value_is_small(value)) return publish(self, put_value, value, ends); /* the codec may put aside what is large */
    time_encodes(self);
    if (value_is_nest(value)) {
        int failed = publish(self, put_nest, value, ends);
        if (failed <= 0) return failed;
    }
    sent_array_t sent;
    int failed = *PyByteArray_AS_STRING(hands->lends) ? 1 : array_begin(&sent, value, hands->place);
    if (!failed) {
        if (sent.place) self->aside = (uint64_t)sent.buffer.len;
        failed = publish(self, array_put, &sent, ends);
        array_end(&sent);
        return failed;
    }
    PyObject *data = failed < 0 ? NULL : PyObject_CallOneArg(hands->encode_result, value);
    if (!data) return forked ? -1 : publish_error(self, hands, ends);
    return publish_packed(self, OUT_VALUE, data, ends);
}

static int leave_forked(void) {
    PyErr_Clear();
    PyObject *zero = PyLong_FromLong(0);
    PyErr_SetObject(PyExc_SystemExit, zero);
    Py_XDECREF(zero);
    return -1;
}

/* Run the items of the record as far as they can be taken. */
static int run_items(worker_ring_t *self, hands_t *hands) {
    record_t *record = &self->record;
    const unsigned char *at = self->body;
    bool ranged = record->bodies == BODIES_RANGE;
    int64_t number[2] = {0, 0}; /* the next item of a range, and the step */
    if (ranged) memcpy(number, at, sizeof(number));
    for (uint32_t i = 0; i < record->count; i++) {
        if (*PyByteArray_AS_STRING(self->resting)) {
            PyObject *rested = PyObject_CallNoArgs(self->rest);
            if (!rested) return -1;
            Py_DECREF(rested);
        }
        if (!ring_take_item(&self->ring, record->first + i)) {
            if (!record->last) return 0;
            pen_t pen;
            if (begin_out(self, &pen, ROOM_FOR_HEADS) < 0) return -1;
            put_end(self, &pen);
            return end_out(self, &pen, true);
        }
        self->item = record->first + i + 1;
        bool ends = record->last && i + 1 == record->count;
        if (self->timed) time_began(self);
        PyObject *value =
            ranged ? call_with_number(hands, &number[0], number[1]) : call_with(hands, &at, record->mode);
        if (forked) {
            Py_XDECREF(value);
            return leave_forked();
        }
        self->items++;
        int failed = value ? publish_value(self, hands, value, ends) : publish_error(self, hands, ends);
        self->published++;
        Py_XDECREF(value);
        if (failed) return forked ? leave_forked() : -1;
        if (around_renew(&self->around) < 0) return -1;
        if (PyErr_CheckSignals() < 0) return -1; /* of C code: Python code has looked by itself */
    }
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------- records */

/* Let go of the record that was run, so that its place may be used again. */
static void record_done(worker_ring_t *self) {
    if (!self->record.size) return;
    if (self->piped) {
        self->piped_at += self->record.size;
        if (self->piped_at >= self->piped_end) Py_CLEAR(self->piped);
    } else {
        self->at += self->record.size;
        ring_task_done(&self->ring, self->at);
    }
    self->record.size = 0;
}

/* run(plain, encoded, encode_result, encode_error, place, lends): what `wait` has announced as a group. */
static PyObject *w_run(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    worker_ring_t *self = (worker_ring_t *)object;
    bool right = count == 6 && PyByteArray_Check(args[5]) && PyByteArray_GET_SIZE(args[5]);
    if (!right || self->record.kind != RECORD_GROUP || !self->record.size)
        return PyErr_Format(PyExc_SystemError, "procession: there is no group to be run");
    if (!self->began_ns) self->began_ns = ring_now_ns();
    if (self->record.mode != MODE_CALLS) self->mode_told = false; /* outcomes of two chunks are told apart */
    hands_t hands = {args[0], args[1], args[2], args[3], args[4], args[5]};
    int failed = around_base_here(&self->around) < 0 || around_enter(&self->around) < 0 ? -1 : run_items(self, &hands);
    around_leave(&self->around);
    if (failed) return NULL;
    record_done(self);
    Py_RETURN_NONE;
}

/* Whether the next record is to be timed; the first time, the sheet is asked for. */
static int look_who_wants_times(worker_ring_t *self) {
    self->timed = atomic_load_explicit(&self->ring.head->timed, memory_order_acquire);
    if (!self->timed || self->sheet.buf) return 0;
    PyObject *done = PyObject_CallNoArgs(self->wanted);
    Py_XDECREF(done);
    self->timed = self->sheet.buf != NULL;
    return done ? 0 : -1;
}

static PyObject *announce(worker_ring_t *self, const unsigned char *at) {
    self->record = record_read(at);
    switch (self->record.kind) {
    case RECORD_GROUP:
        self->body = at + GROUP_HEAD;
        if (look_who_wants_times(self) < 0) return NULL;
        return Py_BuildValue("(iIi)", RECORD_GROUP, self->record.id, (int)self->record.mode);
    case RECORD_FRAME: {
        PyObject *told = Py_BuildValue("(iIy#)", RECORD_FRAME, self->record.id, (const char *)at + FRAME_HEAD,
                                       (Py_ssize_t)self->record.count);
        if (!told) return NULL;
        record_done(self);
        if (ring_publish_end(&self->ring, 0) && tell_driver(self) < 0) Py_CLEAR(told); /* there may be room that was lacking */
        return told;
    }
    default:
        record_done(self);
        return Py_BuildValue("(i)", RECORD_PIPED);
    }
}

/* load(bytes): records that came through the pipe; `wait` announces them before those that follow in the ring. */
static PyObject *w_load(PyObject *object, PyObject *data) {
    worker_ring_t *self = (worker_ring_t *)object;
    if (!PyBytes_Check(data)) return PyErr_Format(PyExc_TypeError, "load takes bytes");
    Py_XSETREF(self->piped, Py_NewRef(data));
    self->piped_at = (const unsigned char *)PyBytes_AS_STRING(data);
    self->piped_end = self->piped_at + PyBytes_GET_SIZE(data);
    Py_RETURN_NONE;
}

static bool pending(worker_ring_t *self, memory_order order) {
    return self->piped || ring_task_tail(&self->ring, order) != self->at;
}

static bool hung_up(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = 0};
    return fd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

/* Sleep until there is a record, the parent has let go, a signal came, or for so long (NULL: for ever). */
static int sleep_for_record(worker_ring_t *self, const struct timespec *patience) {
    shared_t *head = self->ring.head;
    uint32_t seen = bell_enter(&head->task_bell);
    int why = 0;
    if (!pending(self, memory_order_seq_cst) && !atomic_load(&head->closed)) {
        Py_BEGIN_ALLOW_THREADS
        why = bell_sleep(&head->task_bell, seen, patience);
        Py_END_ALLOW_THREADS
    }
    bell_leave(&head->task_bell);
    return why == EINTR ? PyErr_CheckSignals() : 0;
}

/* hears(seconds): wait so long for a record; whether `wait` would return at once. */
static PyObject *w_hears(PyObject *object, PyObject *limit) {
    worker_ring_t *self = (worker_ring_t *)object;
    double seconds = PyFloat_AsDouble(limit);
    if (PyErr_Occurred()) return NULL;
    struct timespec patience = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (!pending(self, memory_order_acquire) && sleep_for_record(self, &patience) < 0) return NULL;
    return PyBool_FromLong(pending(self, memory_order_acquire) || atomic_load(&self->ring.head->closed));
}

/* wait(fd) -> (GROUP, function, mode) | (FRAME, kind, bytes) | (PIPED,) | None: the parent is gone. `fd`: the task pipe,
 * where nothing else would tell of that; else -1. */
static PyObject *w_wait(PyObject *object, PyObject *number) {
    worker_ring_t *self = (worker_ring_t *)object;
    int fd = (int)PyLong_AsLong(number);
    if (PyErr_Occurred()) return NULL;
    shared_t *head = self->ring.head;
    atomic_store_explicit(&head->worker_cpu, ring_cpu(), memory_order_relaxed);
    if (!pending(self, memory_order_acquire) && patience_spins(&self->patience)) {
        bool paid;
        Py_BEGIN_ALLOW_THREADS
        paid = ring_spin(&head->task_tail, self->at, &head->parent_cpu, SPIN_NS);
        Py_END_ALLOW_THREADS
        patience_learn(&self->patience, paid);
    }
    while (!pending(self, memory_order_acquire)) {
        if (atomic_load(&head->closed) || hung_up(fd)) Py_RETURN_NONE;
        struct timespec second = {1, 0}; /* then it is looked whether `fd` has hung up */
        if (sleep_for_record(self, fd >= 0 ? &second : NULL) < 0) return NULL;
    }
    return announce(self, self->piped ? self->piped_at : ring_task_at(&self->ring, self->at));
}

/* Whether `wait` would return at once. */
static PyObject *w_pending(PyObject *object, PyObject *unused) {
    return PyBool_FromLong(pending((worker_ring_t *)object, memory_order_acquire));
}

/* speak(): something was printed. */
static PyObject *w_speak(PyObject *object, PyObject *unused) {
    if (!forked) ring_speak(&((worker_ring_t *)object)->ring);
    Py_RETURN_NONE;
}

static PyObject *w_asked(PyObject *object, PyObject *unused) {
    return PyBool_FromLong(!forked && ring_asked(&((worker_ring_t *)object)->ring));
}

/* times(buffer): the time sheet, to be written on from now on. */
static PyObject *w_times(PyObject *object, PyObject *memory) {
    worker_ring_t *self = (worker_ring_t *)object;
    Py_buffer sheet;
    if (PyObject_GetBuffer(memory, &sheet, PyBUF_WRITABLE) < 0) return NULL;
    if (sheet.len < (Py_ssize_t)(SHEET_HEAD + sizeof(entry_t))) {
        PyBuffer_Release(&sheet);
        return PyErr_Format(PyExc_ValueError, "a time sheet has room for an entry at least");
    }
    if (self->sheet.buf) PyBuffer_Release(&self->sheet);
    self->sheet = sheet;
    Py_RETURN_NONE;
}

/* place() -> the number of the item that this worker is at, or was at last; no other has the same. The claim word would
 * not do: it moves on when the parent takes back what lies behind this item. */
static PyObject *w_place(PyObject *object, PyObject *unused) {
    return PyLong_FromUnsignedLong(forked ? 0 : ((worker_ring_t *)object)->item);
}

/* --------------------------------------------------------------------------------------------------------- the type */

static PyObject *w_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static int registered;
    int fd;
    PyObject *write, *resting, *rest, *wanted;
    if (!PyArg_ParseTuple(args, "iOO!OO", &fd, &write, &PyByteArray_Type, &resting, &rest, &wanted)) return NULL;
    if (!PyByteArray_GET_SIZE(resting)) return PyErr_Format(PyExc_ValueError, "the bytearray is empty");
    if (!registered && pthread_atfork(NULL, NULL, in_child) == 0) registered = 1;
    worker_ring_t *self = (worker_ring_t *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    forked = 0;
    self->write = Py_NewRef(write);
    self->resting = Py_NewRef(resting);
    self->rest = Py_NewRef(rest);
    self->wanted = Py_NewRef(wanted);
    self->patience.credit = MOST_CREDIT / 2;
    if (ring_map(&self->ring, fd) < 0 || self->ring.head->magic != RING_MAGIC) {
        PyErr_SetString(PyExc_OSError, "procession: this descriptor has no rings");
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void w_dealloc(PyObject *object) {
    worker_ring_t *self = (worker_ring_t *)object;
    Py_CLEAR(self->write);
    Py_CLEAR(self->resting);
    Py_CLEAR(self->rest);
    Py_CLEAR(self->wanted);
    if (self->sheet.buf) PyBuffer_Release(&self->sheet);
    Py_CLEAR(self->piped);
    around_base(&self->around, NULL);
    ring_unmap(&self->ring);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef methods[] = {
    {"wait", w_wait, METH_O, NULL},
    {"run", (PyCFunction)(void (*)(void))w_run, METH_FASTCALL, NULL},
    {"load", w_load, METH_O, NULL},
    {"pending", w_pending, METH_NOARGS, NULL},
    {"hears", w_hears, METH_O, NULL},
    {"asked", w_asked, METH_NOARGS, NULL},
    {"place", w_place, METH_NOARGS, NULL},
    {"speak", w_speak, METH_NOARGS, NULL},
    {"times", w_times, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef w_members[] = {
    {"loaded", T_ULONGLONG, offsetof(worker_ring_t, loaded), 0, NULL},
    {"aside", T_ULONGLONG, offsetof(worker_ring_t, aside), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject WorkerRing_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.WorkerRing",
    .tp_basicsize = sizeof(worker_ring_t),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "WorkerRing(fd, write, resting, rest, wanted): the worker's end of the rings that `fd` holds.",
    .tp_dealloc = w_dealloc,
    .tp_methods = methods,
    .tp_members = w_members,
    .tp_new = w_new,
};
