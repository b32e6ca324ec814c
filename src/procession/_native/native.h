/* What the parts of the extension share. */
#ifndef PROCESSION_NATIVE_H
#define PROCESSION_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "records.h"

/* ------------------------------------------------------------------------------------- names that Python gave us once */

typedef struct {
    PyObject *pending, *running, *finished, *cancelled; /* states of a Future, as concurrent.futures spells them */
    PyObject *raised; /* the class procession.types.Raised */
    PyObject *condition, *settled, *nobody; /* of backends/condition.py: FutureCondition, SETTLED, NOBODY */
    PyObject *lock; /* the lock of backends/tasks.py */
    PyObject *acquire, *release, *throw; /* words that are asked for again and again */
} names_t;
extern names_t names;

/* ---------------------------------------------------------------------------------------------------- future.c, Storage */

typedef struct {
    PyObject_HEAD
    PyObject *state;
    PyObject *result;
    PyObject *exception;
    PyObject *cond;
    PyObject *waiters, *callbacks, *gates; /* lists, made with the Condition */
    PyObject *function;
    PyObject *body;
    PyObject *owner;
    PyObject *sink;
    PyObject *lane;
    PyObject *wid;
    PyObject *rules;
    PyObject *item; /* of a SpinOff, where somebody may ask for it */
    Py_ssize_t index; /* of a flow */
    uint64_t born; /* when it was made, in ns, if somebody wants to know (procession/tapping.py) */
    char started;
    char doomed;
} storage_t;

extern PyTypeObject Storage_Type;

#define IS_STORAGE(object) PyObject_TypeCheck(object, &Storage_Type)
#define STORAGE(object) ((storage_t *)(object))

static inline bool is_none(PyObject *slot) { return slot == NULL || slot == Py_None; }
static inline void put_slot(PyObject **slot, PyObject *value) { Py_XSETREF(*slot, Py_XNewRef(value)); }

/* A fresh future of this class; steals `body`. */
PyObject *storage_make(PyTypeObject *type, PyObject *function, PyObject *body);
/* Give it this outcome (a value, or a Raised); 1: it is done, 0: it was, or somebody must be told as well; -1: error. */
int storage_settle(storage_t *future, PyObject *outcome);
/* Whether `storage_settle` would return 1. */
bool storage_takes(storage_t *future);

/* ----------------------------------------------------------------------------------------------------- queue.c, TaskQueue */

typedef struct {
    PyObject_HEAD
    PyObject **items; /* a circle, its size a power of two */
    size_t size, first, count;
} queue_t;

extern PyTypeObject Queue_Type;
int queue_append(queue_t *queue, PyObject *item);

/* ------------------------------------------------------------------------------------------------ parent.c, worker.c, door.c */

typedef struct parent_ring parent_ring_t;
extern PyTypeObject Results_Type, View_Type;
extern PyTypeObject Apart_Type, Packed_Type, ParentRing_Type, WorkerRing_Type, Door_Type, Funnel_Type, Quick_Type;

/* Hand a call over to a lent worker; 1: done, 0: it has to go another way, -1: error. */
int parent_send_call(parent_ring_t *ring, storage_t *future, uint32_t id);
/* Wait a while, at most `most_ns`, for the outcome of a call that was handed over so; 0, whether or not it has come. */
int parent_wait_call(parent_ring_t *ring, storage_t *future, uint64_t most_ns);
bool parent_knows(parent_ring_t *ring, uint32_t id);
bool parent_is_hot(parent_ring_t *ring);
uint64_t parent_serial(parent_ring_t *ring);
PyObject *door_ring(PyObject *module, PyObject *const *args, Py_ssize_t count);
/* door.c: put a future into the inbox; 1: done, else -1. */
bool door_is_open(PyObject *door);
int door_post(PyObject *door, storage_t *future);

/* array.c */
typedef struct {
    PyObject *mapped; /* what keeps it mapped; NULL: it is not mapped yet */
    unsigned char *base;
    uint64_t data; /* the blocks, from `base` on */
} results_arena_t;

/* An array or a scalar that is to be put. */
typedef struct {
    Py_buffer buffer;
    int dtype, form;
    uint64_t place;
} sent_array_t;

/* Make ready to put a value as an array, by `array_put`, and then to `array_end`; 1: it cannot go this way, -1: `place` has
 * raised. `place(memoryview)`, a function of Python, puts bytes into the arena and says where, or None. */
int array_begin(sent_array_t *sent, PyObject *value, PyObject *place);
put_t array_put(pen_t *pen, const void *sent);
void array_end(sent_array_t *sent);
/* The array of so many bytes of an OUT_ARRAY. NULL without an exception: it cannot be made here and now. What lies in the
 * arena is looked at by *view, a reference, whose end is not told yet. */
PyObject *array_get(const unsigned char *at, size_t size, results_arena_t *arena, PyObject **view);
/* The array is kept: the end of its view, if it has one, will be told. Steals `view`. */
void array_keep(PyObject *view);
PyObject *array_pin(PyObject *module, PyObject *unused);

/* funnel.c; NULL without an exception: take the long way */
PyObject *funnel_put(PyObject *funnel, PyObject *item);
PyObject *funnel_run_of(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *funnel_forget(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* around.c, which says what this rests on */
extern Py_ssize_t around_vars_offset; /* 0: it is not known yet; -1: it is to be asked for */
extern PyObject *around_clear; /* what is set, and known to be nothing */
PyObject *around_ask_vars(PyObject *context);

/* What is set in a context; borrowed, and good only as long as somebody refers to it. */
static inline PyObject *around_vars(PyObject *context) {
    return around_vars_offset > 0 ? *(PyObject **)((char *)context + around_vars_offset) : around_ask_vars(context);
}

int around_look(void);

/* Whether a task would have to be given nothing of what surrounds the caller; 0: it would, or may; -1: an error. */
static inline int around_is_clear(void) {
    PyObject *context = PyThreadState_Get()->context;
    if (!context) return 1;
    PyObject *vars = around_vars(context);
    return vars && vars == around_clear ? 1 : around_look();
}

PyObject *around_set_look(PyObject *module, PyObject *function);

/* What a task runs in: a copy of the worker's context. */
typedef struct {
    PyObject *base, *copy;
    PyObject *vars; /* what is set in `base`, which refers to it */
    bool entered;
} around_t;

/* Of which copies are made from now on; steals `base`, which may be NULL: all is let go. */
void around_base(around_t *around, PyObject *base);
/* The same with the present context; -1: an error. */
int around_base_here(around_t *around);
/* Enter a copy in which nothing is set that is not in `base`; -1: an error. */
int around_enter(around_t *around);
int around_enter_another(around_t *around);
/* Enter another, if something was set in this one. What was raised is kept, unless this fails: -1. */
static inline int around_renew(around_t *around) {
    return around->copy && around_vars(around->copy) == around->vars ? 0 : around_enter_another(around);
}
void around_leave(around_t *around);

PyObject *parent_unpiped(PyObject *module, PyObject *data);

#endif
