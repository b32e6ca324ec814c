/* Door: the short way of a plain call from `submit` into the line, or to a lent worker. Quick: methods with a short way.
 *
 * What is not plain (arguments to be pickled, a function that is new or has been rebound, a policy, a pool that is not
 * open) takes the long way, which is the Python method that Quick stands before.
 */
#include "native.h"

#define DEAR_NS 5e6
#define TRUST 64 /* calls after which it is looked again whether a function is cheap */

typedef struct {
    PyObject_HEAD
    PyObject *queue; /* the inbox: a TaskQueue */
    PyObject *targets; /* of the inbox: more than one while the driver sleeps */
    PyObject *entries; /* of the codec: by the function's id */
    PyObject *future_type, *owner;
    PyObject *lane; /* the ParentRing of a lent worker, or None */
    int bell; /* where to write to wake the driver */
    char open;
    /* the function that was called last; its entry keeps it from being mistaken for another */
    PyObject *fn; /* borrowed, compared only */
    PyObject *entry, *ref; /* and the entry's weak reference to it */
    uint32_t id;
    char by_value, cheap;
    unsigned trust;
    uint64_t known_by; /* the serial number of a ring whose worker has it */
    PyObject *code, *defaults, *kwdefaults, *strong, *weak; /* what a function by value rests on */
} door_t;

/* ------------------------------------------------------------------------------------------------- which function it is */

/* Whether `ref`, a weak reference, still is to `fn`. */
static bool refers_to(PyObject *ref, PyObject *fn) {
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *found = NULL;
    if (PyWeakref_GetRef(ref, &found) < 0) PyErr_Clear();
    Py_XDECREF(found);
    return found == fn;
#else
    return PyWeakref_GetObject(ref) == fn;
#endif
}

/* `transport.dependencies._bound`: is each of these names still what it was? */
static bool bound(PyObject *globals, PyObject *pairs, bool weak) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        PyObject *value = PyDict_GetItemWithError(globals, PyTuple_GET_ITEM(pair, 0)), *then = PyTuple_GET_ITEM(pair, 1);
        if (!value || (weak ? !refers_to(then, value) : value != then)) return false;
    }
    return true;
}

/* Keep what a function by value rests on, if it is of the kind that can be looked at here. */
static bool keep_needs(door_t *self, PyObject *fn, PyObject *needs) {
    static const char *const asked[] = {"code", "defaults", "kwdefaults", "strong", "weak", "cells", "others"};
    PyObject **kept[] = {&self->code, &self->defaults, &self->kwdefaults, &self->strong, &self->weak};
    for (int i = 0; i < 7; i++) {
        PyObject *value = PyObject_GetAttrString(needs, asked[i]);
        if (!value) return false;
        if (i < 5) {
            Py_XSETREF(*kept[i], value);
        } else {
            Py_ssize_t size = PyObject_Size(value);
            Py_DECREF(value);
            if (size) return false; /* closures, and what they name: the long way looks into these */
        }
    }
    return PyFunction_Check(fn) && PyList_Check(self->strong) && PyList_Check(self->weak);
}

static inline bool same(PyObject *now, PyObject *then) { return now == then || (!now && then == Py_None); }

/* `transport.dependencies.Needs.hold` */
static bool needs_hold(door_t *self, PyObject *fn) {
    bool hold = PyFunction_GET_CODE(fn) == self->code && same(PyFunction_GET_DEFAULTS(fn), self->defaults) &&
                same(PyFunction_GET_KW_DEFAULTS(fn), self->kwdefaults) &&
                bound(PyFunction_GET_GLOBALS(fn), self->strong, false) &&
                bound(PyFunction_GET_GLOBALS(fn), self->weak, true);
    PyErr_Clear();
    return hold;
}

/* The entry's weak reference, if it is to `fn`. */
static PyObject *ref_of(PyObject *entry, PyObject *fn) {
    PyObject *ref = PyObject_GetAttrString(entry, "ref");
    if (ref && !(PyWeakref_Check(ref) && refers_to(ref, fn))) Py_CLEAR(ref);
    PyErr_Clear();
    return ref;
}

