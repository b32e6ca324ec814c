/* Storage: what a CallFuture keeps, without a dict. The laws are those of backends/tasks.py.
 *
 * The collector looks at what it tracks again and again, which for a hundred thousand futures costs more than all that is
 * done with them. So one that was made here is not tracked until it could be part of a cycle: until it is given an outcome
 * that the collector knows, or any attribute by Python code (its Condition, a callback). What it refers to from the start
 * (its function's entry, the engine) refers to no future but through queues, which a driver looks after.
 *
 * What is done here in one call of C is one step to all other threads, and no signal handler runs in it: so a future that
 * has no Condition can be given its outcome without the lock that guards making one.
 */
#include "native.h"

static PyMemberDef members[] = {
    {"_state", T_OBJECT, offsetof(storage_t, state), 0, NULL},
    {"_result", T_OBJECT, offsetof(storage_t, result), 0, NULL},
    {"_exception", T_OBJECT, offsetof(storage_t, exception), 0, NULL},
    {"_cond", T_OBJECT, offsetof(storage_t, cond), 0, NULL},
    {"_done_callbacks", T_OBJECT_EX, offsetof(storage_t, callbacks), 0, NULL},
    {"_gates", T_OBJECT_EX, offsetof(storage_t, gates), 0, NULL},
    {"function", T_OBJECT, offsetof(storage_t, function), 0, NULL},
    {"body", T_OBJECT, offsetof(storage_t, body), 0, NULL},
    {"_owner", T_OBJECT, offsetof(storage_t, owner), 0, NULL},
    {"sink", T_OBJECT, offsetof(storage_t, sink), 0, NULL},
    {"_lane", T_OBJECT, offsetof(storage_t, lane), 0, NULL},
    {"wid", T_OBJECT, offsetof(storage_t, wid), 0, NULL},
    {"rules", T_OBJECT, offsetof(storage_t, rules), 0, NULL},
    {"item", T_OBJECT_EX, offsetof(storage_t, item), 0, NULL},
    {"index", T_PYSSIZET, offsetof(storage_t, index), 0, NULL},
    {"born", T_ULONGLONG, offsetof(storage_t, born), 0, NULL},
    {"started", T_BOOL, offsetof(storage_t, started), 0, NULL},
    {"_doomed", T_BOOL, offsetof(storage_t, doomed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int storage_traverse(PyObject *self, visitproc visit, void *arg) {
    storage_t *future = STORAGE(self);
    Py_VISIT(future->result);
    Py_VISIT(future->exception);
    Py_VISIT(future->cond);
    Py_VISIT(future->waiters);
    Py_VISIT(future->callbacks);
    Py_VISIT(future->gates);
    Py_VISIT(future->function);
    Py_VISIT(future->body);
    Py_VISIT(future->owner);
    Py_VISIT(future->sink);
    Py_VISIT(future->lane);
    Py_VISIT(future->rules);
    Py_VISIT(future->item);
    return 0;
}

static int storage_clear(PyObject *self) {
    storage_t *future = STORAGE(self);
    Py_CLEAR(future->result);
    Py_CLEAR(future->exception);
    Py_CLEAR(future->cond);
    Py_CLEAR(future->waiters);
    Py_CLEAR(future->callbacks);
    Py_CLEAR(future->gates);
    Py_CLEAR(future->function);
    Py_CLEAR(future->body);
    Py_CLEAR(future->owner);
    Py_CLEAR(future->sink);
    Py_CLEAR(future->lane);
    Py_CLEAR(future->rules);
    Py_CLEAR(future->item);
    return 0;
}

static void storage_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    storage_clear(self);
    Py_CLEAR(STORAGE(self)->state);
    Py_CLEAR(STORAGE(self)->wid);
    Py_TYPE(self)->tp_free(self);
}

static bool stamped; /* futures are told when they are made */

static PyObject *storage_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *self = type->tp_alloc(type, 0);
    if (!self) return NULL;
    STORAGE(self)->state = Py_XNewRef(names.pending);
    if (stamped) STORAGE(self)->born = ring_now_ns();
    return self;
}

/* stamp(on): futures that are made from now on know when that was, or do not. */
static PyObject *stamp(PyObject *module, PyObject *on) {
    int is_on = PyObject_IsTrue(on);
    if (is_on < 0) return NULL;
    stamped = is_on;
    Py_RETURN_NONE;
}

PyObject *storage_make(PyTypeObject *type, PyObject *function, PyObject *body) {
    PyObject *self = type->tp_alloc(type, 0);
    if (!self) {
        Py_DECREF(body);
        return NULL;
    }
    PyObject_GC_UnTrack(self);
    STORAGE(self)->state = Py_NewRef(names.pending);
    STORAGE(self)->function = Py_NewRef(function);
    STORAGE(self)->body = body;
    if (stamped) STORAGE(self)->born = ring_now_ns();
    return self;
}

static void track(PyObject *self) {
    if (!PyObject_GC_IsTracked(self)) PyObject_GC_Track(self);
}

static int storage_setattro(PyObject *self, PyObject *name, PyObject *value) {
    track(self);
    return PyObject_GenericSetAttr(self, name, value);
}

/* The outcome, and not yet the state. */
static int put_outcome(storage_t *future, PyObject *outcome) {
    if (PyObject_IS_GC(outcome)) track((PyObject *)future);
    if ((PyObject *)Py_TYPE(outcome) == names.raised) {
        PyObject *error = PyObject_GetAttrString(outcome, "error");
        if (!error) return -1;
        Py_XSETREF(future->exception, error);
    } else {
        put_slot(&future->result, outcome);
    }
    return 0;
}

bool storage_takes(storage_t *future) {
    return future->state != names.finished && !future->doomed && is_none(future->cond) && is_none(future->sink);
}

int storage_settle(storage_t *future, PyObject *outcome) {
    if (!storage_takes(future)) return 0;
    if (put_outcome(future, outcome) < 0) return -1;
    put_slot(&future->state, names.finished);
    Py_CLEAR(future->body); /* which may run code of others: last */
    return 1;
}

/* Words that are asked for again and again. */
static struct {
    PyObject *full, *open, *add_result, *add_exception, *add_cancelled;
} words;

static int make_words(void) {
    if (words.add_cancelled) return 0;
    names.throw = PyUnicode_InternFromString("throw");
    names.acquire = PyUnicode_InternFromString("acquire");
    names.release = PyUnicode_InternFromString("release");
    words.full = PyUnicode_InternFromString("_full");
    words.open = PyUnicode_InternFromString("open");
    words.add_result = PyUnicode_InternFromString("add_result");
    words.add_exception = PyUnicode_InternFromString("add_exception");
    words.add_cancelled = PyUnicode_InternFromString("add_cancelled");
    return words.add_cancelled ? 0 : -1;
}

/* ------------------------------------------------------------------------------------------------- who waits for it */

/* Its Condition, made on demand, under the lock of `tasks`: see there. */
static PyObject *make_condition(storage_t *future) {
    PyObject *condition = PyObject_CallNoArgs(names.condition);
    PyObject *waiters = PyList_New(0), *callbacks = PyList_New(0), *gates = PyList_New(0);
    bool made = condition && waiters && callbacks && gates;
    /* whoever was let in meanwhile may have made one, or a caller given it its outcome */
    if (made && is_none(future->cond) && future->state != names.finished && future->state != names.cancelled) {
        track((PyObject *)future);
        Py_XSETREF(future->waiters, Py_NewRef(waiters));
        Py_XSETREF(future->callbacks, Py_NewRef(callbacks));
        Py_XSETREF(future->gates, Py_NewRef(gates));
        Py_XSETREF(future->cond, Py_NewRef(condition));
        if (future->lane) {
            PyObject *cooled = PyObject_CallMethod(future->lane, "cool", NULL);
            if (!cooled) PyErr_Clear();
            Py_XDECREF(cooled);
        }
    }
    Py_XDECREF(waiters);
    Py_XDECREF(callbacks);
    Py_XDECREF(gates);
    Py_XDECREF(condition);
    return made ? Py_NewRef(is_none(future->cond) ? names.settled : future->cond) : NULL;
}

static PyObject *get_condition(PyObject *self, void *unused) {
    storage_t *future = STORAGE(self);
    if (!is_none(future->cond)) return Py_NewRef(future->cond);
    if (future->state == names.finished || future->state == names.cancelled) return Py_NewRef(names.settled);
    PyObject *lock = Py_NewRef(names.lock);
    PyObject *held = PyObject_CallMethodNoArgs(lock, names.acquire);
    PyObject *condition = held ? make_condition(future) : NULL;
    if (held) {
        PyObject *type, *error, *trace;
        PyErr_Fetch(&type, &error, &trace);
        Py_XDECREF(PyObject_CallMethodNoArgs(lock, names.release));
        PyErr_Restore(type, error, trace);
    }
    Py_XDECREF(held);
    Py_DECREF(lock);
    return condition;
}

static PyObject *get_waiters(PyObject *self, void *unused) {
    PyObject *waiters = STORAGE(self)->waiters;
    return Py_NewRef(waiters ? waiters : names.nobody);
}

static int set_waiters(PyObject *self, PyObject *waiters, void *unused) {
    put_slot(&STORAGE(self)->waiters, waiters);
    return 0;
}

static PyGetSetDef getset[] = {
    {"_condition", get_condition, NULL, NULL, NULL},
    {"_waiters", get_waiters, set_waiters, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* Tell those who wait by the standard library's `wait`; the Condition is held. */
static int tell_waiters(storage_t *future, PyObject *state) {
    PyObject *word = state == names.cancelled         ? words.add_cancelled
                     : !is_none(future->exception) ? words.add_exception
                                                      : words.add_result;
    if (PyList_GET_SIZE(future->waiters) == 1) { /* as it mostly is */
        PyObject *waiter = Py_NewRef(PyList_GET_ITEM(future->waiters, 0));
        PyObject *told = PyObject_CallMethodOneArg(waiter, word, (PyObject *)future);
        Py_DECREF(waiter);
        Py_XDECREF(told);
        return told ? 0 : -1;
    }
    PyObject *waiters = PyList_GetSlice(future->waiters, 0, PyList_GET_SIZE(future->waiters));
    int failed = waiters ? 0 : -1;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(waiters); i++) {
        PyObject *told = PyObject_CallMethodOneArg(PyList_GET_ITEM(waiters, i), word, (PyObject *)future);
        failed = told ? 0 : -1;
        Py_XDECREF(told);
    }
    Py_XDECREF(waiters);
    return failed;
}

static int open_gates(storage_t *future) {
    if (!PyList_GET_SIZE(future->gates)) return 0;
    PyObject *gates = PyList_GetSlice(future->gates, 0, PyList_GET_SIZE(future->gates));
    int failed = gates ? 0 : -1;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(gates); i++) {
        PyObject *opened = PyObject_CallMethodNoArgs(PyList_GET_ITEM(gates, i), words.open);
        failed = opened ? 0 : -1;
        Py_XDECREF(opened);
    }
    Py_XDECREF(gates);
    return failed;
}

/* `tasks.finish`, of a future whose Condition is free and no more than a lock; 1: of this one it is not so. */
static int finish_one(storage_t *future, PyObject *state) {
    if (is_none(future->cond)) { /* somebody else is told, by a sink */
        put_slot(&future->state, state);
        return 0;
    }
    if (!future->waiters || !PyList_Check(future->waiters) || !future->gates) return 1;
    PyObject *cond = Py_NewRef(future->cond), *full = PyObject_GetAttr(cond, words.full);
    PyObject *mine = !full ? NULL : full != Py_None ? Py_NewRef(Py_False) : PyObject_CallMethodOneArg(cond, names.acquire, Py_False);
    int left = !mine ? -1 : mine != Py_True;
    if (!left) {
        put_slot(&future->state, state);
        left = tell_waiters(future, state);
        PyObject *released = PyObject_CallMethodNoArgs(cond, names.release);
        if (!released || left || open_gates(future) < 0) left = -1;
        Py_XDECREF(released);
    }
    Py_XDECREF(mine);
    Py_XDECREF(full);
    Py_DECREF(cond);
    return left;
}

/* finish(futures, state) -> those that are left to `tasks.finish`. */
static PyObject *finish(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyList_Check(args[0])) return PyErr_Format(PyExc_TypeError, "finish takes futures and a state");
    PyObject *left = PyList_New(0);
    for (Py_ssize_t i = 0; left && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *each = Py_NewRef(PyList_GET_ITEM(args[0], i));
        int state = IS_STORAGE(each) ? finish_one(STORAGE(each), args[1]) : 1;
        if (state < 0 || (state && PyList_Append(left, each) < 0)) Py_CLEAR(left);
        Py_DECREF(each);
    }
    return left;
}

