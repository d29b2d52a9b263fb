/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Built-in settings, and their way from the worker that reads davit.conf to davitd. */
#include "manager/settings.h"

#include "base/log.h"
#include "base/wire.h"
#include "image/driver.h"
#include "image/memory.h"

#define WIRE_VERSION 4

void settings_init(struct settings *s) {
    *s = (struct settings){
        .log_level = LOG_INFO,
        .log_sink = strdup("auto"),
        .storage_driver = strdup(STORAGE_DRIVER_DEFAULT),
        .image_limit = strdup(""),
        .image_unused_for = 24 * 3600 * USEC_PER_SEC,
        .image_gc = true,
        .image_memory = IMAGE_MEMORY_DEFAULT,
        .log_max_size = UINT64_C(16) * 1024 * 1024,
        .log_max_files = 5,
        .default_timeout_start = 90 * USEC_PER_SEC,
        .default_timeout_stop = 90 * USEC_PER_SEC,
        .default_restart_sec = 100 * USEC_PER_MSEC,
        .watchdog_reboot_timeout = 10 * 60 * USEC_PER_SEC,
        /* The range that systemd sets aside for containers: https://systemd.io/UIDS-GIDS */
        .userns_base = 524288,
        .userns_size = 65536,
        .userns_count = 16384,
        .max_units = 4096,
        .max_clients_per_uid = 64,
        .default_target = strdup("default.target"),
    };
}

void settings_done(struct settings *s) {
    strv_free(s->unit_path);
    strv_free(s->image_roots);
    free(s->log_sink);
    free(s->storage_driver);
    free(s->image_limit);
    free(s->default_target);
    *s = (struct settings){};
}

int settings_encode(const struct settings *s, const struct error *e, void **ret, size_t *ret_size) {
    struct wire_writer w = {};

    wire_put_u32(&w, WIRE_VERSION);
    wire_put_u32(&w, e ? (uint32_t)e->number : 0);
    if (e && e->number != 0) {
        wire_put_string(&w, e->step);
        wire_put_string(&w, e->text);
    } else {
        wire_put_strv(&w, s->unit_path);
        wire_put_strv(&w, s->image_roots);
        wire_put_string(&w, s->storage_driver);
        wire_put_string(&w, s->image_limit);
        wire_put_u64(&w, s->image_unused_for);
        wire_put_u8(&w, s->image_gc);
        wire_put_u8(&w, s->image_keep_archives);
        wire_put_u64(&w, s->image_memory);
        wire_put_u32(&w, (uint32_t)s->log_level);
        wire_put_string(&w, s->log_sink);
        wire_put_u64(&w, s->log_max_size);
        wire_put_u32(&w, s->log_max_files);
        wire_put_u8(&w, s->strict);
        wire_put_u8(&w, s->allow_missing_limits);
        wire_put_u8(&w, s->keep_trying);
        wire_put_u32(&w, s->start_concurrency);
        wire_put_u64(&w, s->default_timeout_start);
        wire_put_u64(&w, s->default_timeout_stop);
        wire_put_u64(&w, s->default_restart_sec);
        wire_put_u64(&w, s->shutdown_timeout);
        wire_put_u64(&w, s->watchdog_timeout);
        wire_put_u64(&w, s->watchdog_reboot_timeout);
        wire_put_u64(&w, s->watchdog_kexec_timeout);
        wire_put_u32(&w, s->userns_base);
        wire_put_u32(&w, s->userns_size);
        wire_put_u32(&w, s->userns_count);
        wire_put_u32(&w, s->max_units);
        wire_put_u32(&w, s->max_clients_per_uid);
        wire_put_string(&w, s->default_target);
    }
    if (strbuf_failed(&w.out)) {
        wire_writer_free(&w);
        return -ENOMEM;
    }
    *ret_size = w.out.length;
    *ret = strbuf_take(&w.out);
    return *ret ? 0 : -ENOMEM;
}

static int decode_error(struct wire_reader *r, uint32_t number, struct error *e) {
    _cleanup_free_ char *step = wire_get_string(r), *text = wire_get_string(r);

    if (wire_reader_finish(r) < 0 || !text || number > 4095)
        return error_set(e, EBADMSG, "unreadable answer of the configuration reader");
    if (!isempty(step))
        error_set_step(e, step);
    return error_set(e, (int)number, "%s", text);
}

int settings_decode(const void *data, size_t n, struct settings *ret, struct error *e) {
    struct wire_reader r = {.data = data, .length = n};

    if (wire_get_u32(&r) != WIRE_VERSION)
        return error_set(e, EBADMSG, "unreadable answer of the configuration reader");
    uint32_t number = wire_get_u32(&r);
    if (number != 0)
        return decode_error(&r, number, e);

    struct settings s = {
        .unit_path = wire_get_strv(&r),
        .image_roots = wire_get_strv(&r),
    };
    s.storage_driver = wire_get_string(&r);
    s.image_limit = wire_get_string(&r);
    s.image_unused_for = wire_get_u64(&r);
    s.image_gc = wire_get_u8(&r);
    s.image_keep_archives = wire_get_u8(&r);
    s.image_memory = wire_get_u64(&r);
    s.log_level = (int)wire_get_u32(&r);
    s.log_sink = wire_get_string(&r);
    s.log_max_size = wire_get_u64(&r);
    s.log_max_files = wire_get_u32(&r);
    s.strict = wire_get_u8(&r);
    s.allow_missing_limits = wire_get_u8(&r);
    s.keep_trying = wire_get_u8(&r);
    s.start_concurrency = wire_get_u32(&r);
    s.default_timeout_start = wire_get_u64(&r);
    s.default_timeout_stop = wire_get_u64(&r);
    s.default_restart_sec = wire_get_u64(&r);
    s.shutdown_timeout = wire_get_u64(&r);
    s.watchdog_timeout = wire_get_u64(&r);
    s.watchdog_reboot_timeout = wire_get_u64(&r);
    s.watchdog_kexec_timeout = wire_get_u64(&r);
    s.userns_base = wire_get_u32(&r);
    s.userns_size = wire_get_u32(&r);
    s.userns_count = wire_get_u32(&r);
    s.max_units = wire_get_u32(&r);
    s.max_clients_per_uid = wire_get_u32(&r);
    s.default_target = wire_get_string(&r);
    if (wire_reader_finish(&r) < 0 || !s.log_sink || !s.storage_driver || !s.default_target ||
        s.userns_size == 0) {
        settings_done(&s);
        return error_set(e, EBADMSG, "unreadable answer of the configuration reader");
    }
    *ret = s;
    return 0;
}
