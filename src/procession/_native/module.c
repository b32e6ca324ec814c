#include "native.h"

#define INTERFACE 14 /* as in __init__.py */

extern PyMethodDef future_functions[];

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_c",
    .m_doc = "The fast lane of procession: see README.md beside the sources.",
    .m_size = -1,
    .m_methods = future_functions,
};

static int add_type(PyObject *made, PyTypeObject *type, const char *name) {
    return PyType_Ready(type) < 0 ? -1 : PyModule_AddObjectRef(made, name, (PyObject *)type);
}

PyMODINIT_FUNC PyInit__c(void) {
    PyObject *made = PyModule_Create(&module);
    if (!made) return NULL;
    if (add_type(made, &Storage_Type, "Storage") < 0 || add_type(made, &Queue_Type, "TaskQueue") < 0 ||
        add_type(made, &Packed_Type, "Packed") < 0 || add_type(made, &Results_Type, "Results") < 0 || add_type(made, &View_Type, "View") < 0 || add_type(made, &ParentRing_Type, "ParentRing") < 0 || add_type(made, &WorkerRing_Type, "WorkerRing") < 0 ||
        add_type(made, &Door_Type, "Door") < 0 || add_type(made, &Funnel_Type, "Funnel") < 0 || add_type(made, &Quick_Type, "Quick") < 0 ||
        add_type(made, &Apart_Type, "Apart") < 0 ||
        PyModule_AddIntConstant(made, "INTERFACE", INTERFACE) < 0 ||
        PyModule_AddIntConstant(made, "GROUP", RECORD_GROUP) < 0 ||
        PyModule_AddIntConstant(made, "FRAME", RECORD_FRAME) < 0 ||
        PyModule_AddIntConstant(made, "PIPED", RECORD_PIPED) < 0 ||
        PyModule_AddIntConstant(made, "LARGEST", LARGEST) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}
