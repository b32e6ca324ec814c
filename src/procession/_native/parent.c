/* ParentRing: the parent's end of one worker's rings, for the driver and for callers of a lent worker.
 *
 * Laws
 * 1. Whoever is in here has the GIL, but while it sleeps: each method is one step to all other threads.
 * 2. Only the driver consumes outcomes (`take`). A caller looks at the one that it waits for (`look_at`), further on in
 *    the ring, and consumes nothing.
 * 3. A call that a caller handed over is in `sent` before its outcome can be there: the driver takes outcomes first and
 *    asks for what was sent afterwards.
 * 4. At most one call of a lent worker is `pending`: handed over, its outcome seen by no caller. While it is, others go
 *    by the driver.
 * 5. The memory is unmapped when nobody sleeps on it any more.
 * 6. What a task has printed is shown before its outcome is given: a caller takes none while some of it is unshown (the
 *    worker has spoken) or being shown (`showing`).
 */
#include "native.h"

#define SPIN_NS UINT64_C(40000)
#define PATIENCE_NS UINT64_C(20000000)

struct parent_ring {
    PyObject_HEAD
    ring_t ring;
    uint64_t taken; /* bytes of the outcome ring that `take` has read */
    unsigned mode; /* of the outcomes there */
    bool closed;
    unsigned sleepers;
    PyObject *known; /* numbers of the functions that the worker has been sent: a set */
    PyObject *wid;
    /* lent to callers */
    char lent;
    char showing; /* what the worker has printed is being shown by the driver: outcomes wait for that */
    char hot; /* the driver looks by itself, every so often */
    char keeps; /* `take` makes no arrays: they are passed on as they came */
    uint64_t serial; /* no other ring of this process has, or had, it */
    PyObject *cooler; /* cooler(): somebody waits in another way than by `wait` */
    PyObject *sent; /* calls that the driver has not been told of: a list */
    storage_t *pending;
    uint64_t look_at; /* where the outcome of `pending` will be, or something before it that is none */
    unsigned long waits;
    patience_t patience;
    results_arena_t results; /* in which the worker's large arrays lie */
};

/* ------------------------------------------------------------------------------------------------ a lease, as records */

/* What is being written: into the ring as long as it fits, else into memory of its own, for the pipe. */
typedef struct {
    pen_t pen;
    unsigned char *start, *heap;
} sheet_t;

static int sheet_grow(sheet_t *sheet) {
    size_t used = (size_t)(sheet->pen.at - sheet->start);
    size_t size = 2 * (size_t)(sheet->pen.end - sheet->start) + LARGEST;
    unsigned char *heap = PyMem_Realloc(sheet->heap, size);
    if (!heap) {
        PyErr_NoMemory();
        return -1;
    }
    if (!sheet->heap) memcpy(heap, sheet->start, used);
    sheet->heap = sheet->start = heap;
    sheet->pen.at = heap + used;
    sheet->pen.end = heap + size;
    return 0;
}

static put_t put_body(pen_t *pen, PyObject *body, bool whole) {
    if (whole) return value_put(pen, body);
    if (PyBytes_Check(body))
        return value_put_bytes(pen, TAG_RAW, 0, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body));
    return PyTuple_CheckExact(body) ? value_put_tuple(pen, body) : PUT_NOT_PLAIN;
}

static int add_body(sheet_t *sheet, PyObject *body, bool whole) {
    for (;;) {
        unsigned char *before = sheet->pen.at;
        put_t put = put_body(&sheet->pen, body, whole);
        if (put == PUT_DONE) return 0;
        sheet->pen.at = before;
        if (put == PUT_NOT_PLAIN) PyErr_Format(PyExc_SystemError, "procession: a body that was not encoded: %R", body);
        if (put != PUT_NO_ROOM || sheet_grow(sheet) < 0) return -1;
    }
}

static int add_space(sheet_t *sheet, size_t size) {
    while ((size_t)(sheet->pen.end - sheet->pen.at) < size)
        if (sheet_grow(sheet) < 0) return -1;
    sheet->pen.at += size;
    return 0;
}

static int add_frame(sheet_t *sheet, unsigned kind, PyObject *payload) {
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(payload, &data, &size) < 0) return -1;
    size_t all = FRAME_HEAD + padded((uint64_t)size), at = (size_t)(sheet->pen.at - sheet->start);
    if (add_space(sheet, all) < 0) return -1;
    record_t record = {.kind = RECORD_FRAME, .size = (uint32_t)all, .id = kind, .count = (uint32_t)size};
    record_write(sheet->start + at, record);
    memcpy(sheet->start + at + FRAME_HEAD, data, (size_t)size);
    return 0;
}

/* A group that is being written: its head comes last. */
typedef struct {
    size_t at;
    record_t head;
} group_t;

static int group_begin(sheet_t *sheet, group_t *group, uint32_t id, unsigned mode, uint32_t first) {
    group->at = (size_t)(sheet->pen.at - sheet->start);
    group->head = (record_t){.kind = RECORD_GROUP, .mode = mode, .id = id, .first = first};
    return add_space(sheet, GROUP_HEAD);
}