/* See `backends.tasks.resolve`, whose first half this is. */
static PyObject *resolve(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyList_Check(args[0]) || !PyList_Check(args[1]) ||
        PyList_GET_SIZE(args[0]) != PyList_GET_SIZE(args[1]))
        return PyErr_Format(PyExc_TypeError, "resolve takes two lists of one length");
    PyObject *watched = PyList_New(0);
    for (Py_ssize_t i = 0; watched && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *each = PyList_GET_ITEM(args[0], i);
        if (!IS_STORAGE(each)) {
            Py_DECREF(watched);
            return PyErr_Format(PyExc_TypeError, "resolve takes futures, not %.100s", Py_TYPE(each)->tp_name);
        }
        storage_t *future = STORAGE(each);
        if (future->state == names.finished || future->doomed) continue;
        bool alone = is_none(future->cond);
        if (put_outcome(future, PyList_GET_ITEM(args[1], i)) < 0) Py_CLEAR(watched);
        if (alone) put_slot(&future->state, names.finished);
        Py_CLEAR(future->body);
        if (watched && (!alone || !is_none(future->sink)) && PyList_Append(watched, each) < 0) Py_CLEAR(watched);
    }
    return watched;
}

/* set_names(pending, running, finished, cancelled, Raised, FutureCondition, SETTLED, NOBODY): what stands for them. */
static PyObject *set_names(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    PyObject **slots[] = {&names.pending, &names.running, &names.finished, &names.cancelled,
                          &names.raised,  &names.condition, &names.settled, &names.nobody};
    if (count != 8) return PyErr_Format(PyExc_TypeError, "set_names takes eight objects");
    if (make_words() < 0) return NULL;
    for (int i = 0; i < 8; i++) put_slot(slots[i], args[i]);
    Py_RETURN_NONE;
}

