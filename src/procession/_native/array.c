/* Arrays and scalars of NumPy as outcomes, without a pickle: what a task returns most often where a pickle costs most.
 *
 * Only what a pickle would bring back just so goes this way: exact ndarrays, writable and C-contiguous, of a dtype that is
 * one of NumPy's own for numbers in this machine's form; exact scalars of these. All else is the codec's. Nobody's code
 * runs on the way, in neither process: NumPy's own functions are called, C to C. So a caller may make such an outcome
 * itself, where a pickle has to be left to the driver.
 *
 * What travels is a RAW word, OUT_ARRAY, and so many bytes:
 *
 *   a word         number of the dtype (8 bits), dimensions (8), form (8): NEAR, FAR or SCALAR
 *   shape          a word for each dimension
 *   NEAR, SCALAR   the bytes of the array
 *   FAR            two words: where in the worker's arena (transport/arena.py) they lie, and how many they are
 *
 * A far array lies in a View of its block. The end of the view is told to the worker as arena.py has it, by adding 1 to the
 * block's word, here at once instead of by a note: it is done in C, with the GIL held. A fork pins what is looked at then
 * (law 7 there): neither the parent nor the child tells of a View that is older than the last fork.
 */
#include "native.h"

#define DTYPES 15
#define MOST_DIMENSIONS 8
#define NEAR_BYTES 65535 /* as MOST_SMALL, and aside.LEAST */
#define GRAIN (1 << 16)  /* as transport/spans.py */

static const char letters[DTYPES + 1] = "?bBhHiIlLefdgFD"; /* as numpy.dtype reads them; a pickle makes other ones of q and Q */
enum { NEAR, FAR, SCALAR };

static struct {
    PyObject *array, *dtypes[DTYPES], *scalars[DTYPES];
    PyObject *reducers, *forking; /* where people register how to pickle a class: dicts; the latter may not be there yet */
    PyObject *dtype, *nothing; /* "dtype", () */
    bool known;
} numpy;

/* The attribute of a module that has been imported; NULL without an exception when there is none. */
static PyObject *imported(const char *module, const char *name) {
    PyObject *key = PyUnicode_FromString(module), *found = key ? PyImport_GetModule(key) : NULL;
    PyObject *value = found ? PyObject_GetAttrString(found, name) : NULL;
    Py_XDECREF(key);
    Py_XDECREF(found);
    PyErr_Clear();
    return value;
}

static void learn_dtypes(PyObject *make) {
    for (int i = 0; i < DTYPES; i++) {
        PyObject *made = PyObject_CallFunction(make, "C", letters[i]);
        put_slot(&numpy.dtypes[i], made);
        Py_XDECREF(made);
        PyObject *scalar = made ? PyObject_GetAttrString(made, "type") : NULL;
        put_slot(&numpy.scalars[i], scalar);
        Py_XDECREF(scalar);
        if (!scalar) return;
    }
    numpy.known = true;
}

/* Whether NumPy has been imported here, by the program: we never do. */
static bool has_numpy(void) {
    if (numpy.known) return true;
    PyObject *array = imported("numpy", "ndarray"), *make = array ? imported("numpy", "dtype") : NULL;
    PyObject *reducers = make ? imported("copyreg", "dispatch_table") : NULL;
    if (reducers && PyDict_Check(reducers) && PyType_Check(array)) {
        put_slot(&numpy.array, array);
        put_slot(&numpy.reducers, reducers);
        if (!numpy.dtype) numpy.dtype = PyUnicode_InternFromString("dtype");
        if (!numpy.nothing) numpy.nothing = PyTuple_New(0);
        if (numpy.dtype && numpy.nothing) learn_dtypes(make);
    }
    Py_XDECREF(array);
    Py_XDECREF(make);
    Py_XDECREF(reducers);
    PyErr_Clear();
    return numpy.known;
}

/* Somebody has said how these are to be pickled. */
static bool is_registered(PyObject *type) {
    if (!numpy.forking) {
        PyObject *pickler = imported("multiprocessing.reduction", "ForkingPickler");
        PyObject *found = pickler ? PyObject_GetAttrString(pickler, "_extra_reducers") : NULL;
        if (found && PyDict_Check(found)) numpy.forking = Py_NewRef(found);
        Py_XDECREF(found);
        Py_XDECREF(pickler);
        PyErr_Clear();
    }
    int found = PyDict_Contains(numpy.reducers, type);
    if (!found && numpy.forking) found = PyDict_Contains(numpy.forking, type);
    if (found < 0) PyErr_Clear();
    return found != 0;
}