static int group_end(sheet_t *sheet, group_t *group, bool last) {
    size_t size = (size_t)(sheet->pen.at - sheet->start) - group->at;
    if (size > UINT32_MAX - 8) {
        PyErr_SetString(PyExc_OverflowError, "procession: more than 4 GiB for one worker at once");
        return -1;
    }
    group->head.size = (uint32_t)size;
    group->head.last = last;
    record_write(sheet->start + group->at, group->head);
    return 0;
}

static int function_id(PyObject *function, uint32_t *id) {
    PyObject *number = PyObject_GetAttrString(function, "id");
    unsigned long value = number ? PyLong_AsUnsignedLong(number) : 0;
    Py_XDECREF(number);
    *id = (uint32_t)value;
    return PyErr_Occurred() ? -1 : 0;
}

/* The worker has this function, or its definition is written before what calls it. */
static int add_definition(parent_ring_t *self, sheet_t *sheet, PyObject *function, uint32_t id, PyObject *define) {
    if (!id) return 0; /* it travels in each call */
    PyObject *number = PyLong_FromUnsignedLong(id);
    int known = number ? PySet_Contains(self->known, number) : -1;
    if (known == 0) {
        PyObject *payload = PyObject_CallOneArg(define, function);
        known = payload && add_frame(sheet, 1, payload) == 0 && PySet_Add(self->known, number) == 0 ? 1 : -1;
        Py_XDECREF(payload);
    }
    Py_XDECREF(number);
    return known < 0 ? -1 : 0;
}

/* The items of a range from `from` on as two words. Whoever made it a chunk has looked that all its numbers fit. */
static int add_range(sheet_t *sheet, PyObject *range, Py_ssize_t from) {
    PyObject *start = PyObject_GetAttrString(range, "start"), *step = start ? PyObject_GetAttrString(range, "step") : NULL;
    int64_t numbers[2] = {step ? PyLong_AsLongLong(start) : 0, step ? PyLong_AsLongLong(step) : 0};
    Py_XDECREF(start);
    Py_XDECREF(step);
    if (PyErr_Occurred() || add_space(sheet, sizeof(numbers)) < 0) return -1;
    numbers[0] += (int64_t)from * numbers[1];
    memcpy(sheet->pen.at - sizeof(numbers), numbers, sizeof(numbers));
    return 0;
}

static int add_bodies(sheet_t *sheet, group_t *group, PyObject *bodies, Py_ssize_t from, Py_ssize_t count, bool whole) {
    if (PyRange_Check(bodies)) {
        group->head.bodies = BODIES_RANGE;
        return add_range(sheet, bodies, from);
    }
    int failed = 0;
    for (Py_ssize_t i = from; !failed && i < from + count && i < PyList_GET_SIZE(bodies); i++)
        failed = add_body(sheet, PyList_GET_ITEM(bodies, i), whole);
    return failed;
}

/* A part of a chunk: its items are in a list, or are those of a range. */
static int add_chunk(parent_ring_t *self, sheet_t *sheet, PyObject *chunk, PyObject *define, uint32_t *first, bool last) {
    PyObject *run = PyObject_GetAttrString(chunk, "run");
    PyObject *function = run ? PyObject_GetAttrString(run, "function") : NULL;
    PyObject *whole = function ? PyObject_GetAttrString(run, "whole") : NULL;
    PyObject *bodies = whole ? PyObject_GetAttrString(chunk, "bodies") : NULL;
    PyObject *low = bodies ? PyObject_GetAttrString(chunk, "low") : NULL;
    PyObject *size = low ? PyObject_GetAttrString(chunk, "size") : NULL;
    int failed = -1;
    if (size) {
        Py_ssize_t from = PyLong_AsSsize_t(low), count = PyLong_AsSsize_t(size);
        int is_whole = PyObject_IsTrue(whole);
        uint32_t id;
        group_t group;
        bool known = PyList_Check(bodies) || (PyRange_Check(bodies) && is_whole);
        if (!PyErr_Occurred() && (!known || from < 0 || from + count > PyObject_Size(bodies)))
            PyErr_SetString(PyExc_SystemError, "procession: a chunk without its bodies");
        failed = PyErr_Occurred() || function_id(function, &id) < 0 ||
                 add_definition(self, sheet, function, id, define) < 0 ||
                 group_begin(sheet, &group, id, is_whole ? MODE_WHOLE_ITEMS : MODE_ITEMS, *first) < 0;
        if (!failed) failed = add_bodies(sheet, &group, bodies, from, count, is_whole);
        if (!failed) {
            group.head.count = (uint32_t)count;
            *first += (uint32_t)count;
            failed = group_end(sheet, &group, last);
        }
    }
    Py_XDECREF(size);
    Py_XDECREF(low);
    Py_XDECREF(bodies);
    Py_XDECREF(whole);
    Py_XDECREF(function);
    Py_XDECREF(run);
    return failed ? -1 : 0;
}