static bool is_cheap(PyObject *entry) {
    PyObject *profile = PyObject_GetAttrString(entry, "profile");
    PyObject *mean = profile ? PyObject_GetAttrString(profile, "mean_ns") : NULL;
    double ns = mean ? PyFloat_AsDouble(mean) : DEAR_NS;
    Py_XDECREF(mean);
    Py_XDECREF(profile);
    PyErr_Clear();
    return ns < DEAR_NS;
}

static void forget(door_t *self) {
    self->fn = NULL;
    Py_CLEAR(self->entry);
    Py_CLEAR(self->ref);
}

/* The entry of `fn` becomes the one at hand; false: there is none that could be used without asking further. */
static bool look_up(door_t *self, PyObject *fn) {
    forget(self);
    PyObject *key = PyLong_FromVoidPtr(fn);
    PyObject *entry = key ? PyDict_GetItemWithError(self->entries, key) : NULL;
    Py_XDECREF(key);
    PyObject *ref = entry ? ref_of(entry, fn) : NULL;
    if (!ref) {
        PyErr_Clear();
        return false;
    }
    Py_INCREF(entry);
    PyObject *needs = PyObject_GetAttrString(entry, "needs"), *number = PyObject_GetAttrString(entry, "id");
    bool usable = needs && number;
    if (usable) {
        self->id = (uint32_t)PyLong_AsUnsignedLong(number);
        self->by_value = needs != Py_None;
        usable = self->id && (!self->by_value || (keep_needs(self, fn, needs) && needs_hold(self, fn)));
    }
    Py_XDECREF(needs);
    Py_XDECREF(number);
    PyErr_Clear();
    if (!usable) {
        Py_DECREF(entry);
        Py_DECREF(ref);
        return false;
    }
    self->fn = fn;
    self->entry = entry;
    self->ref = ref;
    self->known_by = 0;
    self->trust = 0;
    return true;
}

static inline bool at_hand(door_t *self, PyObject *fn) {
    if (self->fn != fn || !refers_to(self->ref, fn)) return look_up(self, fn);
    if (!self->by_value || needs_hold(self, fn)) return true;
    forget(self);
    return false;
}

/* --------------------------------------------------------------------------------------------------------- submit */

/* Wake the driver, once: it puts its bell back among the targets when it sleeps the next time, and looks before it does. */
static void wake(door_t *self) {
    ssize_t written = write(self->bell, "!", 1); /* a full pipe has woken it already, a closed one has no driver */
    if (written == 1 && PyList_SetSlice(self->targets, 1, PyList_GET_SIZE(self->targets), NULL) < 0) PyErr_Clear();
}

/* ring(fd, anything): write a byte. `os.write` lets others run first, and they may close `fd`; here nobody comes between. */
PyObject *door_ring(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    int fd = count == 2 ? (int)PyLong_AsLong(args[0]) : -1;
    if (PyErr_Occurred()) return NULL;
    ssize_t written = write(fd, "!", 1);
    return PyLong_FromSsize_t(written);
}

/* Whether the worker of this ring has the function at hand. */
static bool is_known(door_t *self, parent_ring_t *ring) {
    uint64_t serial = parent_serial(ring);
    if (self->known_by == serial) return true;
    if (!parent_knows(ring, self->id)) return false;
    self->known_by = serial;
    return true;
}

/* To a lent worker; 1: done, 0: not possible here and now. */
static int send_to_lane(door_t *self, storage_t *future) {
    parent_ring_t *ring = (parent_ring_t *)self->lane;
    if (!self->trust) {
        self->trust = TRUST;
        self->cheap = is_cheap(self->entry);
    }
    self->trust--;
    if (!self->cheap || !is_known(self, ring)) return 0;
    int sent = parent_send_call(ring, future, self->id);
    if (sent == 1 && PyList_GET_SIZE(self->targets) > 1 && !parent_is_hot(ring)) wake(self);
    return sent;
}

bool door_is_open(PyObject *door) { return ((door_t *)door)->open; }

