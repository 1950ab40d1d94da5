/* Head: a request without its body, as http1/heads.py's RequestHead, whose attributes it has.
 *
 * It comes with its environ, so few ask for the fields: they are taken out of the raw head when they do. */
#include "head.h"

#include <structmember.h>

#include "core.h"

static int traverse(Head *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->environ);
    Py_VISIT(self->dropped);
    Py_VISIT(self->fields);
    Py_VISIT(self->fields_of);
    return 0;
}

static int clear(Head *self) {
    Py_CLEAR(self->environ);
    Py_CLEAR(self->dropped);
    Py_CLEAR(self->fields);
    Py_CLEAR(self->fields_of);
    return 0;
}

static void dealloc(Head *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    Py_CLEAR(self->method);
    Py_CLEAR(self->target);
    Py_CLEAR(self->path);
    Py_CLEAR(self->query);
    Py_CLEAR(self->host);
    Py_CLEAR(self->content_length);
    Py_CLEAR(self->raw);
    Py_CLEAR(self->rest);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *get_fields(Head *self, void *unused) {
    if (self->fields == NULL) {
        PyObject *fields = PyObject_CallOneArg(self->fields_of, self->raw);
        if (fields == NULL)
            return NULL;
        Py_XSETREF(self->fields, fields);
    }
    return Py_NewRef(self->fields);
}

static int set_fields(Head *self, PyObject *fields, void *unused) {
    if (fields == NULL) {
        PyErr_SetString(PyExc_AttributeError, "fields can't be deleted");
        return -1;
    }
    Py_XSETREF(self->fields, Py_NewRef(fields));
    return 0;
}

/* RFC 9112 §6.3; a head with Transfer-Encoding is none of ours. */
static PyObject *get_has_body(Head *self, void *unused) {
    int has_body = self->content_length == Py_None ? 0 : PyObject_IsTrue(self->content_length);
    return has_body < 0 ? NULL : PyBool_FromLong(has_body);
}

static PyMemberDef members[] = {
    {"method", T_OBJECT_EX, offsetof(Head, method), READONLY},
    {"target", T_OBJECT_EX, offsetof(Head, target), READONLY},
    {"path", T_OBJECT_EX, offsetof(Head, path), READONLY},
    {"query", T_OBJECT_EX, offsetof(Head, query), READONLY},
    {"host", T_OBJECT_EX, offsetof(Head, host), READONLY},
    {"content_length", T_OBJECT_EX, offsetof(Head, content_length), READONLY},
    {"environ", T_OBJECT_EX, offsetof(Head, environ), 0},
    {"dropped", T_OBJECT_EX, offsetof(Head, dropped), READONLY},
    {"rest", T_OBJECT_EX, offsetof(Head, rest), READONLY},
    {"http11", T_BOOL, offsetof(Head, is_true), READONLY},
    {"keep_alive", T_BOOL, offsetof(Head, keep_alive), READONLY},
    {"expect_continue", T_BOOL, offsetof(Head, is_false), READONLY},
    {"chunked", T_BOOL, offsetof(Head, is_false), READONLY},
    {"tells_start", T_BOOL, offsetof(Head, is_false), READONLY},
    {NULL},
};

static PyGetSetDef getters[] = {
    {"fields", (getter)get_fields, (setter)set_fields},
    {"has_body", (getter)get_has_body},
    {NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The head of an ordinary request, with its environ. Made by OrdinaryHeads."},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_members, members},
    {Py_tp_getset, getters},
    {0, NULL},
};

PyType_Spec head_spec = {
    .name = "greenserve._core.Head",
    .basicsize = sizeof(Head),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