/* Calls from `*next` on, as long as they are of one function. */
static int add_calls(parent_ring_t *self, sheet_t *sheet, PyObject *tasks, Py_ssize_t *next, PyObject *define,
                     uint32_t *first) {
    PyObject *function = STORAGE(PySequence_Fast_GET_ITEM(tasks, *next))->function;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(tasks), from = *next;
    uint32_t id;
    group_t group;
    if (!function || function_id(function, &id) < 0 || add_definition(self, sheet, function, id, define) < 0 ||
        group_begin(sheet, &group, id, MODE_CALLS, *first) < 0)
        return -1;
    for (; *next < count; ++*next) {
        PyObject *task = PySequence_Fast_GET_ITEM(tasks, *next);
        if (!IS_STORAGE(task) || STORAGE(task)->function != function) break;
        PyObject *body = STORAGE(task)->body;
        if (!body) {
            PyErr_SetString(PyExc_SystemError, "procession: a call without its body");
            return -1;
        }
        if (add_body(sheet, body, false) < 0) return -1;
    }
    group.head.count = (uint32_t)(*next - from);
    *first += group.head.count;
    return group_end(sheet, &group, *next == count);
}

static void touch(parent_ring_t *self) {
    atomic_store_explicit(&self->ring.head->parent_cpu, ring_cpu(), memory_order_relaxed);
}

static sheet_t sheet_in_ring(parent_ring_t *self) {
    size_t room = ring_task_room(&self->ring);
    room = room > KEPT_FREE ? room - KEPT_FREE : 0;
    unsigned char *at = ring_task_at(&self->ring, ring_task_tail(&self->ring, memory_order_relaxed));
    return (sheet_t){.pen = {at, at + (room < LARGEST ? room : LARGEST)}, .start = at, .heap = NULL};
}

/* Publish what was written; what is for the pipe is returned, and its place in the ring marked. None: all is in the ring.
 * The caller has looked that there is room for the mark. */
static PyObject *sheet_send(parent_ring_t *self, sheet_t *sheet) {
    size_t used = (size_t)(sheet->pen.at - sheet->start);
    if (!sheet->heap) {
        touch(self);
        ring_publish_task(&self->ring, used);
        Py_RETURN_NONE;
    }
    PyObject *piped = PyBytes_FromStringAndSize((char *)sheet->heap, (Py_ssize_t)used);
    if (!piped) return NULL;
    record_t record = {.kind = RECORD_PIPED, .size = FRAME_HEAD};
    record_write(ring_task_at(&self->ring, ring_task_tail(&self->ring, memory_order_relaxed)), record);
    touch(self);
    ring_publish_task(&self->ring, FRAME_HEAD);
    return piped;
}

/* A closed channel has no memory. Set an exception, which its users do not expect: it is a mistake of ours. */
static bool is_closed(parent_ring_t *self) {
    if (!self->closed) return false;
    PyErr_SetString(PyExc_ValueError, "procession: this channel is closed");
    return true;
}

/* send(tasks, tokens, define) -> None, or bytes for the pipe, whose place in the ring is marked: to be written at once. */
static PyObject *p_send(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    parent_ring_t *self = (parent_ring_t *)object;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "send takes tasks, a number of tokens and define");
    if (is_closed(self)) return NULL;
    unsigned long tokens = PyLong_AsUnsignedLong(args[1]);
    PyObject *tasks = PyErr_Occurred() ? NULL : PySequence_Fast(args[0], "send takes a sequence of tasks");
    if (!tasks) return NULL;
    uint32_t first = claim_end(atomic_load(&self->ring.head->claim)), next_item = first;
    sheet_t sheet = sheet_in_ring(self);
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < PySequence_Fast_GET_SIZE(tasks);) {
        PyObject *task = PySequence_Fast_GET_ITEM(tasks, i);
        if (IS_STORAGE(task)) {
            failed = add_calls(self, &sheet, tasks, &i, args[2], &next_item);
        } else {
            i++;
            failed = add_chunk(self, &sheet, task, args[2], &next_item, i == PySequence_Fast_GET_SIZE(tasks));
        }
    }
    if (!failed && next_item - first != (uint32_t)tokens) {
        PyErr_Format(PyExc_SystemError, "procession: %u items for %lu tokens", next_item - first, tokens);
        failed = -1;
    }
    if (!failed && sheet.heap && ring_task_room(&self->ring) < FRAME_HEAD) {
        PyErr_SetString(PyExc_SystemError, "procession: more leases are open than a ring has room for");
        failed = -1;
    }
    PyObject *sent = NULL;
    if (!failed) {
        ring_issue(&self->ring, (uint32_t)tokens); /* step C1: before the record is published */
        sent = sheet_send(self, &sheet);
    }
    PyMem_Free(sheet.heap);
    Py_DECREF(tasks);
    return sent;
}

