/* TaskQueue: `core/queue.py: TaskQueue`, which is a deque, with the loops over calls in C. */
#include "native.h"

#define FIRST_SIZE 64

static inline PyObject **slot(queue_t *queue, size_t place) {
    return &queue->items[(queue->first + place) & (queue->size - 1)];
}

static int grow(queue_t *queue) {
    size_t size = queue->size ? 2 * queue->size : FIRST_SIZE;
    PyObject **items = PyMem_New(PyObject *, size);
    if (!items) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < queue->count; i++) items[i] = *slot(queue, i);
    PyMem_Free(queue->items);
    queue->items = items;
    queue->size = size;
    queue->first = 0;
    return 0;
}

int queue_append(queue_t *queue, PyObject *item) {
    if (queue->count == queue->size && grow(queue) < 0) return -1;
    *slot(queue, queue->count) = Py_NewRef(item);
    queue->count++;
    return 0;
}

static int push_front(queue_t *queue, PyObject *item) {
    if (queue->count == queue->size && grow(queue) < 0) return -1;
    queue->first = (queue->first - 1) & (queue->size - 1);
    queue->count++;
    *slot(queue, 0) = Py_NewRef(item);
    return 0;
}

/* The first one; the caller has looked that there is one, and owns it now. */
static PyObject *shift(queue_t *queue) {
    PyObject *item = *slot(queue, 0);
    queue->first = (queue->first + 1) & (queue->size - 1);
    if (!--queue->count && queue->size > 4096) { /* what a burst needed is given back */
        PyMem_Free(queue->items);
        queue->items = NULL;
        queue->size = queue->first = 0;
    }
    return item;
}

/* ---------------------------------------------------------------------------------------------------- as of a deque */

static PyObject *empty(const char *what) { return PyErr_Format(PyExc_IndexError, "%s from an empty queue", what); }

