/* OrdinaryHeads: reads the heads that need no thought, and makes their environ in the same pass.
 *
 * It knows the form of a head (RFC 9112 §2.1, §3, §5) and nothing of a setting. Python says which methods, characters,
 * field names and hosts are ordinary; it has found them so in a head that it took itself. Whatever else comes is left
 * to Python, which then takes the head from its beginning, so nothing here refuses a request or has an error text.
 *
 * A second pass makes the objects. A collection may run then, and in it code that switches and changes the tables: so
 * what the first pass has found in them is held before. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "head.h"
#include "ordinary_heads.h"
#include "sockets.h"

#define RECEIVED_AT_ONCE (16 * 1024) /* bytes; what a pipelining client may send ahead is bounded by it */

static PyObject *text_of(Slice slice) {
    return PyUnicode_DecodeLatin1((const char *)slice.text, slice.length, NULL);
}

static int put(PyObject *environ, PyObject *key, Slice value) {
    PyObject *text = text_of(value);
    int result = text == NULL ? -1 : PyDict_SetItem(environ, key, text);
    Py_XDECREF(text);
    return result;
}

static int put_dropped(Head *head, Field *field) {
    PyObject *value = text_of(field->value);
    PyObject *pair = value == NULL ? NULL : PyTuple_Pack(2, field->key, value);
    int result = pair == NULL ? -1 : PyList_Append(head->dropped, pair);
    Py_XDECREF(value);
    Py_XDECREF(pair);
    return result;
}

/* The second pass. Return 1, 0 if a key would be there twice, -1 with an exception. */
static int fill(Head *head, const Keys *keys, Found *found, PyObject *peer, PyObject *port) {
    PyObject *environ = head->environ;
    if ((head->target = text_of(found->target)) == NULL || (head->query = text_of(found->query)) == NULL)
        return -1;
    int is_whole_path = found->path.text == found->target.text && found->path.length == found->target.length;
    head->path = is_whole_path ? Py_NewRef(head->target) : text_of(found->path);
    if (head->path == NULL)
        return -1;
    if (found->content_length >= 0) {
        Py_SETREF(head->content_length, PyLong_FromLongLong(found->content_length));
        if (head->content_length == NULL)
            return -1;
    }
    if (PyDict_SetItem(environ, keys->method, head->method) < 0 ||
        PyDict_SetItem(environ, keys->path, head->path) < 0 ||
        PyDict_SetItem(environ, keys->query, head->query) < 0 ||
        PyDict_SetItem(environ, keys->raw_uri, head->target) < 0 ||
        PyDict_SetItem(environ, keys->request_uri, head->target) < 0 ||
        PyDict_SetItem(environ, keys->peer, peer) < 0 || PyDict_SetItem(environ, keys->peer_port, port) < 0)
        return -1;
    Py_ssize_t size = PyDict_Size(environ) + found->count - found->dropped;
    if (found->dropped) {
        Py_SETREF(head->dropped, PyList_New(0));
        if (head->dropped == NULL)
            return -1;
    }
    for (Py_ssize_t i = 0; i < found->count; i++) {
        Field *field = &found->fields[i];
        if ((field->is_dropped ? put_dropped(head, field) : put(environ, field->key, field->value)) < 0)
            return -1;
    }
    return PyDict_Size(environ) == size;
}

/* A head with what needs no object of its own; it takes over the reference to the host. */
static Head *new_head(OrdinaryHeads *self, Found *found) {
    Head *head = PyObject_GC_New(Head, self->state->head_type);
    if (head == NULL)
        return NULL;
    head->method = Py_NewRef(found->method);
    head->host = found->host;
    head->target = head->path = head->query = head->raw = head->rest = head->environ = head->fields = NULL;
    head->content_length = Py_NewRef(Py_None);
    head->dropped = Py_NewRef(Py_None);
    head->fields_of = Py_NewRef(self->fields_of);
    head->keep_alive = found->keep_alive;
    head->is_true = 1;
    head->is_false = 0;
    return head;
}

