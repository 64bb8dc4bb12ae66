/* ring.c: the fan-out loop with one system call for hundreds of sends (io_uring).
 *
 * Rules. Optional: built where there is a compiler, used where the kernel allows io_uring, and no
 * more than a faster `shard.writing.write_some`, which is the reference; the same tests run both.
 * It knows descriptors and bytes. Every send is MSG_DONTWAIT, so it is done or refused while it is
 * submitted, nothing is ever left to the kernel's workers, and the bytes are ours again on return.
 *
 * Danger: a submission goes on behind a send that was cut short. So it names no descriptor twice:
 * the second send would follow half of the first.
 *
 * What it saves is the way into the kernel and back, each time; the send itself is the same.
 * Raw system calls and the kernel's own header, because liburing would be one more thing to have.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef IORING_SETUP_SUBMIT_ALL /* Linux 5.18 */
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER /* Linux 6.0 */
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif

enum {
    ENTRIES = 512,
    FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL,
    /* One mapping for both rings, and by the second a kernel that knows IORING_OP_SEND (5.6). */
    FEATURES = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_CUR_PERSONALITY,
};

struct frame {
    const char *data;
    size_t size;
};

typedef struct {
    PyObject_HEAD
    int ring;
    char *rings; /* submission and completion ring, one mapping */
    size_t rings_bytes;
    struct io_uring_sqe *sqes;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_cqe *cqes;
    int fds[ENTRIES];
    const struct frame *frames[ENTRIES];
    long results[ENTRIES]; /* bytes taken, or -errno */
    struct frame parts[ENTRIES];
    unsigned submission, *seen, seen_size; /* seen[fd]: the last submission that named it */
} Ring;

static int enter(Ring *self, unsigned submit, unsigned complete) {
    unsigned flags = complete ? IORING_ENTER_GETEVENTS : 0;
    return (int)syscall(SYS_io_uring_enter, self->ring, submit, complete, flags, NULL, 0);
}

/* ---- one batch: needs no interpreter ---- */

static void prepare(Ring *self, unsigned n) {
    unsigned tail = *self->sq_tail, mask = *self->sq_mask;
    for (unsigned i = 0; i < n; i++) {
        unsigned slot = (tail + i) & mask;
        self->sqes[slot] = (struct io_uring_sqe){
            .opcode = IORING_OP_SEND, .fd = self->fds[i],
            .addr = (uintptr_t)self->frames[i]->data, .len = (unsigned)self->frames[i]->size,
            .msg_flags = FLAGS, .user_data = i};
        self->sq_array[slot] = slot;
    }
    __atomic_store_n(self->sq_tail, tail + n, __ATOMIC_RELEASE);
}

/* Take the completions that are there; how many. */
static unsigned reap(Ring *self) {
    unsigned head = *self->cq_head, mask = *self->cq_mask;
    unsigned tail = __atomic_load_n(self->cq_tail, __ATOMIC_ACQUIRE), n = tail - head;
    for (; head != tail; head++) {
        const struct io_uring_cqe *done = &self->cqes[head & mask];
        self->results[done->user_data] = done->res;
    }
    __atomic_store_n(self->cq_head, tail, __ATOMIC_RELEASE);
    return n;
}

/* Send to the first `n` descriptors of `fds`; `results` says what became of it. */
static void send_batch(Ring *self, unsigned n) {
    unsigned submitted = 0, reaped = 0;
    prepare(self, n);
    while (submitted < n) {
        int took = enter(self, n - submitted, 0);
        if (took > 0) submitted += (unsigned)took;
        else if (took == 0 || errno != EINTR) break;
    }
    while (reaped += reap(self), reaped < submitted) enter(self, 0, submitted - reaped);
    if (submitted == n) return;
    /* The kernel is out of memory for requests: withdraw the rest, and send it as anyone would. */
    __atomic_store_n(self->sq_tail, *self->sq_tail - (n - submitted), __ATOMIC_RELEASE);
    for (unsigned i = submitted; i < n; i++) {
        ssize_t sent = send(self->fds[i], self->frames[i]->data, self->frames[i]->size, FLAGS);
        self->results[i] = sent < 0 ? -errno : sent;
    }
}

/* ---- Python ---- */

/* Whether a descriptor was named in this submission already; it is from now on. -1: no memory. */
static int again(Ring *self, int fd) {
    if (fd < 0) return 0; /* the kernel says what is wrong with it */
    if ((unsigned)fd >= self->seen_size) {
        unsigned size = (unsigned)fd + 4096;
        unsigned *seen = PyMem_RawRealloc(self->seen, size * sizeof *seen);
        if (!seen) return PyErr_NoMemory(), -1;
        memset(seen + self->seen_size, 0, (size - self->seen_size) * sizeof *seen);
        self->seen = seen;
        self->seen_size = size;
    }
    if (self->seen[fd] == self->submission) return 1;
    self->seen[fd] = self->submission;
    return 0;
}

/* Add the descriptors of `fds` behind the first `n`: how many there are then; `n` where they do not
 * fit or one is named already, for it may be half written by then; -1 with an exception. */
static int collect(Ring *self, int n, PyObject *fds, const struct frame *frame) {
    PyObject *iterator = PyObject_GetIter(fds), *item;
    int at = n, repeated = 0;
    if (!iterator) return -1;
    while (!repeated && (item = PyIter_Next(iterator))) {
        long fd = PyLong_AsLong(item);
        Py_DECREF(item);
        if (fd == -1 && PyErr_Occurred()) break;
        if (fd != (int)fd) {
            PyErr_SetString(PyExc_OverflowError, "a descriptor is an int");
            break;
        }
        repeated = at == ENTRIES || (again(self, (int)fd) && n > 0);
        if (repeated) break;
        self->fds[at] = (int)fd;
        self->frames[at++] = frame;
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred()) return -1;
    return repeated ? n : at;
}

