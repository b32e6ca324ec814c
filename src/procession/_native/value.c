#include "value.h"

put_t value_put_bytes(pen_t *pen, unsigned tag, unsigned more, const void *data, Py_ssize_t size) {
    if ((size_t)(pen->end - pen->at) < WORD + padded((uint64_t)size)) return PUT_NO_ROOM;
    put_word(pen, word_of(tag, more, (uint64_t)size));
    put_padded(pen, data, (size_t)size);
    return PUT_DONE;
}

/* An int beyond 61 bits: rare. */
static put_t put_large(pen_t *pen, PyObject *value) {
    PyObject *digits = PyNumber_ToBase(value, 16);
    if (!digits) return PUT_ERROR;
    put_t put = value_put_bytes(pen, TAG_LONG, 0, PyUnicode_1BYTE_DATA(digits), PyUnicode_GET_LENGTH(digits));
    Py_DECREF(digits);
    return put;
}

static put_t put_int(pen_t *pen, PyObject *value) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || number < LEAST_INT || number > MOST_INT) return put_large(pen, value);
    return put_word(pen, (uint64_t)number << 3);
}

static put_t put_str(pen_t *pen, PyObject *value) {
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(value) < 0) return PUT_ERROR;
#endif
    if (PyUnicode_IS_COMPACT_ASCII(value))
        return value_put_bytes(pen, TAG_STR, 1, PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value));
    PyObject *data = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass");
    if (!data) return PUT_ERROR;
    put_t put = value_put_bytes(pen, TAG_STR, 0, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    Py_DECREF(data);
    return put;
}

put_t value_put(pen_t *pen, PyObject *value) {
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type) return put_int(pen, value);
    if (type == &PyUnicode_Type) return put_str(pen, value);
    if (type == &PyFloat_Type) {
        if ((size_t)(pen->end - pen->at) < 2 * WORD) return PUT_NO_ROOM;
        put_word(pen, word_of(TAG_FLOAT, 0, 0));
        double number = PyFloat_AS_DOUBLE(value);
        memcpy(pen->at, &number, WORD);
        pen->at += WORD;
        return PUT_DONE;
    }
    if (value == Py_None) return put_word(pen, word_of(TAG_CONST, 0, 0));
    if (type == &PyBool_Type) return put_word(pen, word_of(TAG_CONST, 0, value == Py_True ? 2 : 1));
    if (type == &PyBytes_Type)
        return value_put_bytes(pen, TAG_BYTES, 0, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    return PUT_NOT_PLAIN;
}

put_t value_put_tuple(pen_t *pen, PyObject *args) {
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    put_t put = put_word(pen, word_of(TAG_TUPLE, 0, (uint64_t)count));
    for (Py_ssize_t i = 0; put == PUT_DONE && i < count; i++) put = value_put(pen, PyTuple_GET_ITEM(args, i));
    return put;
}

/* ------------------------------------------------------------------------------------------------------------- nests */

#define MOST_CONTAINERS 32

typedef struct {
    PyObject *seen[MOST_CONTAINERS];
    int count;
} nest_t;

static put_t put_nested(pen_t *pen, PyObject *value, nest_t *nest);

static put_t put_dict(pen_t *pen, PyObject *dict, nest_t *nest) {
    put_t put = put_word(pen, word_of(TAG_TUPLE, NEST_DICT, (uint64_t)PyDict_GET_SIZE(dict)));
    PyObject *key, *value;
    for (Py_ssize_t place = 0; put == PUT_DONE && PyDict_Next(dict, &place, &key, &value);) {
        put = put_nested(pen, key, nest);
        if (put == PUT_DONE) put = put_nested(pen, value, nest);
    }
    return put;
}

/* Nothing here runs code of others, so nothing changes meanwhile. */
static put_t put_nested(pen_t *pen, PyObject *value, nest_t *nest) {
    if (!value_is_nest(value)) return value_put(pen, value);
    for (int i = 0; i < nest->count; i++)
        if (nest->seen[i] == value) return PUT_NOT_PLAIN; /* one object in two places is to be one object again */
    if (nest->count == MOST_CONTAINERS) return PUT_NOT_PLAIN;
    nest->seen[nest->count++] = value;
    if (PyDict_CheckExact(value)) return put_dict(pen, value, nest);
    bool is_list = PyList_CheckExact(value);
    Py_ssize_t count = is_list ? PyList_GET_SIZE(value) : PyTuple_GET_SIZE(value);
    put_t put = put_word(pen, word_of(TAG_TUPLE, is_list ? NEST_LIST : NEST_TUPLE, (uint64_t)count));
    for (Py_ssize_t i = 0; put == PUT_DONE && i < count; i++)
        put = put_nested(pen, is_list ? PyList_GET_ITEM(value, i) : PyTuple_GET_ITEM(value, i), nest);
    return put;
}