/* frame(kind, payload) -> as send; or False: there is no room, but for the marks of leases, and nothing was sent. */
static PyObject *p_frame(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    parent_ring_t *self = (parent_ring_t *)object;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "frame takes a kind and bytes");
    if (is_closed(self)) return NULL;
    unsigned long kind = PyLong_AsUnsignedLong(args[0]);
    if (PyErr_Occurred()) return NULL;
    sheet_t sheet = sheet_in_ring(self);
    PyObject *sent = NULL;
    if (add_frame(&sheet, (unsigned)kind, args[1]) == 0) {
        bool full = sheet.heap && ring_task_room(&self->ring) < KEPT_FREE + FRAME_HEAD;
        sent = full ? Py_NewRef(Py_False) : sheet_send(self, &sheet);
    }
    PyMem_Free(sheet.heap);
    return sent;
}

static PyObject *p_withdraw(PyObject *object, PyObject *unused) {
    if (is_closed((parent_ring_t *)object)) return NULL;
    return PyLong_FromUnsignedLong(ring_withdraw(&((parent_ring_t *)object)->ring));
}

/* ----------------------------------------------------------------------------------------------------------- outcomes */

/* An outcome that is to be made in Python: Packed((kind, bytes)), kinds as in transport/page.py, VALUE and ERROR, and ARRAY.
 * A class of its own, since a tuple may be what a task has returned. */
static PyObject *get_packed(const unsigned char **at, uint64_t word) {
    static const int kinds[] = {[OUT_VALUE] = 1, [OUT_ERROR] = 2, [OUT_ARRAY] = -1};
    const char *data = (const char *)*at;
    *at += padded(word_length(word));
    return PyObject_CallFunction((PyObject *)&Packed_Type, "((iy#))", kinds[word_more(word)], data,
                                 (Py_ssize_t)word_length(word));
}

PyTypeObject Packed_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Packed",
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "A kind and bytes: an outcome that is to be decoded.",
    .tp_base = &PyTuple_Type,
};

/* An outcome. `given`: a caller has it already; an array is not made again. `self`: NULL when it came through the pipe. */
static PyObject *get_outcome(parent_ring_t *self, const unsigned char **at, bool given, bool *packed) {
    const unsigned char *before = *at;
    uint64_t word = get_word(at);
    if (self && word_tag(word) == TAG_RAW && word_more(word) == OUT_ARRAY) {
        if (given) {
            *at += padded(word_length(word));
            Py_RETURN_NONE;
        }
        PyObject *view, *array = self->keeps ? NULL : array_get(*at, word_length(word), &self->results, &view);
        if (array) {
            array_keep(view);
            *at += padded(word_length(word));
            return array;
        }
    }
    if (word_tag(word) == TAG_RAW) {
        *packed = true;
        return get_packed(at, word);
    }
    *at = before;
    return value_get(at);
}

/* What `take` is making: happenings, and the run of outcomes that comes next among them. */
typedef struct {
    PyObject *all, *run;
    bool packed, merged;
    unsigned ends, items;
    uint64_t busy_ns;
} harvest_t;

static int add_happening(harvest_t *harvest, PyObject *happening) {
    int failed = happening ? PyList_Append(harvest->all, happening) : -1;
    Py_XDECREF(happening);
    return failed;
}

static int end_run(parent_ring_t *self, harvest_t *harvest) {
    if (!harvest->run) return 0;
    PyObject *run = harvest->run;
    harvest->run = NULL;
    return add_happening(harvest, Py_BuildValue("(iNO)", (int)self->mode, run, harvest->packed ? Py_True : Py_False));
}

static int end_lease(parent_ring_t *self, harvest_t *harvest, uint64_t word, uint64_t ns) {
    if (harvest->merged) {
        harvest->ends++;
        harvest->items += (unsigned)word_length(word);
        harvest->busy_ns += ns;
        return 0;
    }
    if (end_run(self, harvest) < 0) return -1;
    return add_happening(harvest, Py_BuildValue("(iIIK)", -1, 1u, (unsigned)word_length(word), ns));
}

/* An outcome, wherever it lies; not what is said about outcomes. */
static inline bool is_outcome(uint64_t word) {
    return word_tag(word) != TAG_RAW || (word_more(word) != OUT_MODE && word_more(word) != OUT_END);
}

/* One thing of the outcome ring; 1: what comes next is in the pipe; -1: error. */
static int harvest_one(parent_ring_t *self, harvest_t *harvest, bool given, const unsigned char **at) {
    uint64_t word;
    memcpy(&word, *at, WORD);
    if (word_tag(word) == TAG_RAW && word_more(word) >= OUT_MODE) {
        *at += WORD;
        switch (word_more(word)) {
        case OUT_MODE:
            if (end_run(self, harvest) < 0) return -1;
            self->mode = (unsigned)word_length(word);
            return 0;
        case OUT_END:
            return end_lease(self, harvest, word, get_word(at));
        default:
            return end_run(self, harvest) < 0 ? -1 : 1;
        }
    }
    if (!harvest->run) {
        harvest->packed = false;
        if (!(harvest->run = PyList_New(0))) return -1;
    }
    PyObject *outcome = get_outcome(self, at, given, &harvest->packed);
    int failed = outcome ? PyList_Append(harvest->run, outcome) : -1;
    Py_XDECREF(outcome);
    return failed;
}