/* Return a Head, or NULL: with an exception, or without one if the head is left to Python. The data end with a NUL. */
static Head *make_head(OrdinaryHeads *self, const unsigned char *data, Py_ssize_t size, PyObject *base, PyObject *peer,
                       PyObject *port) {
    Found all, *found = &all;
    if (!find_head(self, data, size, found))
        return NULL;
    /* From here on code may run that empties the tables. */
    Py_INCREF(found->host);
    for (Py_ssize_t i = 0; i < found->count; i++)
        Py_INCREF(found->fields[i].key);
    Head *head = new_head(self, found);
    if (head == NULL)
        Py_DECREF(found->host);
    else {
        head->environ = PyDict_Copy(base);
        head->raw = PyBytes_FromStringAndSize((char *)data, found->end - data);
        head->rest = PyBytes_FromStringAndSize((char *)found->end, data + size - found->end);
        int is_made = head->environ != NULL && head->raw != NULL && head->rest != NULL;
        int is_filled = is_made ? fill(head, &self->state->keys, found, peer, port) : -1;
        PyObject_GC_Track(head);
        if (is_filled <= 0)
            Py_CLEAR(head);
    }
    for (Py_ssize_t i = 0; i < found->count; i++)
        Py_DECREF(found->fields[i].key);
    return head;
}

static PyObject *take(OrdinaryHeads *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 4 || !PyBytes_CheckExact(args[0]) || !PyDict_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "take(data: bytes, environ: dict, peer: str, peer_port: str)");
        return NULL;
    }
    const unsigned char *data = (unsigned char *)PyBytes_AS_STRING(args[0]);
    Head *head = make_head(self, data, PyBytes_GET_SIZE(args[0]), args[1], args[2], args[3]);
    return head != NULL ? (PyObject *)head : PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *receive(OrdinaryHeads *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 4 || !PyDict_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "receive(fd: int, environ: dict, peer: str, peer_port: str)");
        return NULL;
    }
    const int fd = descriptor_of(args[0]);
    if (fd < -1)
        return NULL;
    unsigned char data[RECEIVED_AT_ONCE + 1];
    const Py_ssize_t size = self->received = receive_now(fd, data, RECEIVED_AT_ONCE);
    if (size < 0)
        return NULL;
    data[size] = 0;
    Head *head = size == 0 ? NULL : make_head(self, data, size, args[1], args[2], args[3]);
    if (head != NULL || PyErr_Occurred())
        return (PyObject *)head;
    return PyBytes_FromStringAndSize((char *)data, size);
}

static PyObject *learn_field(OrdinaryHeads *self, PyObject *args) {
    PyObject *name, *key;
    unsigned char kind;
    if (!PyArg_ParseTuple(args, "UUb", &name, &key, &kind))
        return NULL;
    if (kind >= KINDS) {
        PyErr_SetString(PyExc_ValueError, "an unknown kind of field");
        return NULL;
    }
    return names_add(&self->fields, name, key, kind) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *learn_host(OrdinaryHeads *self, PyObject *host) {
    if (!PyUnicode_Check(host)) {
        PyErr_SetString(PyExc_TypeError, "a host is a str");
        return NULL;
    }
    return names_add(&self->hosts, host, NULL, PLAIN) < 0 ? NULL : Py_NewRef(Py_None);
}

static int learn_methods(OrdinaryHeads *self, PyObject *methods) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(methods); i++) {
        PyObject *method = PyTuple_GET_ITEM(methods, i);
        if (!PyUnicode_Check(method)) {
            PyErr_SetString(PyExc_TypeError, "a method is a str");
            return -1;
        }
        if (names_add(&self->methods, method, NULL, PLAIN) < 0)
            return -1;
    }
    return 0;
}

