/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/stream.h"

#include "base/fd.h"
#include "base/str.h"

int fifo_identify(int fd, struct fifo_id *ret) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return negative_errno();
    if (!S_ISFIFO(st.st_mode))
        return -EINVAL;
    *ret = (struct fifo_id){.device = st.st_dev, .inode = st.st_ino};
    return 0;
}

/* Values come from unit names and the like; one with a newline would end the field, so it is cut there. */
static void put_field(struct strbuf *b, const char *name, const char *value) {
    if (isempty(value))
        return;
    strbuf_puts(b, name);
    strbuf_append(b, value, strcspn(value, "\n"));
    strbuf_putc(b, '\n');
}

int stream_set_facts(struct stream *s, const struct stream_facts *facts) {
    _cleanup_strbuf_ struct strbuf b = {};
    struct log_file file = {.fd = -1};

    put_field(&b, "SYSLOG_IDENTIFIER=", facts->identifier ? facts->identifier : facts->unit);
    put_field(&b, "UNIT=", facts->unit);
    put_field(&b, "CONTAINER_NAME=", facts->container);
    put_field(&b, "INVOCATION_ID=", facts->invocation);
    size_t length = b.length;
    _cleanup_free_ char *fields = strbuf_take(&b);
    _cleanup_free_ char *invocation = strdup(facts->invocation ? facts->invocation : "");
    if (!fields || !invocation)
        return -ENOMEM;

    if (!streq_ptr(s->unit, facts->unit)) {
        int r = log_file_init(&file, facts->unit);
        if (r < 0)
            return r;
        r = free_and_strdup(&s->unit, facts->unit);
        if (r < 0) {
            log_file_done(&file);
            return r;
        }
        log_file_done(&s->file);
        s->file = file;
        list_init(&s->file.open_link);
    }
    free(s->invocation);
    s->invocation = TAKE_PTR(invocation);
    free(s->fields);
    s->fields = TAKE_PTR(fields);
    s->fields_length = length;
    s->priority = facts->priority;
    return 0;
}

int stream_new(uint64_t id, int fifo, const struct stream_facts *facts, struct stream **ret) {
    _cleanup_close_ int owned = fifo;
    struct fifo_id fifo_id;

    int r = fifo_identify(owned, &fifo_id);
    if (r >= 0)
        r = fd_set_nonblock(owned, true);
    if (r < 0)
        return r;
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    list_init(&s->link);
    list_init(&s->ready);
    list_init(&s->file.open_link);
    s->file.fd = -1;
    s->id = id;
    s->fifo = TAKE_FD(owned);
    s->fifo_id = fifo_id;
    s->retry_at = USEC_INFINITY;

    r = stream_set_facts(s, facts);
    if (r < 0) {
        stream_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void stream_free(struct stream *s) {
    list_remove(&s->link);
    list_remove(&s->ready);
    log_file_done(&s->file);
    close_and_reset(&s->fifo);
    free(s->unit);
    free(s->invocation);
    free(s->fields);
    free(s);
}