/* take(merged) -> [(mode, outcomes, some are packed) | (-1, leases, items, nanoseconds) | (-2,)]. The last one: the next
 * outcome is in the pipe, whole; `take` again goes on behind it. `merged`: leases that ended are told as one, at the end. */
static PyObject *p_take(PyObject *object, PyObject *merged) {
    parent_ring_t *self = (parent_ring_t *)object;
    if (is_closed(self)) return NULL;
    harvest_t harvest = {.all = PyList_New(0), .merged = merged == Py_True};
    if (!harvest.all) return NULL;
    uint64_t tail = ring_out_tail(&self->ring, memory_order_seq_cst);
    int state = 0;
    while (state == 0 && self->taken < tail) {
        const unsigned char *start = ring_out_at(&self->ring, self->taken), *at = start;
        uint64_t word;
        memcpy(&word, at, WORD);
        bool given = self->taken < self->look_at;
        if (self->lent && !given && is_outcome(word)) {
            /* it is the driver's; making it may let others in here, who may hand over the next call, and look for that */
            const unsigned char *end = start;
            value_skip(&end);
            self->look_at = self->taken + (uint64_t)(end - start);
            Py_CLEAR(self->pending);
        }
        state = harvest_one(self, &harvest, given, &at);
        self->taken += (uint64_t)(at - start);
    }
    if (state >= 0 && end_run(self, &harvest) < 0) state = -1;
    if (state >= 0 && harvest.ends)
        state = add_happening(&harvest, Py_BuildValue("(iIIK)", -1, harvest.ends, harvest.items, harvest.busy_ns));
    if (state == 1) state = add_happening(&harvest, Py_BuildValue("(i)", -2));
    ring_out_done(&self->ring, self->taken);
    if (self->look_at < self->taken) self->look_at = self->taken;
    Py_XDECREF(harvest.run);
    if (state >= 0) return harvest.all;
    Py_DECREF(harvest.all);
    return NULL;
}

/* unpiped(bytes) -> (mode, outcome): what came through the pipe. */
PyObject *parent_unpiped(PyObject *module, PyObject *data) {
    if (!PyBytes_Check(data) || PyBytes_GET_SIZE(data) < (Py_ssize_t)(2 * WORD))
        return PyErr_Format(PyExc_TypeError, "unpiped takes what was piped");
    const unsigned char *at = (const unsigned char *)PyBytes_AS_STRING(data);
    bool packed;
    uint64_t mode = word_length(get_word(&at));
    PyObject *outcome = get_outcome(NULL, &at, false, &packed);
    return outcome ? Py_BuildValue("(iN)", (int)mode, outcome) : NULL;
}

/* results(mapped, address, data): the worker's arena is mapped there, as long as somebody has `mapped`; its blocks begin at
 * `data`. */
static PyObject *p_results(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    results_arena_t *results = &((parent_ring_t *)object)->results;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "results takes what keeps it mapped, and two numbers");
    unsigned long long address = PyLong_AsUnsignedLongLong(args[1]), data = PyLong_AsUnsignedLongLong(args[2]);
    if (PyErr_Occurred()) return NULL;
    results->base = (unsigned char *)(uintptr_t)address;
    results->data = data;
    put_slot(&results->mapped, args[0]);
    Py_RETURN_NONE;
}

/* array(bytes) -> what an outcome that came as Packed with ARRAY is; None when it cannot be made yet. */
static PyObject *p_array(PyObject *object, PyObject *data) {
    if (!PyBytes_Check(data) || PyBytes_GET_SIZE(data) < (Py_ssize_t)WORD)
        return PyErr_Format(PyExc_TypeError, "array takes what was packed");
    PyObject *view, *array = array_get((const unsigned char *)PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data),
                                       &((parent_ring_t *)object)->results, &view);
    if (!array) Py_RETURN_NONE;
    array_keep(view);
    return array;
}

/* --------------------------------------------------------------------------------------------------- a lent worker */

static void unmap_if_unused(parent_ring_t *self) {
    if (self->closed && !self->sleepers) ring_unmap(&self->ring);
}

/* The value at look_at, which moves behind it, as does the mark that it is awaited: making it may let others in here. */
static PyObject *get_looked_at(parent_ring_t *self, uint64_t word) {
    const unsigned char *start = ring_out_at(&self->ring, self->look_at), *at = start;
    unsigned char nest[MOST_NESTED];
    value_skip(&at);
    self->look_at += (uint64_t)(at - start);
    self->pending = NULL;
    if (word_is_nest(word)) {
        memcpy(nest, start, (size_t)(at - start)); /* meanwhile the driver may take it, and the worker write over it */
        start = nest;
    }
    return value_get(&start);
}