static PyObject *new_table(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"classes", "methods", "longest", "most_fields", "seed", "fields_of", NULL};
    Py_buffer classes;
    PyObject *methods, *fields_of;
    Py_ssize_t longest, most_fields;
    unsigned long long seed;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*O!nnKO", names, &classes, &PyTuple_Type, &methods, &longest,
                                     &most_fields, &seed, &fields_of))
        return NULL;
    OrdinaryHeads *self = NULL;
    if (classes.len != 256) {
        PyErr_SetString(PyExc_ValueError, "classes are 256 bytes");
        goto end;
    }
    self = (OrdinaryHeads *)type->tp_alloc(type, 0);
    if (self == NULL)
        goto end;
    self->module = Py_XNewRef(PyType_GetModule(type));
    self->state = self->module == NULL ? NULL : PyModule_GetState(self->module);
    self->fields_of = Py_NewRef(fields_of);
    self->longest = longest;
    self->most_fields = most_fields < MOST_FIELDS ? most_fields : MOST_FIELDS;
    memcpy(self->classes, classes.buf, 256);
    self->classes[0] = 0; /* what ends every search */
    if (self->state == NULL || names_init(&self->methods, seed) < 0 || names_init(&self->fields, seed) < 0 ||
        names_init(&self->hosts, seed) < 0 || learn_methods(self, methods) < 0)
        Py_CLEAR(self);
end:
    PyBuffer_Release(&classes);
    return (PyObject *)self;
}

static int traverse(OrdinaryHeads *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->module);
    Py_VISIT(self->fields_of);
    return 0;
}

static int clear(OrdinaryHeads *self) {
    Py_CLEAR(self->fields_of);
    return 0;
}

static void dealloc(OrdinaryHeads *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    names_free(&self->methods);
    names_free(&self->fields);
    names_free(&self->hosts);
    Py_CLEAR(self->module);
    type->tp_free(self);
    Py_DECREF(type);
}

int keys_init(Keys *keys) {
    keys->method = PyUnicode_InternFromString("REQUEST_METHOD");
    keys->path = PyUnicode_InternFromString("PATH_INFO");
    keys->query = PyUnicode_InternFromString("QUERY_STRING");
    keys->raw_uri = PyUnicode_InternFromString("RAW_URI");
    keys->request_uri = PyUnicode_InternFromString("REQUEST_URI");
    keys->peer = PyUnicode_InternFromString("REMOTE_ADDR");
    keys->peer_port = PyUnicode_InternFromString("REMOTE_PORT");
    return PyErr_Occurred() ? -1 : 0;
}

void keys_clear(Keys *keys) {
    Py_CLEAR(keys->method);
    Py_CLEAR(keys->path);
    Py_CLEAR(keys->query);
    Py_CLEAR(keys->raw_uri);
    Py_CLEAR(keys->request_uri);
    Py_CLEAR(keys->peer);
    Py_CLEAR(keys->peer_port);
}

static PyMemberDef members[] = {
    {"is_unknown", T_BOOL, offsetof(OrdinaryHeads, is_unknown), READONLY},
    {"received", T_PYSSIZET, offsetof(OrdinaryHeads, received), READONLY},
    {NULL},
};

static PyMethodDef methods[] = {
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL,
     "take(data, environ, peer, peer_port): a Head, or None: Python is to read it."},
    {"receive", (PyCFunction)(void (*)(void))receive, METH_FASTCALL,
     "receive(fd, environ, peer, peer_port): a Head, or what has come, which Python is to read; b\"\" at the end."},
    {"learn_field", (PyCFunction)learn_field, METH_VARARGS,
     "learn_field(name, key, kind): a field of this name, spelled so, is ordinary."},
    {"learn_host", (PyCFunction)learn_host, METH_O, "learn_host(host): a Host field of this value is ordinary."},
    {NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "OrdinaryHeads(classes, methods, longest, most_fields, seed, fields_of): see wsgi/environ/ordinary.py."},
    {Py_tp_new, new_table},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_members, members},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec ordinary_heads_spec = {
    .name = "greenserve._core.OrdinaryHeads",
    .basicsize = sizeof(OrdinaryHeads),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