int door_post(PyObject *door, storage_t *future) {
    door_t *self = (door_t *)door;
    if (!self->open || queue_append((queue_t *)self->queue, (PyObject *)future) < 0) return -1;
    if (PyList_GET_SIZE(self->targets) > 1) wake(self);
    return 1;
}

/* The future of fn(*args); NULL without an exception: take the long way. */
static PyObject *door_submit(door_t *self, PyObject *fn, PyObject *const *args, Py_ssize_t count) {
    if (!self->open || around_is_clear() != 1) return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!value_is_small(args[i])) return NULL;
    if (!at_hand(self, fn)) return NULL;
    PyObject *body = PyTuple_New(count);
    if (!body) return NULL;
    for (Py_ssize_t i = 0; i < count; i++) PyTuple_SET_ITEM(body, i, Py_NewRef(args[i]));
    if (count) PyObject_GC_UnTrack(body); /* there is nothing in it that could be part of a cycle */
    PyObject *future = storage_make((PyTypeObject *)self->future_type, self->entry, body);
    if (!future) return NULL;
    STORAGE(future)->owner = Py_XNewRef(self->owner);
    int sent = is_none(self->lane) ? 0 : send_to_lane(self, STORAGE(future));
    if (sent == 0 && self->open) { /* making things may have run a finalizer, and that may have closed the pool */
        sent = door_post((PyObject *)self, STORAGE(future));
    }
    if (sent == 1) return future;
    Py_DECREF(future);
    return NULL;
}

static int door_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    PyObject *owner;
    if (!PyArg_ParseTuple(args, "O", &owner)) return -1;
    put_slot(&((door_t *)object)->owner, owner);
    return 0;
}

/* let_in(entries, future_type, queue, targets, bell): from now on calls go into that inbox. */
static PyObject *door_let_in(PyObject *object, PyObject *args) {
    door_t *self = (door_t *)object;
    PyObject *entries, *type, *queue, *targets;
    int bell;
    if (!PyArg_ParseTuple(args, "O!O!O!O!i", &PyDict_Type, &entries, &PyType_Type, &type, &Queue_Type, &queue, &PyList_Type,
                          &targets, &bell))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)type, &Storage_Type))
        return PyErr_Format(PyExc_TypeError, "the class of futures must derive from Storage");
    put_slot(&self->entries, entries);
    put_slot(&self->future_type, type);
    put_slot(&self->queue, queue);
    put_slot(&self->targets, targets);
    self->bell = bell;
    self->open = 1;
    Py_RETURN_NONE;
}

/* close(): all take the long way from now on, which says why if there is none. */
static PyObject *door_close(PyObject *object, PyObject *unused) {
    door_t *self = (door_t *)object;
    self->open = 0;
    Py_CLEAR(self->lane);
    Py_RETURN_NONE;
}

static PyObject *door_get_lane(PyObject *object, void *unused) {
    PyObject *lane = ((door_t *)object)->lane;
    return Py_NewRef(lane ? lane : Py_None);
}

static int door_set_lane(PyObject *object, PyObject *lane, void *unused) {
    if (lane && lane != Py_None && Py_TYPE(lane) != &ParentRing_Type) {
        PyErr_SetString(PyExc_TypeError, "the lane of a door is a ParentRing, or None");
        return -1;
    }
    put_slot(&((door_t *)object)->lane, lane);
    return 0;
}

static int door_traverse(PyObject *object, visitproc visit, void *arg) {
    door_t *self = (door_t *)object;
    Py_VISIT(self->queue);
    Py_VISIT(self->targets);
    Py_VISIT(self->entries);
    Py_VISIT(self->future_type);
    Py_VISIT(self->owner);
    Py_VISIT(self->lane);
    Py_VISIT(self->entry);
    Py_VISIT(self->ref);
    Py_VISIT(self->code);
    Py_VISIT(self->defaults);
    Py_VISIT(self->kwdefaults);
    Py_VISIT(self->strong);
    Py_VISIT(self->weak);
    return 0;
}

