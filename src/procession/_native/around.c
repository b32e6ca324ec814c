/* What surrounds a task, its context variables: worker/surroundings.py has the laws.
 *
 * Where a task is handed over: whether there is anything that it would have to be given. The short ways take nothing along,
 * so they are closed then. Where one runs: Apart, a copy of the worker's context, which serves for the next one too, if
 * nothing was set in it meanwhile.
 *
 * Both rest on this: what is set in a context is one object, which never changes; setting a variable puts another in its
 * place. So by its address one knows that nothing was set, and that what was found to be nothing still is. The interpreter
 * shows it to nobody but the collector; so it is asked for once as that does, and where it lies is remembered.
 */
#include "native.h"

static PyObject *look; /* surroundings.look: 0, 1 or 2 */
PyObject *around_clear;
Py_ssize_t around_vars_offset;

/* set_look(look) */
PyObject *around_set_look(PyObject *module, PyObject *function) {
    put_slot(&look, function);
    Py_RETURN_NONE;
}

static int find_vars(PyObject *object, void *found) {
    if (Py_TYPE(object) == &PyContext_Type || PyWeakref_Check(object)) return 0; /* the one before, who refers to it */
    *(PyObject **)found = object;
    return 1;
}

PyObject *around_ask_vars(PyObject *context) {
    PyObject *found = NULL;
    PyContext_Type.tp_traverse(context, find_vars, &found);
    if (around_vars_offset) return found;
    around_vars_offset = -1;
    Py_ssize_t size = PyContext_Type.tp_basicsize, step = sizeof(PyObject *), times = 0;
    for (Py_ssize_t at = sizeof(PyObject); found && at + step <= size; at += step) {
        if (*(PyObject **)((char *)context + at) == found) {
            around_vars_offset = at;
            times++;
        }
    }
    if (times != 1) around_vars_offset = -1;
    return found;
}

int around_look(void) {
    PyObject *context = PyContext_CopyCurrent();
    if (!context) return -1;
    PyObject *vars = Py_XNewRef(around_vars(context));
    Py_ssize_t size = PyObject_Size(context);
    long answer = 2;
    if (size && !look) answer = 0;
    if (size && look) {
        PyObject *found = PyObject_CallOneArg(look, context);
        answer = found ? PyLong_AsLong(found) : -1;
        Py_XDECREF(found);
    }
    Py_DECREF(context);
    if (answer == 2) put_slot(&around_clear, vars);
    Py_XDECREF(vars);
    return PyErr_Occurred() ? -1 : answer > 0;
}

/* ----------------------------------------------------------------------------------------------------------- apart */

void around_base(around_t *around, PyObject *base) {
    Py_CLEAR(around->copy);
    Py_XSETREF(around->base, base);
    around->vars = base ? around_vars(base) : NULL;
}

int around_base_here(around_t *around) {
    PyObject *here = PyThreadState_Get()->context;
    if (around->base && here && around_vars(here) == around->vars) return 0;
    around_base(around, PyContext_CopyCurrent());
    return around->base ? 0 : -1;
}

int around_enter(around_t *around) {
    if (!around->copy && !(around->copy = PyContext_Copy(around->base))) return -1;
    if (PyContext_Enter(around->copy) < 0) return -1;
    around->entered = true;
    return 0;
}

void around_leave(around_t *around) {
    if (!around->entered) return;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    around->entered = false;
    if (PyContext_Exit(around->copy) < 0) PyErr_Clear(); /* C code has left another one behind */
    if (around_vars(around->copy) != around->vars) Py_CLEAR(around->copy);
    PyErr_Restore(type, error, trace);
}

int around_enter_another(around_t *around) {
    PyObject *type, *error, *trace;
    around_leave(around);
    PyErr_Fetch(&type, &error, &trace);
    if (around_enter(around) == 0) {
        PyErr_Restore(type, error, trace);
        return 0;
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return -1;
}

typedef struct {
    PyObject_HEAD
    around_t around;
} apart_t;

static PyObject *renewed(apart_t *self, PyObject *value) {
    if (around_renew(&self->around) < 0) Py_CLEAR(value);
    return value;
}

/* run(fn, args, kwargs) */
static PyObject *a_run(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 3 || !PyTuple_CheckExact(args[1]) || !PyDict_CheckExact(args[2]))
        return PyErr_Format(PyExc_TypeError, "run takes a function, a tuple and a dict");
    PyObject *value;
    if (PyDict_GET_SIZE(args[2])) {
        value = PyObject_Call(args[0], args[1], args[2]);
    } else {
        value = PyObject_Vectorcall(args[0], ((PyTupleObject *)args[1])->ob_item, (size_t)PyTuple_GET_SIZE(args[1]), NULL);
    }
    return renewed((apart_t *)self, value);
}

/* run_one(fn, item) */
static PyObject *a_run_one(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 2) return PyErr_Format(PyExc_TypeError, "run_one takes a function and an item");
    return renewed((apart_t *)self, PyObject_CallOneArg(args[0], args[1]));
}

/* leave(): by the thread that has made it; nothing is run any more. */
static PyObject *a_leave(PyObject *self, PyObject *unused) {
    around_leave(&((apart_t *)self)->around);
    Py_RETURN_NONE;
}

static PyObject *a_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    PyObject *base;
    if (!PyArg_ParseTuple(args, "O!", &PyContext_Type, &base)) return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (!self) return NULL;
    around_base(&((apart_t *)self)->around, Py_NewRef(base));
    if (around_enter(&((apart_t *)self)->around) < 0) Py_CLEAR(self);
    return self;
}

static int a_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((apart_t *)self)->around.base);
    Py_VISIT(((apart_t *)self)->around.copy);
    return 0;
}

static int a_clear(PyObject *self) {
    around_base(&((apart_t *)self)->around, NULL);
    return 0;
}

static void a_dealloc(PyObject *self) {
    PyObject_GC_UnTrack(self);
    a_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef apart_methods[] = {
    {"run", (PyCFunction)(void (*)(void))a_run, METH_FASTCALL, NULL},
    {"run_one", (PyCFunction)(void (*)(void))a_run_one, METH_FASTCALL, NULL},
    {"leave", a_leave, METH_NOARGS, NULL},
    {NULL},
};

PyTypeObject Apart_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.Apart",
    .tp_basicsize = sizeof(apart_t),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Apart(base): runs each call in a copy of this context, in the thread that has made it; see backends/apart.py.",
    .tp_traverse = a_traverse,
    .tp_clear = a_clear,
    .tp_dealloc = a_dealloc,
    .tp_methods = apart_methods,
    .tp_new = a_new,
};