put_t value_put_nest(pen_t *pen, PyObject *value) {
    nest_t nest = {.count = 0};
    pen_t small = *pen;
    bool cut = small.end - small.at > MOST_NESTED;
    if (cut) small.end = small.at + MOST_NESTED;
    put_t put = put_nested(&small, value, &nest);
    if (put == PUT_DONE) pen->at = small.at;
    return put == PUT_NO_ROOM && cut ? PUT_NOT_PLAIN : put;
}

/* are_small(items): whether each of a list is plain, and not worth another way than through a ring. */
PyObject *values_are_small(PyObject *module, PyObject *items) {
    if (!PyList_Check(items)) return PyErr_Format(PyExc_TypeError, "are_small takes a list");
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++)
        if (!value_is_small(PyList_GET_ITEM(items, i))) Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

static PyObject *get_dict(const unsigned char **at, uint64_t count) {
    PyObject *dict = PyDict_New();
    for (uint64_t i = 0; dict && i < count; i++) {
        PyObject *key = value_get(at), *value = key ? value_get(at) : NULL;
        if (!value || PyDict_SetItem(dict, key, value) < 0) Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *get_nest(const unsigned char **at, unsigned kind, uint64_t count) {
    if (kind == NEST_DICT) return get_dict(at, count);
    PyObject *made = kind == NEST_LIST ? PyList_New((Py_ssize_t)count) : PyTuple_New((Py_ssize_t)count);
    for (Py_ssize_t i = 0; made && i < (Py_ssize_t)count; i++) {
        PyObject *value = value_get(at);
        if (!value)
            Py_CLEAR(made);
        else if (kind == NEST_LIST)
            PyList_SET_ITEM(made, i, value);
        else
            PyTuple_SET_ITEM(made, i, value);
    }
    return made;
}

void value_skip(const unsigned char **at) {
    uint64_t word = get_word(at);
    switch (word_tag(word)) {
    case TAG_INT:
    case TAG_CONST:
        return;
    case TAG_FLOAT:
        *at += WORD;
        return;
    case TAG_TUPLE:
        for (uint64_t i = word_length(word) * (word_more(word) == NEST_DICT ? 2 : 1); i > 0; i--) value_skip(at);
        return;
    default:
        *at += padded(word_length(word));
    }
}

static PyObject *get_str(const unsigned char *at, Py_ssize_t size, bool ascii) {
    if (!ascii) return PyUnicode_DecodeUTF8((const char *)at, size, "surrogatepass");
    PyObject *made = PyUnicode_New(size, 127);
    if (made && size) memcpy(PyUnicode_1BYTE_DATA(made), at, (size_t)size);
    return made;
}

static PyObject *get_large(const unsigned char *at, Py_ssize_t size) {
    PyObject *digits = PyBytes_FromStringAndSize((const char *)at, size);
    if (!digits) return NULL;
    PyObject *made = PyLong_FromString(PyBytes_AS_STRING(digits), NULL, 16);
    Py_DECREF(digits);
    return made;
}

PyObject *value_get(const unsigned char **at) {
    uint64_t word = get_word(at);
    switch (word_tag(word)) {
    case TAG_INT:
        return PyLong_FromLongLong((int64_t)word >> 3);
    case TAG_CONST: {
        PyObject *constants[] = {Py_None, Py_False, Py_True};
        return Py_NewRef(constants[word_length(word)]);
    }
    case TAG_FLOAT: {
        double number;
        memcpy(&number, *at, WORD);
        *at += WORD;
        return PyFloat_FromDouble(number);
    }
    case TAG_TUPLE:
        return get_nest(at, word_more(word), word_length(word));
    }
    const unsigned char *data = *at;
    Py_ssize_t size = (Py_ssize_t)word_length(word);
    *at += padded(word_length(word));
    switch (word_tag(word)) {
    case TAG_BYTES:
        return PyBytes_FromStringAndSize((const char *)data, size);
    case TAG_STR:
        return get_str(data, size, word_more(word) == 1);
    case TAG_LONG:
        return get_large(data, size);
    }
    PyErr_Format(PyExc_SystemError, "procession: no value has the tag %u", word_tag(word));
    return NULL;
}
