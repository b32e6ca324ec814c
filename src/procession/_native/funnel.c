/* Funnel: the short way of a plain item into an unkeyed SpinOff on processes, and of "nothing is ready" out of it.
 * What is ready is never handed over by C: the interpreter looks for signals when a function of C has returned to it, and
 * a handler that raises there would take the results along.
 *
 * `put` does what `SpinCore.make`, `admit` and `pump` do of one item, when nothing is in the way: in one step of C, so the
 * laws of core/flow.py and handover.py on what an interrupt may strike hold of themselves. The lock of the flow is
 * taken, since other threads may be in the middle of changing it; where it is not free, the long way waits for it.
 */
#include "native.h"

enum { WINDOW, ADMITTED, HANDED, GONE, CLOSED, STARTS, CURRENT, RUNS, CAME, SLOTS };
static const char *const slot_names[SLOTS] = {"window", "admitted", "handed",  "gone", "closed",
                                              "starts", "current",  "runs", "line"};

typedef struct {
    PyObject_HEAD
    PyObject *flow, *open, *lock, *entry, *future_type, *sink, *owner, *door;
    Py_ssize_t offsets[SLOTS]; /* of the flow's slots */
    int iterated; /* results are taken from it: `ready` may be asked */
} funnel_t;

static inline PyObject **flow_slot(funnel_t *self, int which) {
    return (PyObject **)((char *)self->flow + self->offsets[which]);
}

static Py_ssize_t flow_number(funnel_t *self, int which) {
    PyObject *number = *flow_slot(self, which);
    return number ? PyLong_AsSsize_t(number) : 0;
}

static bool has_room(funnel_t *self) {
    PyObject *closed = *flow_slot(self, CLOSED), *starts = *flow_slot(self, STARTS);
    if (closed != Py_False || !starts || PyObject_Size(starts) != 0) return false;
    return flow_number(self, WINDOW) - flow_number(self, ADMITTED) + flow_number(self, HANDED) + flow_number(self, GONE) > 0;
}

/* With the lock held. NULL without an exception: take the long way. */
static PyObject *admit(funnel_t *self, PyObject *item) {
    if (!has_room(self)) return NULL;
    PyObject *body = PyTuple_Pack(1, item);
    if (!body) return NULL;
    PyObject_GC_UnTrack(body); /* there is nothing in it that could be part of a cycle */
    PyObject *future = storage_make((PyTypeObject *)self->future_type, self->entry, body);
    if (!future) return NULL;
    Py_ssize_t index = flow_number(self, ADMITTED);
    PyObject *key = PyLong_FromSsize_t(index), *next = PyLong_FromSsize_t(index + 1);
    STORAGE(future)->index = index;
    STORAGE(future)->sink = Py_NewRef(self->sink);
    STORAGE(future)->owner = Py_NewRef(self->owner);
    if (!key || !next || PyDict_SetItem(self->open, key, future) < 0) {
        Py_CLEAR(future);
    } else if (door_post(self->door, STORAGE(future)) != 1) {
        PyDict_DelItem(self->open, key);
        Py_CLEAR(future);
    } else {
        Py_SETREF(*flow_slot(self, ADMITTED), Py_NewRef(next));
    }
    Py_XDECREF(key);
    Py_XDECREF(next);
    return future;
}

PyObject *funnel_put(PyObject *object, PyObject *item) {
    funnel_t *self = (funnel_t *)object;
    if (!value_is_small(item) || !door_is_open(self->door) || around_is_clear() != 1) return NULL;
    PyObject *held = PyObject_CallMethodOneArg(self->lock, names.acquire, Py_False);
    if (held != Py_True) {
        Py_XDECREF(held);
        return NULL;
    }
    Py_DECREF(held);
    PyObject *future = admit(self, item), *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    Py_XDECREF(PyObject_CallMethodNoArgs(self->lock, names.release));
    if (type) PyErr_Restore(type, error, trace);
    return future;
}

/* idle() -> True when there is nothing to be taken and nothing to be posted; False: the long way has to look. */
static PyObject *f_idle(PyObject *object, PyObject *Py_UNUSED(ignored)) {
    funnel_t *self = (funnel_t *)object;
    if (!self->iterated || !door_is_open(self->door)) Py_RETURN_FALSE; /* a forked child is to be told so */
    PyObject *starts = *flow_slot(self, STARTS), *current = *flow_slot(self, CURRENT), *runs = *flow_slot(self, RUNS);
    PyObject *handed = *flow_slot(self, HANDED), *line = *flow_slot(self, CAME);
    if (!starts || !current || !runs || !handed || !line || !PyDict_CheckExact(runs)) Py_RETURN_FALSE;
    if (PyObject_Size(starts) != 0 || PyObject_Size(current) != 0 || PyObject_Size(line) != 0) Py_RETURN_FALSE;
    int waits = PyDict_Contains(runs, handed);
    return waits < 0 ? NULL : PyBool_FromLong(!waits);
}