/* The array at look_at, which then moves behind it. Making it may let others in here, the driver who takes it, say, or closes
 * the ring: then it is not ours, and NULL without an exception, as when it cannot be made here.
 * An array that lies in an arena has to be made once, since its end is told; so what is given by callers is given for
 * certain, and the driver makes no array that lies before look_at. */
static PyObject *get_looked_at_array(parent_ring_t *self, uint64_t word) {
    storage_t *pending = self->pending;
    uint64_t before = self->look_at;
    if (!storage_takes(pending)) return NULL;
    PyObject *view;
    self->sleepers++; /* it stays mapped */
    PyObject *array = array_get(ring_out_at(&self->ring, before) + WORD, word_length(word), &self->results, &view);
    self->sleepers--;
    bool ours = array && self->look_at == before && self->pending == pending && !self->closed && storage_takes(pending);
    if (ours) {
        array_keep(view);
        self->look_at += WORD + padded(word_length(word));
        self->pending = NULL;
    } else if (array) {
        Py_DECREF(array);
        Py_XDECREF(view);
        array = NULL;
    }
    unmap_if_unused(self);
    return array;
}

/* Look whether the outcome of the pending call is there, and give it that. What is found and cannot be given is left to the
 * driver: a pickle, since loading it may run code of the program, which must be done once, whatever strikes; and what a
 * task has printed is to be shown first. */
static int look(parent_ring_t *self) {
    uint64_t tail = ring_out_tail(&self->ring, memory_order_acquire);
    while (self->pending && self->look_at < tail) {
        const unsigned char *at = ring_out_at(&self->ring, self->look_at);
        uint64_t word = get_word(&at);
        if (!is_outcome(word)) {
            self->look_at += word_more(word) == OUT_END ? 2 * WORD : WORD;
            continue;
        }
        bool is_array = word_tag(word) == TAG_RAW && word_more(word) == OUT_ARRAY;
        if ((word_tag(word) == TAG_RAW && !is_array) || self->showing || ring_spoke(&self->ring)) return 0;
        storage_t *pending = self->pending; /* its reference is ours as soon as there is an outcome */
        PyObject *outcome = is_array ? get_looked_at_array(self, word) : get_looked_at(self, word);
        if (is_array && !outcome) return 0;
        int settled = outcome ? storage_settle(pending, outcome) : -1;
        if (settled == 1) Py_CLEAR(pending->lane);
        Py_XDECREF(outcome);
        Py_DECREF(pending);
        return settled < 0 ? -1 : 0;
    }
    return 0;
}

int parent_send_call(parent_ring_t *self, storage_t *future, uint32_t id) {
    if (!self->lent || self->closed) return 0;
    if (self->pending && (look(self) < 0 || self->pending)) return PyErr_Occurred() ? -1 : 0;
    sheet_t sheet = sheet_in_ring(self);
    group_t group;
    if ((size_t)(sheet.pen.end - sheet.pen.at) < GROUP_HEAD) return 0;
    group_begin(&sheet, &group, id, MODE_CALLS, claim_end(atomic_load(&self->ring.head->claim)));
    put_t put = put_body(&sheet.pen, future->body, false);
    if (put != PUT_DONE) return put == PUT_ERROR ? -1 : 0; /* nothing was published */
    group.head.count = 1;
    if (group_end(&sheet, &group, true) < 0 || PyList_Append(self->sent, (PyObject *)future) < 0) return -1;
    put_slot(&future->state, names.running);
    put_slot(&future->wid, self->wid);
    put_slot(&future->lane, (PyObject *)self);
    future->started = 1;
    self->pending = (storage_t *)Py_NewRef((PyObject *)future);
    touch(self);
    ring_issue(&self->ring, 1);
    ring_publish_task(&self->ring, (size_t)(sheet.pen.at - sheet.start));
    return 1;
}

uint64_t parent_serial(parent_ring_t *self) { return self->serial; }
bool parent_is_hot(parent_ring_t *self) { return self->hot; }

bool parent_knows(parent_ring_t *self, uint32_t id) {
    PyObject *number = PyLong_FromUnsignedLong(id);
    int known = number ? PySet_Contains(self->known, number) : -1;
    Py_XDECREF(number);
    if (known < 0) PyErr_Clear();
    return known == 1;
}

/* Sleep until the worker has published more than `tail`, or for `ns`. -1: a signal handler has raised. */
static int sleep_for_more(parent_ring_t *self, uint64_t tail, uint64_t ns) {
    struct timespec patience = {(time_t)(ns / UINT64_C(1000000000)), (long)(ns % UINT64_C(1000000000))};
    bell_t *bell = &self->ring.head->caller_bell;
    int why = 0;
    uint32_t seen = bell_enter(bell);
    if (ring_out_tail(&self->ring, memory_order_seq_cst) == tail) {
        self->sleepers++;
        Py_BEGIN_ALLOW_THREADS
        why = bell_sleep(bell, seen, &patience);
        Py_END_ALLOW_THREADS
        self->sleepers--;
    }
    bell_leave(bell);
    unmap_if_unused(self);
    return why == EINTR ? PyErr_CheckSignals() : 0;
}