static PyObject *q_append(PyObject *self, PyObject *item) {
    return queue_append((queue_t *)self, item) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *q_appendleft(PyObject *self, PyObject *item) {
    return push_front((queue_t *)self, item) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *q_popleft(PyObject *self, PyObject *unused) {
    queue_t *queue = (queue_t *)self;
    return queue->count ? shift(queue) : empty("popleft");
}

static PyObject *q_pop(PyObject *self, PyObject *unused) {
    queue_t *queue = (queue_t *)self;
    return queue->count ? *slot(queue, --queue->count) : empty("pop");
}

static int extend_by(queue_t *queue, PyObject *items, int (*add)(queue_t *, PyObject *)) {
    PyObject *iterator = PyObject_GetIter(items);
    if (!iterator) return -1;
    PyObject *item;
    while ((item = PyIter_Next(iterator))) {
        int failed = add(queue, item);
        Py_DECREF(item);
        if (failed) break;
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *q_extend(PyObject *self, PyObject *items) {
    if (items == self) return PyErr_Format(PyExc_ValueError, "a queue cannot be appended to itself");
    return extend_by((queue_t *)self, items, queue_append) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *q_extendleft(PyObject *self, PyObject *items) {
    if (items == self) return PyErr_Format(PyExc_ValueError, "a queue cannot be appended to itself");
    return extend_by((queue_t *)self, items, push_front) < 0 ? NULL : Py_NewRef(Py_None);
}

static int queue_clear(PyObject *self) {
    queue_t *queue = (queue_t *)self;
    PyObject **items = queue->items;
    size_t size = queue->size, first = queue->first, count = queue->count;
    queue->items = NULL;
    queue->size = queue->first = queue->count = 0;
    for (size_t i = 0; i < count; i++) Py_DECREF(items[(first + i) & (size - 1)]);
    PyMem_Free(items);
    return 0;
}

static PyObject *q_clear(PyObject *self, PyObject *unused) {
    queue_clear(self);
    Py_RETURN_NONE;
}

static Py_ssize_t q_len(PyObject *self) { return (Py_ssize_t)((queue_t *)self)->count; }

static PyObject *q_item(PyObject *self, Py_ssize_t place) {
    queue_t *queue = (queue_t *)self;
    if (place < 0 || (size_t)place >= queue->count) return PyErr_Format(PyExc_IndexError, "queue index out of range");
    return Py_NewRef(*slot(queue, (size_t)place));
}

static PyObject *listed(queue_t *queue, size_t count) {
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) PyList_SET_ITEM(list, i, Py_NewRef(*slot(queue, i)));
    return list;
}

/* Over what is in it now: it may change meanwhile. */
static PyObject *q_iter(PyObject *self) {
    PyObject *list = listed((queue_t *)self, ((queue_t *)self)->count);
    PyObject *iterator = list ? PyObject_GetIter(list) : NULL;
    Py_XDECREF(list);
    return iterator;
}

static PyObject *q_reduce(PyObject *self, PyObject *unused) {
    PyObject *list = listed((queue_t *)self, ((queue_t *)self)->count);
    return list ? Py_BuildValue("(O(N))", Py_TYPE(self), list) : NULL;
}

static PyObject *q_repr(PyObject *self) {
    PyObject *list = listed((queue_t *)self, ((queue_t *)self)->count);
    PyObject *text = list ? PyUnicode_FromFormat("TaskQueue(%R)", list) : NULL;
    Py_XDECREF(list);
    return text;
}

/* ------------------------------------------------------------------------------------------------------ what is more */

static long items_in(PyObject *task) {
    if (IS_STORAGE(task)) return 1;
    PyObject *size = PyObject_GetAttrString(task, "size");
    long items = size ? PyLong_AsLong(size) : -1;
    Py_XDECREF(size);
    return items;
}

static PyObject *q_add(PyObject *self, PyObject *tasks) {
    queue_t *queue = (queue_t *)self;
    PyObject *list = PySequence_Fast(tasks, "add takes a sequence of tasks");
    if (!list) return NULL;
    long all = 0;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *task = PySequence_Fast_GET_ITEM(list, i);
        long items = items_in(task);
        if ((items < 0 && PyErr_Occurred()) || queue_append(queue, task) < 0) {
            Py_DECREF(list);
            return NULL;
        }
        all += items;
    }
    Py_DECREF(list);
    return PyLong_FromLong(all);
}

static PyObject *q_take(PyObject *self, PyObject *number) {
    queue_t *queue = (queue_t *)self;
    size_t count = PyLong_AsSize_t(number);
    if (count == (size_t)-1 && PyErr_Occurred()) return NULL;
    if (count > queue->count) return empty("take");
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) PyList_SET_ITEM(list, i, shift(queue));
    return list;
}

/* Whether this call's function has that profile; functions are looked at once for a run of calls of one. */
static int has_profile(PyObject *function, PyObject *profile) {
    PyObject *its = PyObject_GetAttrString(function, "profile");
    if (!its) return -1;
    int has = its == profile;
    Py_DECREF(its);
    return has;
}

/* take_calls(wid, profile, limit) -> (taken, refused): see core/queue.py. */
static PyObject *q_take_calls(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    queue_t *queue = (queue_t *)self;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "take_calls takes a worker, a profile and a limit");
    Py_ssize_t limit = PyLong_AsSsize_t(args[2]);
    if (limit == -1 && PyErr_Occurred()) return NULL;
    PyObject *taken = PyList_New(0), *refused = PyList_New(0), *known = NULL;
    bool failed = !taken || !refused;
    while (!failed && queue->count && PyList_GET_SIZE(taken) < limit) {
        PyObject *task = *slot(queue, 0);
        if (!IS_STORAGE(task)) break;
        storage_t *call = STORAGE(task);
        if (call->function != known) {
            int has = call->function ? has_profile(call->function, args[1]) : 0;
            failed = has < 0;
            if (has <= 0) break;
            known = call->function;
        }
        bool willing = (call->state == names.pending || call->state == names.running) && !call->doomed &&
                       is_none(call->wid); /* see `CallFuture.claim` */
        if (willing) put_slot(&call->wid, args[0]);
        task = shift(queue);
        failed = PyList_Append(willing ? taken : refused, task) < 0;
        Py_DECREF(task);
    }
    PyObject *both = failed ? NULL : PyTuple_Pack(2, taken, refused);
    Py_XDECREF(taken);
    Py_XDECREF(refused);
    return both;
}

/* take_run() -> the futures before the first entry that is none, as a list; empty when the first is none. */
static PyObject *q_take_run(PyObject *self, PyObject *unused) {
    queue_t *queue = (queue_t *)self;
    size_t count = 0;
    while (count < queue->count && IS_STORAGE(*slot(queue, count))) count++;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list && i < count; i++) PyList_SET_ITEM(list, i, shift(queue));
    return list;
}

/* --------------------------------------------------------------------------------------------------------- the type */

static int q_traverse(PyObject *self, visitproc visit, void *arg) {
    queue_t *queue = (queue_t *)self;
    for (size_t i = 0; i < queue->count; i++) Py_VISIT(*slot(queue, i));
    return 0;
}

static void q_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    queue_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static int q_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *items = NULL;
    if (!PyArg_ParseTuple(args, "|O", &items)) return -1;
    queue_clear(self);
    return items ? extend_by((queue_t *)self, items, queue_append) : 0;
}