static int index_of(PyObject *const *all, PyObject *one) {
    int i = 0;
    while (i < DTYPES && all[i] != one) i++;
    return i;
}

/* Whether this attribute is that object. */
static bool attribute_is(PyObject *object, const char *name, PyObject *value) {
    PyObject *found = PyObject_GetAttrString(object, name);
    bool is = found == value;
    if (!found) PyErr_Clear();
    Py_XDECREF(found);
    return is;
}

/* The number of a dtype, or DTYPES. One that came out of a pickle is the same as NumPy's own, and another object. */
static int index_of_dtype(PyObject *dtype) {
    int found = index_of(numpy.dtypes, dtype);
    if (found < DTYPES || !attribute_is(dtype, "isnative", Py_True) || !attribute_is(dtype, "metadata", Py_None))
        return found;
    PyObject *letter = PyObject_GetAttrString(dtype, "char");
    Py_ssize_t size = 0;
    const char *text = letter ? PyUnicode_AsUTF8AndSize(letter, &size) : NULL;
    for (found = 0; found < DTYPES && !(size == 1 && text[0] == letters[found]);) found++;
    Py_XDECREF(letter);
    PyErr_Clear();
    return found;
}

/* ------------------------------------------------------------------------------------------------------ in the worker */

put_t array_put(pen_t *pen, const void *what) {
    const sent_array_t *sent = what;
    const Py_buffer *buffer = &sent->buffer;
    size_t head = WORD * (1 + (size_t)buffer->ndim), size = head + (sent->form == FAR ? 2 * WORD : (size_t)buffer->len);
    if ((size_t)(pen->end - pen->at) < WORD + padded(size)) return PUT_NO_ROOM;
    put_word(pen, word_of(TAG_RAW, OUT_ARRAY, size));
    put_word(pen, (uint64_t)sent->dtype | (uint64_t)buffer->ndim << 8 | (uint64_t)sent->form << 16);
    for (int i = 0; i < buffer->ndim; i++) put_word(pen, (uint64_t)buffer->shape[i]);
    if (sent->form == FAR) {
        put_word(pen, sent->place);
        return put_word(pen, (uint64_t)buffer->len);
    }
    put_padded(pen, buffer->buf, (size_t)buffer->len);
    return PUT_DONE;
}

/* The number of its dtype, if it is an array or a scalar that can go this way; else -1. */
static int dtype_of(PyObject *value, bool *is_scalar) {
    if (!has_numpy()) return -1;
    PyObject *type = (PyObject *)Py_TYPE(value);
    int found = DTYPES;
    *is_scalar = type != numpy.array;
    if (*is_scalar) {
        found = index_of(numpy.scalars, type);
    } else {
        PyObject *dtype = PyObject_GetAttr(value, numpy.dtype);
        found = dtype ? index_of_dtype(dtype) : DTYPES;
        Py_XDECREF(dtype);
        PyErr_Clear();
    }
    return found == DTYPES || is_registered(type) ? -1 : found;
}

/* Put into the arena by `place`, which is Python and says where; 1: not there, -1: it has raised. */
static int put_far(sent_array_t *sent, PyObject *place) {
    PyObject *view = PyMemoryView_FromMemory(sent->buffer.buf, sent->buffer.len, PyBUF_READ);
    PyObject *where = view ? PyObject_CallOneArg(place, view) : NULL;
    Py_XDECREF(view);
    if (!where) return -1;
    int failed = where == Py_None;
    if (!failed) sent->place = PyLong_AsUnsignedLongLong(where);
    Py_DECREF(where);
    sent->form = FAR;
    return PyErr_Occurred() ? -1 : failed;
}

int array_begin(sent_array_t *sent, PyObject *value, PyObject *place) {
    bool is_scalar;
    sent->dtype = dtype_of(value, &is_scalar);
    if (sent->dtype < 0) return 1;
    if (PyObject_GetBuffer(value, &sent->buffer, PyBUF_ND | (is_scalar ? 0 : PyBUF_WRITABLE)) < 0) {
        PyErr_Clear(); /* with gaps, or read-only */
        return 1;
    }
    int failed = sent->buffer.ndim > MOST_DIMENSIONS || !sent->buffer.len; /* an empty one has strides of its own */
    sent->form = is_scalar ? SCALAR : NEAR;
    if (!failed && sent->buffer.len > NEAR_BYTES) failed = put_far(sent, place);
    if (failed) array_end(sent);
    return failed;
}

void array_end(sent_array_t *sent) { PyBuffer_Release(&sent->buffer); }

