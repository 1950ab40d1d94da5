/* OrdinaryHeads: reads the heads that need no thought, and makes their environ in the same pass.
 *
 * It knows the form of a head (RFC 9112 §2.1, §3, §5) and nothing of a setting. Python says which methods, characters,
 * field names and hosts are ordinary; it has found them so in a head that it took itself. Whatever else comes is left
 * to Python, which then takes the head from its beginning, so nothing here refuses a request or has an error text.
 *
 * Invariant: the first pass calls no Python and makes no object. Only the second does: a collection may run then, and
 * in it code that switches and changes the tables. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <structmember.h>

#include "core.h"
#include "head.h"
#include "names.h"

#define MOST_FIELDS 128
#define LONGEST_ESCAPED 1024 /* bytes of a path with escapes */
#define LONGEST_METHOD 32

enum { OF_PATH = 1, OF_QUERY = 2 };                           /* the classes of a character of the target */
enum { PLAIN, HOST, LENGTH, CONNECTION, DROPPED, KINDS };     /* what a field means; wsgi/environ/ordinary.py has the same */

typedef struct {
    PyObject_HEAD
    CoreState *state;
    PyObject *module; /* keeps the state alive */
    PyObject *fields_of;
    Names methods, fields, hosts;
    Py_ssize_t longest; /* bytes of a head */
    Py_ssize_t most_fields;
    char is_unknown; /* the last head was left to Python for a name or host that it may learn */
    unsigned char classes[256];
} OrdinaryHeads;

typedef struct {
    const unsigned char *text;
    size_t length;
} Slice;

typedef struct {
    PyObject *key; /* of environ, or the name of a field without one */
    Slice value;
    char is_dropped;
} Field;

/* What the first pass has found. */
typedef struct {
    PyObject *method, *host;
    Slice target, path, query;
    Field fields[MOST_FIELDS];
    Py_ssize_t count, dropped;
    const unsigned char *end; /* behind the head */
    int64_t content_length;   /* -1: none */
    char keep_alive;
    unsigned char decoded[LONGEST_ESCAPED]; /* the path, if it has escapes */
} Found;

/* The first byte that no field value has (RFC 9110 §5.5): a control but tab. DEL is left to Python. */
static const unsigned char *end_of_value(const unsigned char *at, const unsigned char *end) {
#ifdef __SSE2__
    const __m128i last_control = _mm_set1_epi8(0x1F), del = _mm_set1_epi8(0x7F);
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
        int stops = _mm_movemask_epi8(_mm_or_si128(is_control, _mm_cmpeq_epi8(bytes, del)));
        if (stops == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(stops);
        if (*at != '\t')
            return at;
        at++;
    }
#endif
    while (at < end && (*at == '\t' || (*at >= 0x20 && *at != 0x7F)))
        at++;
    return at;
}

static int is_blank(unsigned char c) {
    return c == ' ' || c == '\t';
}