/* set_lock(lock): what guards making a Condition from now on. */
static PyObject *set_lock(PyObject *module, PyObject *lock) {
    put_slot(&names.lock, lock);
    Py_RETURN_NONE;
}

names_t names;

PyMethodDef future_functions[] = {
    {"resolve", (PyCFunction)(void (*)(void))resolve, METH_FASTCALL, NULL},
    {"finish", (PyCFunction)(void (*)(void))finish, METH_FASTCALL, NULL},
    {"set_names", (PyCFunction)(void (*)(void))set_names, METH_FASTCALL, NULL},
    {"set_lock", set_lock, METH_O, NULL},
    {"stamp", stamp, METH_O, NULL},
    {"set_look", around_set_look, METH_O, NULL},
    {"pin_views", array_pin, METH_NOARGS, NULL},
    {"unpiped", parent_unpiped, METH_O, NULL},
    {"are_small", values_are_small, METH_O, NULL},
    {"ring", (PyCFunction)(void (*)(void))door_ring, METH_FASTCALL, NULL},
    {"run_of", (PyCFunction)(void (*)(void))funnel_run_of, METH_FASTCALL, NULL},
    {"forget", (PyCFunction)(void (*)(void))funnel_forget, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

PyTypeObject Storage_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Storage",
    .tp_basicsize = sizeof(storage_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "What a CallFuture keeps.",
    .tp_traverse = storage_traverse,
    .tp_clear = storage_clear,
    .tp_dealloc = storage_dealloc,
    .tp_setattro = storage_setattro,
    .tp_members = members,
    .tp_getset = getset,
    .tp_new = storage_new,
};