/* Append (fd, result) for each send that did not take all bytes; -1 with an exception. */
static int report(Ring *self, int n, PyObject *unsent) {
    for (int i = 0; i < n; i++) {
        if (self->results[i] == (long)self->frames[i]->size) continue;
        long part = self->frames[i] - self->parts;
        PyObject *one = Py_BuildValue("(lil)", part, self->fds[i], self->results[i]);
        if (!one || PyList_Append(unsent, one)) {
            Py_XDECREF(one);
            return -1;
        }
        Py_DECREF(one);
    }
    return 0;
}

PyDoc_STRVAR(write_some_doc, "As shard.writing.write_some.");

static PyObject *write_some(Ring *self, PyObject *parts) {
    if (!PyList_Check(parts)) return PyErr_SetString(PyExc_TypeError, "parts are a list"), NULL;
    if (!++self->submission) { /* after four billion of them: begin anew */
        memset(self->seen, 0, self->seen_size * sizeof *self->seen);
        self->submission = 1;
    }
    int n = 0, done = 0, most = (int)Py_MIN(PyList_GET_SIZE(parts), ENTRIES);
    for (; done < most; done++) {
        PyObject *fds, *data;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(parts, done), "OS:write_some", &fds, &data))
            return NULL;
        self->parts[done] = (struct frame){PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data)};
        int with = collect(self, n, fds, &self->parts[done]);
        if (with < 0) return NULL;
        if (with == n) break;
        n = with;
    }
    if (!done && most) return PyErr_SetString(PyExc_ValueError, "a part is 1 to 512 sends"), NULL;
    Py_BEGIN_ALLOW_THREADS
    send_batch(self, (unsigned)n);
    Py_END_ALLOW_THREADS
    PyObject *unsent = PyList_New(0);
    if (!unsent || report(self, n, unsent)) {
        Py_XDECREF(unsent);
        return NULL;
    }
    return Py_BuildValue("(iN)", done, unsent);
}

/* A ring of this process; -1 with errno. Older kernels do not know the flags, and need none. */
static int set_up(struct io_uring_params *params) {
    unsigned wanted = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER;
    *params = (struct io_uring_params){.flags = wanted};
    int ring = (int)syscall(SYS_io_uring_setup, ENTRIES, params);
    if (ring >= 0 || errno != EINVAL) return ring;
    *params = (struct io_uring_params){0};
    return (int)syscall(SYS_io_uring_setup, ENTRIES, params);
}

static int map_rings(Ring *self, const struct io_uring_params *params) {
    size_t sq = params->sq_off.array + params->sq_entries * sizeof(unsigned);
    size_t cq = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    int access = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE;
    self->rings_bytes = sq > cq ? sq : cq;
    char *rings = mmap(NULL, self->rings_bytes, access, how, self->ring, IORING_OFF_SQ_RING);
    if (rings == MAP_FAILED) return -1;
    self->rings = rings;
    void *sqes = mmap(NULL, ENTRIES * sizeof *self->sqes, access, how, self->ring, IORING_OFF_SQES);
    if (sqes == MAP_FAILED) return -1;
    self->sqes = sqes;
    self->sq_tail = (unsigned *)(rings + params->sq_off.tail);
    self->sq_mask = (unsigned *)(rings + params->sq_off.ring_mask);
    self->sq_array = (unsigned *)(rings + params->sq_off.array);
    self->cq_head = (unsigned *)(rings + params->cq_off.head);
    self->cq_tail = (unsigned *)(rings + params->cq_off.tail);
    self->cq_mask = (unsigned *)(rings + params->cq_off.ring_mask);
    self->cqes = (struct io_uring_cqe *)(rings + params->cq_off.cqes);
    return 0;
}

static PyObject *ring_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *none[] = {NULL};
    struct io_uring_params params;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Ring", none)) return NULL;
    Ring *self = (Ring *)type->tp_alloc(type, 0);
    if (!self) return NULL;
    self->ring = set_up(&params);
    if (self->ring >= 0 && (params.features & FEATURES) != FEATURES) {
        errno = ENOSYS;
    } else if (self->ring >= 0 && !map_rings(self, &params)) {
        return (PyObject *)self;
    }
    PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(self);
    return NULL;
}

static void ring_dealloc(Ring *self) {
    PyTypeObject *type = Py_TYPE(self);
    if (self->sqes) munmap(self->sqes, ENTRIES * sizeof *self->sqes);
    if (self->rings) munmap(self->rings, self->rings_bytes);
    if (self->ring >= 0) close(self->ring);
    PyMem_RawFree(self->seen);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"write_some", (PyCFunction)write_some, METH_O, write_some_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A submission ring. Belongs to the process that makes it. Raises OSError."},
    {Py_tp_new, ring_new},
    {Py_tp_dealloc, ring_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"shard.ring.Ring", sizeof(Ring), 0, Py_TPFLAGS_DEFAULT, slots};

static int fill_module(PyObject *module) {
    PyObject *type = PyType_FromSpec(&spec);
    int failed = !type || PyModule_AddObjectRef(module, "Ring", type);
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "shard.ring", "The fan-out loop through io_uring.", 0, NULL, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_ring(void) { return PyModuleDef_Init(&module); }