/* ------------------------------------------------------------------------------------------------------ in the parent */

typedef struct {
    PyObject_HEAD
    PyObject *mapped; /* keeps the memory mapped */
    void *at;
    Py_ssize_t size;
    int64_t *word; /* where its end is told */
    bool kept; /* it is told */
    unsigned forks; /* as they were when it was made */
} view_t;

static unsigned forks;

PyObject *array_pin(PyObject *module, PyObject *unused) {
    forks++;
    Py_RETURN_NONE;
}

static int view_get(PyObject *object, Py_buffer *buffer, int flags) {
    view_t *self = (view_t *)object;
    return PyBuffer_FillInfo(buffer, object, self->at, self->size, 0, flags);
}

static void view_dealloc(PyObject *object) {
    view_t *self = (view_t *)object;
    if (self->kept && self->forks == forks) ++*(volatile int64_t *)self->word;
    Py_CLEAR(self->mapped);
    Py_TYPE(object)->tp_free(object);
}

static PyBufferProcs view_as_buffer = {.bf_getbuffer = view_get};

PyTypeObject View_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "procession._native._c.View",
    .tp_basicsize = sizeof(view_t),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "The block of an arena in which an array lies.",
    .tp_as_buffer = &view_as_buffer,
    .tp_dealloc = view_dealloc,
};

static PyObject *new_array(PyObject *shape, int dtype, PyObject *buffer) {
    return buffer ? PyObject_CallFunctionObjArgs(numpy.array, shape, numpy.dtypes[dtype], buffer, NULL)
                  : PyObject_CallFunctionObjArgs(numpy.array, shape, numpy.dtypes[dtype], NULL);
}

static PyObject *get_far(PyObject *shape, int dtype, uint64_t place, uint64_t size, results_arena_t *arena,
                         PyObject **view) {
    view_t *made = PyObject_New(view_t, &View_Type);
    if (!made) return NULL;
    made->mapped = Py_NewRef(arena->mapped);
    made->at = arena->base + place;
    made->size = (Py_ssize_t)size;
    made->word = (int64_t *)arena->base + (place - arena->data) / GRAIN;
    made->kept = false;
    made->forks = forks;
    PyObject *array = new_array(shape, dtype, (PyObject *)made);
    if (array)
        *view = (PyObject *)made;
    else
        Py_DECREF(made);
    return array;
}

static PyObject *get_near(PyObject *shape, int dtype, const unsigned char *at, size_t size, bool is_scalar) {
    PyObject *array = new_array(shape, dtype, NULL);
    Py_buffer buffer;
    if (!array || PyObject_GetBuffer(array, &buffer, PyBUF_CONTIG) < 0) goto failed;
    if ((size_t)buffer.len == size) memcpy(buffer.buf, at, size);
    PyBuffer_Release(&buffer);
    if (!is_scalar) return array;
    PyObject *scalar = PyObject_GetItem(array, numpy.nothing);
    Py_DECREF(array);
    return scalar;
failed:
    Py_XDECREF(array);
    return NULL;
}

PyObject *array_get(const unsigned char *at, size_t size, results_arena_t *arena, PyObject **view) {
    uint64_t head = get_word(&at);
    int dtype = (int)(head & 0xFF), count = (int)(head >> 8 & 0xFF), form = (int)(head >> 16 & 0xFF);
    uint64_t extents[MOST_DIMENSIONS], where[2] = {0, 0};
    *view = NULL;
    for (int i = 0; i < count; i++) extents[i] = get_word(&at); /* before anything is made: see `look` in parent.c */
    if (form == FAR) memcpy(where, at, sizeof(where));
    if (!has_numpy() || (form == FAR && !arena->mapped)) return NULL;
    PyObject *shape = PyTuple_New(count), *made = NULL;
    for (int i = 0; shape && i < count; i++) {
        PyObject *extent = PyLong_FromUnsignedLongLong(extents[i]);
        if (extent)
            PyTuple_SET_ITEM(shape, i, extent);
        else
            Py_CLEAR(shape);
    }
    size -= WORD * (1 + (size_t)count);
    if (shape && form == FAR)
        made = get_far(shape, dtype, where[0], where[1], arena, view);
    else if (shape)
        made = get_near(shape, dtype, at, size, form == SCALAR);
    Py_XDECREF(shape);
    if (!made) PyErr_Clear(); /* whoever asks again, in Python, is told */
    return made;
}

void array_keep(PyObject *view) {
    if (!view) return;
    ((view_t *)view)->kept = true;
    Py_DECREF(view); /* the array has it */
}