static PyMethodDef methods[] = {
    {"append", q_append, METH_O, NULL},
    {"appendleft", q_appendleft, METH_O, NULL},
    {"popleft", q_popleft, METH_NOARGS, NULL},
    {"pop", q_pop, METH_NOARGS, NULL},
    {"extend", q_extend, METH_O, NULL},
    {"extendleft", q_extendleft, METH_O, NULL},
    {"clear", q_clear, METH_NOARGS, NULL},
    {"__reduce__", q_reduce, METH_NOARGS, NULL},
    {"add", q_add, METH_O, NULL},
    {"take", q_take, METH_O, NULL},
    {"take_calls", (PyCFunction)(void (*)(void))q_take_calls, METH_FASTCALL, NULL},
    {"take_run", q_take_run, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PySequenceMethods as_sequence = {.sq_length = q_len, .sq_item = q_item};

PyTypeObject Queue_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.TaskQueue",
    .tp_basicsize = sizeof(queue_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "See core/queue.py.",
    .tp_traverse = q_traverse,
    .tp_clear = queue_clear,
    .tp_dealloc = q_dealloc,
    .tp_repr = q_repr,
    .tp_iter = q_iter,
    .tp_as_sequence = &as_sequence,
    .tp_methods = methods,
    .tp_init = q_init,
    .tp_new = PyType_GenericNew,
};

/* ------------------------------------------------------------------------------------- results that are handed over */

/* Results(runs): what is in the lists that a generator gives, each the last first; each leaves its list when it is handed
 * over. A Raised is thrown into the generator, which ends with it. */
typedef struct {
    PyObject_HEAD
    PyObject *runs, *run; /* run: a list, or NULL */
    PyObject *weak;
} results_t;

/* Throw a Raised's error into the generator: NULL with what comes out of there. */
static PyObject *throw_in(results_t *self, PyObject *raised) {
    Py_CLEAR(self->run);
    PyObject *error = PyObject_GetAttrString(raised, "error");
    PyObject *never = error ? PyObject_CallMethodOneArg(self->runs, names.throw, error) : NULL;
    Py_XDECREF(error);
    Py_DECREF(raised);
    if (never) {
        Py_DECREF(never);
        PyErr_SetString(PyExc_SystemError, "procession: a stream went on after an error");
    }
    return NULL;
}

static PyObject *e_next(PyObject *object) {
    results_t *self = (results_t *)object;
    while (!self->run || !PyList_GET_SIZE(self->run)) {
        PyObject *run = Py_TYPE(self->runs)->tp_iternext(self->runs);
        if (run && !PyList_Check(run)) {
            PyErr_SetString(PyExc_TypeError, "the generator gives lists");
            Py_CLEAR(run);
        }
        if (!run) return NULL;
        Py_XSETREF(self->run, run);
    }
    PyObject *run = self->run;
    Py_ssize_t size = PyList_GET_SIZE(run);
    Py_SET_SIZE((PyVarObject *)run, size - 1); /* as list.pop does, which gives memory back now and then; a run is short */
    PyObject *outcome = PyList_GET_ITEM(run, size - 1);
    return (PyObject *)Py_TYPE(outcome) == names.raised ? throw_in(self, outcome) : outcome;
}

static PyObject *e_close(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    results_t *self = (results_t *)object;
    Py_CLEAR(self->run);
    return PyObject_CallMethod(self->runs, "close", NULL);
}

static PyObject *e_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *runs;
    if (!PyArg_ParseTuple(args, "O!", &PyGen_Type, &runs)) return NULL;
    results_t *self = (results_t *)type->tp_alloc(type, 0);
    if (self) self->runs = Py_NewRef(runs);
    return (PyObject *)self;
}

static int e_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(((results_t *)object)->runs);
    Py_VISIT(((results_t *)object)->run);
    return 0;
}

static void e_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    if (((results_t *)object)->weak) PyObject_ClearWeakRefs(object);
    Py_CLEAR(((results_t *)object)->run);
    Py_CLEAR(((results_t *)object)->runs);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef results_methods[] = {
    {"close", e_close, METH_NOARGS, "Cancel what has not started, and end."},
    {NULL},
};

PyTypeObject Results_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Results",
    .tp_basicsize = sizeof(results_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The results of a map, in order, as they are asked for.",
    .tp_traverse = e_traverse,
    .tp_dealloc = e_dealloc,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = e_next,
    .tp_weaklistoffset = offsetof(results_t, weak),
    .tp_methods = results_methods,
    .tp_new = e_new,
};