/* run_of(futures, open) -> the index of the first, if they are neighbours, open, and have all ended well; else None. */
PyObject *funnel_run_of(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]))
        return PyErr_Format(PyExc_TypeError, "run_of takes a list of futures and a dict");
    Py_ssize_t size = PyList_GET_SIZE(args[0]), first = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *each = PyList_GET_ITEM(args[0], i);
        if (!IS_STORAGE(each) || STORAGE(each)->state != names.finished || !is_none(STORAGE(each)->exception))
            Py_RETURN_NONE;
        if (i == 0) first = STORAGE(each)->index;
        if (STORAGE(each)->index != first + i) Py_RETURN_NONE;
        PyObject *key = PyLong_FromSsize_t(first + i);
        PyObject *known = key ? PyDict_GetItemWithError(args[1], key) : NULL;
        Py_XDECREF(key);
        if (known != each) {
            if (PyErr_Occurred()) return NULL;
            Py_RETURN_NONE;
        }
    }
    if (!size) Py_RETURN_NONE;
    return PyLong_FromSsize_t(first);
}

/* forget(futures, open): these are open no more. */
PyObject *funnel_forget(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]))
        return PyErr_Format(PyExc_TypeError, "forget takes a list of futures and a dict");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *each = PyList_GET_ITEM(args[0], i);
        PyObject *key = IS_STORAGE(each) ? PyLong_FromSsize_t(STORAGE(each)->index) : NULL;
        if (key && PyDict_DelItem(args[1], key) < 0) PyErr_Clear();
        Py_XDECREF(key);
    }
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

/* --------------------------------------------------------------------------------------------------------- the type */

static int find_slots(funnel_t *self) {
    for (int i = 0; i < SLOTS; i++) {
        PyObject *descriptor = PyObject_GetAttrString((PyObject *)Py_TYPE(self->flow), slot_names[i]);
        if (!descriptor) return -1;
        bool is_slot = Py_TYPE(descriptor) == &PyMemberDescr_Type &&
                       ((PyMemberDescrObject *)descriptor)->d_member->type == T_OBJECT_EX;
        if (is_slot) self->offsets[i] = ((PyMemberDescrObject *)descriptor)->d_member->offset;
        Py_DECREF(descriptor);
        if (!is_slot) {
            PyErr_Format(PyExc_TypeError, "%s is no slot of a flow", slot_names[i]);
            return -1;
        }
    }
    return 0;
}

static int f_traverse(PyObject *object, visitproc visit, void *arg) {
    funnel_t *self = (funnel_t *)object;
    Py_VISIT(self->flow);
    Py_VISIT(self->open);
    Py_VISIT(self->lock);
    Py_VISIT(self->entry);
    Py_VISIT(self->future_type);
    Py_VISIT(self->sink);
    Py_VISIT(self->owner);
    Py_VISIT(self->door);
    return 0;
}

static int f_clear(PyObject *object) {
    funnel_t *self = (funnel_t *)object;
    Py_CLEAR(self->sink); /* through which all cycles go: the rest is needed as long as somebody puts */
    return 0;
}

static void f_dealloc(PyObject *object) {
    funnel_t *self = (funnel_t *)object;
    PyObject_GC_UnTrack(object);
    Py_CLEAR(self->flow);
    Py_CLEAR(self->open);
    Py_CLEAR(self->lock);
    Py_CLEAR(self->entry);
    Py_CLEAR(self->future_type);
    Py_CLEAR(self->sink);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->door);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef funnel_methods[] = {
    {"idle", f_idle, METH_NOARGS, NULL},
    {NULL},
};

/* Funnel(flow, open, lock, entry, future_type, sink, owner, door, iterated) */
static PyObject *f_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *flow, *open, *lock, *entry, *future_type, *sink, *owner, *door;
    int iterated;
    if (!PyArg_ParseTuple(args, "OO!OOO!OOO!p", &flow, &PyDict_Type, &open, &lock, &entry, &PyType_Type, &future_type, &sink,
                          &owner, &Door_Type, &door, &iterated))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)future_type, &Storage_Type))
        return PyErr_Format(PyExc_TypeError, "the class of futures must derive from Storage");
    funnel_t *self = (funnel_t *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->flow = Py_NewRef(flow);
    self->open = Py_NewRef(open);
    self->lock = Py_NewRef(lock);
    self->entry = Py_NewRef(entry);
    self->future_type = Py_NewRef(future_type);
    self->sink = Py_NewRef(sink);
    self->owner = Py_NewRef(owner);
    self->door = Py_NewRef(door);
    self->iterated = iterated;
    if (find_slots(self) < 0) Py_CLEAR(self);
    return (PyObject *)self;
}

PyTypeObject Funnel_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Funnel",
    .tp_basicsize = sizeof(funnel_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Funnel(flow, open, lock, entry, future_type, sink, owner, door, iterated): the short way into one SpinOff.",
    .tp_traverse = f_traverse,
    .tp_clear = f_clear,
    .tp_dealloc = f_dealloc,
    .tp_methods = funnel_methods,
    .tp_new = f_new,
};