static int door_clear(PyObject *object) {
    door_t *self = (door_t *)object;
    self->open = 0;
    Py_CLEAR(self->queue);
    Py_CLEAR(self->targets);
    Py_CLEAR(self->entries);
    Py_CLEAR(self->future_type);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->lane);
    forget(self);
    Py_CLEAR(self->code);
    Py_CLEAR(self->defaults);
    Py_CLEAR(self->kwdefaults);
    Py_CLEAR(self->strong);
    Py_CLEAR(self->weak);
    return 0;
}

static void door_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    door_clear(object);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef door_methods[] = {
    {"let_in", door_let_in, METH_VARARGS, NULL},
    {"close", door_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef door_members[] = {
    {"open", T_BOOL, offsetof(door_t, open), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef door_getset[] = {
    {"lane", door_get_lane, door_set_lane, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject Door_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Door",
    .tp_basicsize = sizeof(door_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Door(owner): the short way into one engine.",
    .tp_traverse = door_traverse,
    .tp_clear = door_clear,
    .tp_dealloc = door_dealloc,
    .tp_methods = door_methods,
    .tp_members = door_members,
    .tp_getset = door_getset,
    .tp_init = door_init,
    .tp_new = PyType_GenericNew,
};

/* ---------------------------------------------------------------------------------------------------------- Quick */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *slow;
} quick_t;

static PyObject *door_name, *funnel_name; /* "_door", "_funnel" */

/* submit(self, fn, /, *args, **kwargs) of a pool that has a door. */
static PyObject *quick_submit(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    if (count >= 2 && (!kwnames || !PyTuple_GET_SIZE(kwnames))) {
        PyObject *door = PyObject_GetAttr(args[0], door_name);
        if (!door) return NULL;
        PyObject *future = NULL;
        if (Py_TYPE(door) == &Door_Type) future = door_submit((door_t *)door, args[1], args + 2, count - 2);
        Py_DECREF(door);
        if (future || PyErr_Occurred()) return future;
    }
    return PyObject_Vectorcall(((quick_t *)callable)->slow, args, (size_t)count, kwnames);
}

/* put(self, item, *, timeout=None) of a SpinOff. */
static PyObject *quick_put(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    if (count == 2 && (!kwnames || !PyTuple_GET_SIZE(kwnames))) {
        PyObject *funnel = PyObject_GetAttr(args[0], funnel_name);
        if (!funnel) return NULL;
        PyObject *future = Py_TYPE(funnel) == &Funnel_Type ? funnel_put(funnel, args[1]) : NULL;
        Py_DECREF(funnel);
        if (future || PyErr_Occurred()) return future;
    }
    return PyObject_Vectorcall(((quick_t *)callable)->slow, args, (size_t)count, kwnames);
}

/* Wait for a call of a lent worker, at most so many seconds (negative: without limit); what is left of them, or -1. */
static int wait_in_lane(storage_t *future, double *seconds) {
    if (!future->lane || Py_TYPE(future->lane) != &ParentRing_Type || future->state == names.finished) return 0;
    PyObject *ring = Py_NewRef(future->lane);
    uint64_t began = ring_now_ns(), most = *seconds < 0 || *seconds > 1 ? UINT64_MAX : (uint64_t)(*seconds * 1e9);
    int failed = parent_wait_call((parent_ring_t *)ring, future, most);
    if (*seconds > 0) {
        *seconds -= (double)(ring_now_ns() - began) * 1e-9;
        if (*seconds < 0) *seconds = 0;
    }
    Py_DECREF(ring);
    return failed;
}

/* result(self, timeout=None) of a future. */
static PyObject *quick_result(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
    Py_ssize_t count = PyVectorcall_NARGS(nargsf), words = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    PyObject *slow = ((quick_t *)callable)->slow;
    bool named = words == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "timeout") == 0;
    PyObject *limit = count == 2 && !words ? args[1] : count == 1 && named ? args[1] : Py_None;
    if (count < 1 || !IS_STORAGE(args[0]) || !(count == 2 ? !words : count == 1 && (!words || named)))
        return PyObject_Vectorcall(slow, args, (size_t)count, kwnames);
    storage_t *future = STORAGE(args[0]);
    double seconds = limit == Py_None ? -1 : PyFloat_CheckExact(limit) ? PyFloat_AS_DOUBLE(limit) : 0;
    if (PyLong_CheckExact(limit)) seconds = PyLong_AsDouble(limit);
    if (seconds == -1 && PyErr_Occurred()) PyErr_Clear(); /* a number that no double holds: the long way */
    bool timed = limit != Py_None && seconds > 0;
    if ((limit == Py_None || timed) && wait_in_lane(future, &seconds) < 0) return NULL;
    if (future->state == names.finished && is_none(future->exception)) {
        Py_CLEAR(future->lane);
        return Py_NewRef(future->result ? future->result : Py_None);
    }
    PyObject *left = timed ? PyFloat_FromDouble(seconds) : Py_NewRef(limit);
    if (!left) return NULL;
    PyObject *both[] = {args[0], left};
    PyObject *value = PyObject_Vectorcall(slow, both, limit == Py_None ? 1 : 2, NULL);
    Py_DECREF(left);
    return value;
}

static int quick_init(PyObject *object, PyObject *args, PyObject *kwargs) {
    quick_t *self = (quick_t *)object;
    const char *what;
    PyObject *slow;
    if (!PyArg_ParseTuple(args, "sO", &what, &slow)) return -1;
    if (!strcmp(what, "submit")) {
        self->vectorcall = quick_submit;
    } else if (!strcmp(what, "put")) {
        self->vectorcall = quick_put;
    } else if (!strcmp(what, "result")) {
        self->vectorcall = quick_result;
    } else {
        PyErr_Format(PyExc_ValueError, "there is no short way for %s", what);
        return -1;
    }
    put_slot(&self->slow, slow);
    return 0;
}

static PyObject *quick_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    if (!door_name && !(door_name = PyUnicode_InternFromString("_door"))) return NULL;
    if (!funnel_name && !(funnel_name = PyUnicode_InternFromString("_funnel"))) return NULL;
    quick_t *self = (quick_t *)type->tp_alloc(type, 0);
    if (self) self->vectorcall = quick_submit;
    return (PyObject *)self;
}

static PyObject *quick_bind(PyObject *self, PyObject *object, PyObject *type) {
    return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

/* What people ask of a function (its name, its signature, its text) is that of the long way. */
static PyObject *quick_getattro(PyObject *self, PyObject *name) {
    PyObject *slow = ((quick_t *)self)->slow;
    if (slow && PyUnicode_CompareWithASCIIString(name, "__wrapped__") == 0) return Py_NewRef(slow);
    if (slow && PyUnicode_CompareWithASCIIString(name, "__class__") != 0 &&
        PyUnicode_CompareWithASCIIString(name, "__call__") != 0 &&
        PyUnicode_CompareWithASCIIString(name, "__get__") != 0 &&
        PyUnicode_CompareWithASCIIString(name, "__reduce_ex__") != 0)
        return PyObject_GetAttr(slow, name);
    return PyObject_GenericGetAttr(self, name);
}

static int quick_setattro(PyObject *self, PyObject *name, PyObject *value) {
    return PyObject_SetAttr(((quick_t *)self)->slow, name, value);
}

static int quick_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((quick_t *)self)->slow);
    return 0;
}

static int quick_clear(PyObject *self) {
    Py_CLEAR(((quick_t *)self)->slow);
    return 0;
}

static void quick_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    quick_clear(self);
    Py_TYPE(self)->tp_free(self);
}

PyTypeObject Quick_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Quick",
    .tp_basicsize = sizeof(quick_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_doc = "Quick(what, slow): the method `slow`, with a short way before it.",
    .tp_vectorcall_offset = offsetof(quick_t, vectorcall),
    .tp_call = PyVectorcall_Call,
    .tp_descr_get = quick_bind,
    .tp_getattro = quick_getattro,
    .tp_setattro = quick_setattro,
    .tp_traverse = quick_traverse,
    .tp_clear = quick_clear,
    .tp_dealloc = quick_dealloc,
    .tp_init = quick_init,
    .tp_new = quick_new,
};