static int hex_of(unsigned char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `word` is in lower case. */
static int is_word(Slice value, const char *word) {
    size_t i = 0;
    for (; i < value.length && word[i]; i++)
        if ((value.text[i] | 0x20) != (unsigned char)word[i])
            return 0;
    return i == value.length && !word[i];
}

static int64_t length_of(Slice value) {
    int64_t length = 0;
    if (value.length == 0 || value.length > 18)
        return -1;
    for (size_t i = 0; i < value.length; i++) {
        if (value.text[i] < '0' || value.text[i] > '9')
            return -1;
        length = length * 10 + (value.text[i] - '0');
    }
    return length;
}

/* A target in origin-form (RFC 9112 §3.2.1); return what is behind it, or NULL. The bytes end with a NUL. */
static const unsigned char *read_target(OrdinaryHeads *self, const unsigned char *at, Found *found) {
    const unsigned char *begin = at;
    unsigned char *out = found->decoded;
    int has_escapes = 0;
    if (*at != '/')
        return NULL;
    for (;;) {
        while (self->classes[*at] & OF_PATH)
            at++;
        if (*at != '%')
            break;
        if (!has_escapes) {
            if (at - begin > LONGEST_ESCAPED)
                return NULL;
            memcpy(out, begin, at - begin);
            out += at - begin;
            has_escapes = 1;
        }
        do { /* escapes, and what stands behind each */
            int high = hex_of(at[1]), low = high < 0 ? -1 : hex_of(at[2]);
            if (low < 0 || (high == 0 && low == 0) || out >= found->decoded + LONGEST_ESCAPED)
                return NULL;
            *out++ = high << 4 | low;
            at += 3;
            while (self->classes[*at] & OF_PATH) {
                if (out >= found->decoded + LONGEST_ESCAPED)
                    return NULL;
                *out++ = *at++;
            }
        } while (*at == '%');
        break;
    }
    found->path = has_escapes ? (Slice){found->decoded, out - found->decoded} : (Slice){begin, at - begin};
    found->query = (Slice){at, 0};
    if (*at == '?') {
        const unsigned char *query = ++at;
        while (self->classes[*at] & OF_QUERY)
            at++;
        found->query = (Slice){query, at - query};
    }
    found->target = (Slice){begin, at - begin};
    return at;
}

/* One field without its line end; return 0 if it is not ordinary. */
static int take_field(OrdinaryHeads *self, Slice name, Slice value, Found *found) {
    const Name *known = names_find(&self->fields, name.text, name.length);
    if (known == NULL) {
        self->is_unknown = 1;
        return 0;
    }
    switch (known->kind) {
    case HOST: {
        const Name *host = names_find(&self->hosts, value.text, value.length);
        if (host == NULL) {
            self->is_unknown = 1;
            return 0;
        }
        found->host = host->text;
        break;
    }
    case LENGTH:
        found->content_length = length_of(value);
        if (found->content_length < 0)
            return 0;
        break;
    case CONNECTION:
        if (is_word(value, "close"))
            found->keep_alive = 0;
        else if (!is_word(value, "keep-alive"))
            return 0;
        break;
    }
    Field *field = &found->fields[found->count++];
    field->is_dropped = known->kind == DROPPED;
    found->dropped += field->is_dropped;
    field->key = field->is_dropped ? known->text : known->key;
    field->value = value;
    return 1;
}

/* The first pass. The bytes end with a NUL. Return 0 if the head is not ordinary, or not all there. */
static int find_all(OrdinaryHeads *self, const unsigned char *data, size_t size, Found *found) {
    const unsigned char *at = data, *end = data + size;
    static const char version[] = " HTTP/1.1\r\n";
    const size_t longest_method = size < LONGEST_METHOD ? size : LONGEST_METHOD;
    const unsigned char *space = memchr(at, ' ', longest_method);
    const Name *method = space == NULL ? NULL : names_find(&self->methods, at, space - at);
    if (method == NULL)
        return 0;
    found->method = method->text;
    at = read_target(self, space + 1, found);
    if (at == NULL || (size_t)(end - at) < sizeof version - 1 || memcmp(at, version, sizeof version - 1) != 0)
        return 0;
    at += sizeof version - 1;
    while (*at != '\r') {
        const size_t left = end - at, longest = left < NAMES_LONGEST + 1 ? left : NAMES_LONGEST + 1;
        const unsigned char *name = at, *colon = memchr(at, ':', longest);
        if (colon == NULL || found->count == self->most_fields)
            return 0;
        for (at = colon + 1; is_blank(*at); at++)
            ;
        const unsigned char *value = at, *behind;
        at = end_of_value(at, end);
        if (at[0] != '\r' || at[1] != '\n')
            return 0;
        for (behind = at; behind > value && is_blank(behind[-1]); behind--)
            ;
        if (!take_field(self, (Slice){name, colon - name}, (Slice){value, behind - value}, found))
            return 0;
        at += 2;
    }
    found->end = at + 2;
    return at[1] == '\n' && found->host != NULL && found->end - data <= self->longest;
}

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
    head->target = head->path = head->query = head->raw = head->environ = head->fields = NULL;
    head->content_length = Py_NewRef(Py_None);
    head->dropped = Py_NewRef(Py_None);
    head->fields_of = Py_NewRef(self->fields_of);
    head->keep_alive = found->keep_alive;
    head->is_true = 1;
    head->is_false = 0;
    return head;
}

/* Return a Head, or NULL: with an exception, or without one if the head is left to Python. `bytes` are the data. */
static Head *make_head(OrdinaryHeads *self, PyObject *bytes, PyObject *base, PyObject *peer, PyObject *port,
                       Found *found) {
    const unsigned char *data = (unsigned char *)PyBytes_AS_STRING(bytes);
    const Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    found->host = NULL;
    found->count = found->dropped = 0;
    found->content_length = -1;
    found->keep_alive = 1;
    self->is_unknown = 0;
    if (!find_all(self, data, size, found))
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
        head->raw = found->end - data == size ? Py_NewRef(bytes)
                                              : PyBytes_FromStringAndSize((char *)data, found->end - data);
        int is_filled =
            head->environ == NULL || head->raw == NULL ? -1 : fill(head, &self->state->keys, found, peer, port);
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
    Found found;
    Head *head = make_head(self, args[0], args[1], args[2], args[3], &found);
    if (head == NULL)
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    const char *end = PyBytes_AS_STRING(args[0]) + PyBytes_GET_SIZE(args[0]);
    PyObject *rest = PyBytes_FromStringAndSize((char *)found.end, end - (char *)found.end);
    PyObject *pair = rest == NULL ? NULL : PyTuple_Pack(2, head, rest);
    Py_DECREF(head);
    Py_XDECREF(rest);
    return pair;
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
    {NULL},
};

static PyMethodDef methods[] = {
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL,
     "take(data, environ, peer, peer_port): a Head and the bytes behind it, or None: Python is to read it."},
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
