/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz target: the text of a unit file. The first byte chooses the type of the unit. Whatever the text,
 * loading gives a unit; every value can be shown, every problem printed; and a unit without errors keeps the
 * promises of unit.h.
 */
#include "fuzz.h"
#include "unit/load.h"

static const char *const names[] = {"web.container", "w@i-x.container", "w@.container", "host.service",
    "data.volume", "some.target", "some.pod"};

static void check_promises(const struct unit *u) {
    if (u->has_errors)
        return;
    if (u->type == UNIT_CONTAINER) {
        const struct container_section *c = u->container;
        expect(c && !c->image != !c->rootfs);
        expect(c->container_name && *c->container_name);
        for (size_t i = 0; i < c->n_volumes; i++) {
            expect(c->volumes[i].target && c->volumes[i].target[0] == '/');
            expect(!strstr(c->volumes[i].target, "/../"));
            expect((c->volumes[i].kind == VOLUME_HOST_PATH) ==
                   (c->volumes[i].source && c->volumes[i].source[0] == '/'));
        }
        expect(u->service.kill_mode == KILL_MIXED || u->service.kill_mode == KILL_CONTROL_GROUP);
    }
    if (u->type == UNIT_SERVICE)
        expect(u->service.start.count > 0 || u->service.type == SERVICE_ONESHOT);
    for (size_t i = 0; i < u->service.start.count; i++)
        expect(u->service.start.commands[i].path && u->service.start.commands[i].argv);
    expect(u->service.restart_sec <= u->service.restart_max_delay);
    for (size_t k = 0; k < _DEP_COUNT; k++)
        STRV_FOREACH (name, u->unit.dependencies[k])
            expect(**name && !strchr(*name, '/') && strchr(*name, '.'));
}

static void show_all(const struct unit *u) {
    const struct key_info *keys;
    size_t n = unit_keys(&keys);
    for (size_t i = 0; i < n; i++) {
        _cleanup_strv_free_ char **values = NULL;
        expect(unit_show_key(u, keys[i].section, keys[i].name, &values) == 0);
    }
    for (const struct problem *p = u->problems; p; p = p->next) {
        _cleanup_free_ char *text = problem_format(p);
        expect(text && (p->level != PROBLEM_ERROR || u->has_errors));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct unit_environment env = {.runtime_dir = "/run"};
    struct unit *u = NULL;
    struct error e = {0};

    if (size == 0)
        return 0;
    const char *name = names[data[0] % ARRAY_SIZE(names)];
    expect(unit_parse_text(&env, name, "/etc/units/x", (const char *)data + 1, size - 1, &u, &e) >= 0);
    show_all(u);
    check_promises(u);
    unit_free(u);
    return 0;
}