int parent_wait_call(parent_ring_t *self, storage_t *future, uint64_t most_ns) {
    uint64_t until = 0;
    self->waits++;
    while (!self->closed && self->lent && self->pending == future) {
        uint64_t tail = ring_out_tail(&self->ring, memory_order_acquire);
        if (look(self) < 0) return -1;
        if (self->pending != future || future->state == names.finished) break;
        if (self->look_at < tail) break; /* it is there, and not for us to take */
        if (!until) touch(self);
        if (patience_spins(&self->patience)) {
            bool paid = ring_spin(&self->ring.head->out_tail, tail, &self->ring.head->worker_cpu, SPIN_NS);
            patience_learn(&self->patience, paid);
            if (paid) continue;
        }
        uint64_t now = ring_now_ns();
        if (!until) until = now + (most_ns < PATIENCE_NS ? most_ns : PATIENCE_NS);
        if (now >= until) break;
        if (sleep_for_more(self, tail, until - now) < 0) return -1;
    }
    return 0;
}

static PyObject *p_wait(PyObject *object, PyObject *future) {
    if (!IS_STORAGE(future)) return PyErr_Format(PyExc_TypeError, "wait takes a future");
    Py_INCREF(object);
    int failed = parent_wait_call((parent_ring_t *)object, STORAGE(future), PATIENCE_NS);
    Py_DECREF(object);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

/* hand(future, function's number) -> whether the call was handed over. */
static PyObject *p_hand(PyObject *object, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !IS_STORAGE(args[0])) return PyErr_Format(PyExc_TypeError, "hand takes a future and a number");
    unsigned long id = PyLong_AsUnsignedLong(args[1]);
    if (PyErr_Occurred()) return NULL;
    parent_ring_t *self = (parent_ring_t *)object;
    int sent = id && parent_knows(self, (uint32_t)id) ? parent_send_call(self, STORAGE(args[0]), (uint32_t)id) : 0;
    return sent < 0 ? NULL : PyBool_FromLong(sent);
}

/* A caller has got its outcome from the driver. */
static PyObject *p_answered(PyObject *object, PyObject *future) {
    if (IS_STORAGE(future)) Py_CLEAR(STORAGE(future)->lane);
    Py_RETURN_NONE;
}

static PyObject *p_cool(PyObject *object, PyObject *unused) {
    PyObject *cooler = ((parent_ring_t *)object)->cooler;
    return is_none(cooler) ? Py_NewRef(Py_None) : PyObject_CallNoArgs(cooler);
}

/* The calls that callers have handed over since the last time. */
static PyObject *p_take_sent(PyObject *object, PyObject *unused) {
    parent_ring_t *self = (parent_ring_t *)object;
    PyObject *fresh = PyList_New(0);
    if (!fresh) return NULL;
    PyObject *sent = self->sent;
    self->sent = fresh;
    return sent;
}

/* lend(): from now on callers may hand over single calls; the worker idles, and all its outcomes were taken. */
static PyObject *p_lend(PyObject *object, PyObject *unused) {
    parent_ring_t *self = (parent_ring_t *)object;
    if (is_closed(self)) return NULL;
    self->lent = 1;
    self->look_at = self->taken;
    Py_CLEAR(self->pending);
    Py_RETURN_NONE;
}

/* recall(): no more; those who wait find another way. */
static PyObject *p_recall(PyObject *object, PyObject *unused) {
    parent_ring_t *self = (parent_ring_t *)object;
    self->lent = 0;
    Py_CLEAR(self->pending);
    if (!self->closed) bell_ring(&self->ring.head->caller_bell);
    Py_RETURN_NONE;
}

/* ------------------------------------------------------------------------------------------------------ bells and asking */

/* wants(yes): whether the worker is to say through its pipe that there are outcomes. Look for them afterwards. */
static PyObject *p_wants(PyObject *object, PyObject *yes) {
    if (is_closed((parent_ring_t *)object)) return NULL;
    ring_driver_wants(&((parent_ring_t *)object)->ring, yes == Py_True);
    Py_RETURN_NONE;
}

/* will_show() -> whether the worker has printed something: to be shown before outcomes that are taken afterwards. Who shows
 * it may let go of the GIL, so callers take none until it sets `showing` back. */
static PyObject *p_will_show(PyObject *object, PyObject *unused) {
    parent_ring_t *self = (parent_ring_t *)object;
    self->showing = !self->closed && ring_will_show(&self->ring);
    return PyBool_FromLong(self->showing);
}

static PyObject *p_ask(PyObject *object, PyObject *unused) {
    if (is_closed((parent_ring_t *)object)) return NULL;
    ring_ask(&((parent_ring_t *)object)->ring);
    Py_RETURN_NONE;
}

/* Bytes of outcomes that were published, as far as this has been read. */
static PyObject *p_get_taken(PyObject *object, void *unused) {
    return PyLong_FromUnsignedLongLong(((parent_ring_t *)object)->taken);
}

/* --------------------------------------------------------------------------------------------------------- the type */

