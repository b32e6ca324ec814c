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
    {"function", T_OBJECT, offsetof(storage_t, function), 0, NULL},
    {"body", T_OBJECT, offsetof(storage_t, body), 0, NULL},
    {"_owner", T_OBJECT, offsetof(storage_t, owner), 0, NULL},
    {"sink", T_OBJECT, offsetof(storage_t, sink), 0, NULL},
    {"_lane", T_OBJECT, offsetof(storage_t, lane), 0, NULL},
    {"wid", T_OBJECT, offsetof(storage_t, wid), 0, NULL},
    {"rules", T_OBJECT, offsetof(storage_t, rules), 0, NULL},
    {"started", T_BOOL, offsetof(storage_t, started), 0, NULL},
    {"_doomed", T_BOOL, offsetof(storage_t, doomed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int storage_traverse(PyObject *self, visitproc visit, void *arg) {
    storage_t *future = STORAGE(self);
    Py_VISIT(future->result);
    Py_VISIT(future->exception);
    Py_VISIT(future->cond);
    Py_VISIT(future->function);
    Py_VISIT(future->body);
    Py_VISIT(future->owner);
    Py_VISIT(future->sink);
    Py_VISIT(future->lane);
    Py_VISIT(future->rules);
    return 0;
}

static int storage_clear(PyObject *self) {
    storage_t *future = STORAGE(self);
    Py_CLEAR(future->result);
    Py_CLEAR(future->exception);
    Py_CLEAR(future->cond);
    Py_CLEAR(future->function);
    Py_CLEAR(future->body);
    Py_CLEAR(future->owner);
    Py_CLEAR(future->sink);
    Py_CLEAR(future->lane);
    Py_CLEAR(future->rules);
    return 0;
}

static void storage_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    storage_clear(self);
    Py_CLEAR(STORAGE(self)->state);
    Py_CLEAR(STORAGE(self)->wid);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *storage_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *self = type->tp_alloc(type, 0);
    if (self) STORAGE(self)->state = Py_XNewRef(names.pending);
    return self;
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
    Py_CLEAR(future->body);
    return 0;
}

int storage_settle(storage_t *future, PyObject *outcome) {
    if (future->state == names.finished || future->doomed) return 0;
    if (!is_none(future->cond) || !is_none(future->sink)) return 0;
    if (put_outcome(future, outcome) < 0) return -1;
    put_slot(&future->state, names.finished);
    return 1;
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
        if (watched && (!alone || !is_none(future->sink)) && PyList_Append(watched, each) < 0) Py_CLEAR(watched);
    }
    return watched;
}

/* names(pending, running, finished, Raised): the objects that stand for them. */
static PyObject *set_names(PyObject *module, PyObject *args) {
    PyObject *pending, *running, *finished, *raised;
    if (!PyArg_ParseTuple(args, "UUUO", &pending, &running, &finished, &raised)) return NULL;
    put_slot(&names.pending, pending);
    put_slot(&names.running, running);
    put_slot(&names.finished, finished);
    put_slot(&names.raised, raised);
    Py_RETURN_NONE;
}

names_t names;

PyMethodDef future_functions[] = {
    {"resolve", (PyCFunction)(void (*)(void))resolve, METH_FASTCALL, NULL},
    {"set_names", set_names, METH_VARARGS, NULL},
    {"unpiped", parent_unpiped, METH_O, NULL},
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
    .tp_new = storage_new,
};