static PyObject *p_close(PyObject *object, PyObject *unused) {
    parent_ring_t *self = (parent_ring_t *)object;
    if (self->closed) Py_RETURN_NONE;
    self->closed = true;
    self->lent = 0;
    Py_CLEAR(self->pending);
    if (self->ring.head) {
        atomic_store(&self->ring.head->closed, 1);
        bell_ring(&self->ring.head->task_bell);
        bell_ring(&self->ring.head->caller_bell);
    }
    unmap_if_unused(self);
    Py_RETURN_NONE;
}

static PyObject *p_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static uint64_t serial;
    int fd;
    PyObject *wid, *known;
    if (!PyArg_ParseTuple(args, "iOO!", &fd, &wid, &PySet_Type, &known)) return NULL;
    parent_ring_t *self = (parent_ring_t *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->serial = ++serial;
    self->wid = Py_NewRef(wid);
    self->known = Py_NewRef(known);
    self->sent = PyList_New(0);
    self->patience.credit = MOST_CREDIT / 2;
    if (!self->sent || ftruncate(fd, SHARED_SIZE) < 0 || ring_map(&self->ring, fd) < 0) {
        if (!PyErr_Occurred()) PyErr_SetFromErrno(PyExc_OSError);
        self->closed = true;
        Py_DECREF(self);
        return NULL;
    }
    ring_begin(&self->ring);
    return (PyObject *)self;
}

static int p_traverse(PyObject *object, visitproc visit, void *arg) {
    parent_ring_t *self = (parent_ring_t *)object;
    Py_VISIT(self->known);
    Py_VISIT(self->cooler);
    Py_VISIT(self->sent);
    Py_VISIT((PyObject *)self->pending);
    return 0;
}

static int p_clear(PyObject *object) {
    parent_ring_t *self = (parent_ring_t *)object;
    Py_CLEAR(self->cooler);
    Py_CLEAR(self->pending);
    return 0;
}

static void p_dealloc(PyObject *object) {
    parent_ring_t *self = (parent_ring_t *)object;
    PyObject_GC_UnTrack(object);
    p_clear(object);
    Py_CLEAR(self->known);
    Py_CLEAR(self->sent);
    Py_CLEAR(self->wid);
    Py_CLEAR(self->results.mapped);
    ring_unmap(&self->ring);
    Py_TYPE(object)->tp_free(object);
}

/* time(on): let the worker write down when it runs each item, or not. */
static PyObject *p_time(PyObject *object, PyObject *on) {
    parent_ring_t *self = (parent_ring_t *)object;
    int is_on = PyObject_IsTrue(on);
    if (is_on < 0 || is_closed(self)) return NULL;
    atomic_store_explicit(&self->ring.head->timed, (uint32_t)is_on, memory_order_release);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"time", p_time, METH_O, NULL},
    {"send", (PyCFunction)(void (*)(void))p_send, METH_FASTCALL, NULL},
    {"frame", (PyCFunction)(void (*)(void))p_frame, METH_FASTCALL, NULL},
    {"withdraw", p_withdraw, METH_NOARGS, NULL},
    {"take", p_take, METH_O, NULL},
    {"results", (PyCFunction)(void (*)(void))p_results, METH_FASTCALL, NULL},
    {"array", p_array, METH_O, NULL},
    {"wants", p_wants, METH_O, NULL},
    {"ask", p_ask, METH_NOARGS, NULL},
    {"will_show", p_will_show, METH_NOARGS, NULL},
    {"lend", p_lend, METH_NOARGS, NULL},
    {"recall", p_recall, METH_NOARGS, NULL},
    {"take_sent", p_take_sent, METH_NOARGS, NULL},
    {"wait", p_wait, METH_O, NULL},
    {"hand", (PyCFunction)(void (*)(void))p_hand, METH_FASTCALL, NULL},
    {"answered", p_answered, METH_O, NULL},
    {"cool", p_cool, METH_NOARGS, NULL},
    {"close", p_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef p_members[] = {
    {"waits", T_ULONG, offsetof(parent_ring_t, waits), READONLY, NULL},
    {"lent", T_BOOL, offsetof(parent_ring_t, lent), READONLY, NULL},
    {"hot", T_BOOL, offsetof(parent_ring_t, hot), 0, NULL},
    {"showing", T_BOOL, offsetof(parent_ring_t, showing), 0, NULL},
    {"keeps", T_BOOL, offsetof(parent_ring_t, keeps), 0, NULL},
    {"cooler", T_OBJECT, offsetof(parent_ring_t, cooler), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"taken", p_get_taken, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject ParentRing_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.ParentRing",
    .tp_basicsize = sizeof(parent_ring_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "ParentRing(fd, wid, known): makes `fd`, an empty memfd, the rings of a worker.",
    .tp_traverse = p_traverse,
    .tp_clear = p_clear,
    .tp_dealloc = p_dealloc,
    .tp_methods = methods,
    .tp_members = p_members,
    .tp_getset = getset,
    .tp_new = p_new,
};
