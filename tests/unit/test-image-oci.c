/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image/oci.h: documents that outsiders wrote, good and bad. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "image/oci.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "\"digest\":\"sha256:" HEX "\""
#define CONFIG "\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG "\"," DIGEST ",\"size\":2}"
#define LAYER "{\"mediaType\":\"" OCI_MEDIA_LAYER "\"," DIGEST ",\"size\":3}"
#define MANIFEST(rest) "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]" rest "}"
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" HEX "\"]}"

static void a_manifest_is_read(void **state _unused_) {
    static const char text[] = MANIFEST(",\"annotations\":{\"b\":\"2\",\"a\":\"1=1\"}");
    _cleanup_(oci_manifest_done) struct oci_manifest m = {};
    enum oci_kind kind = OCI_INDEX;
    struct error e = {};

    if (oci_manifest_parse(text, sizeof(text) - 1, "m", &m, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(m.n_layers, 1);
    assert_int_equal(m.config.size, 2);
    assert_int_equal(m.layers[0].size, 3);
    assert_string_equal(m.layers[0].digest, "sha256:" HEX);
    assert_string_equal(m.annotations[0], "a=1=1");
    assert_string_equal(m.annotations[1], "b=2");
    assert_int_equal(oci_kind_of(text, sizeof(text) - 1, "m", &kind, &e), 0);
    assert_int_equal(kind, OCI_MANIFEST);
}

static void bad_manifests_are_refused(void **state _unused_) {
    static const struct {
        const char *text, *part;
    } table[] = {
        {"", "m: line"},
        {"[]", "not a JSON object"},
        {"{}", "neither an index nor"},
        {"{\"schemaVersion\":2}", "neither an index nor"},
        {MANIFEST(",\"manifests\":[]"), "like an index and layers or config"},
        {MANIFEST(",\"layers\":[]"), "duplicate"},
        {MANIFEST(",\"mediaType\":\"" OCI_MEDIA_INDEX "\""), "has the members of a manifest"},
        {MANIFEST(",\"mediaType\":7"), "\"mediaType\" is not a string"},
        {MANIFEST("") "x", "m: line"},
        {"{\"schemaVersion\":1," CONFIG ",\"layers\":[]}", "schema 1"},
        {"{\"schemaVersion\":3," CONFIG ",\"layers\":[]}", "\"schemaVersion\" is not 2"},
        {"{\"schemaVersion\":2," CONFIG ",\"layers\":{}}", "\"layers\" is not an array"},
        {"{\"schemaVersion\":2," CONFIG ",\"layers\":[7]}", "layers[0]"},
        {"{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"digest\":\"sha256:../../x\",\"size\":1}]}",
            "\"digest\" is not sha256"},
        {"{\"schemaVersion\":2," CONFIG ",\"layers\":[{" DIGEST "}]}", "no \"size\""},
        {"{\"schemaVersion\":2," CONFIG ",\"layers\":[{" DIGEST ",\"size\":-1}]}",
            "\"size\" is not a number"},
        {"{\"schemaVersion\":2," CONFIG ",\"layers\":[{" DIGEST ",\"size\":99999999999999999999}]}",
            "m: line"},
        {"{\"schemaVersion\":2,\"config\":{" DIGEST ",\"size\":99999999},\"layers\":[]}",
            "more than 8388608 bytes"},
        {"{\"schemaVersion\":2,\"config\":{\"mediaType\":\"text/plain\"," DIGEST
         ",\"size\":2},\"layers\":[]}",
            "no container image"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct oci_manifest m = {.n_layers = 77};
        struct error e = {};

        if (oci_manifest_parse(table[i].text, strlen(table[i].text), "m", &m, &e) >= 0)
            fail_msg("%s was taken", table[i].text);
        if (!strstr(e.text, table[i].part))
            fail_msg("%s: \"%s\" has no \"%s\"", table[i].text, e.text, table[i].part);
        assert_int_equal(m.n_layers, 77);
    }
}

static void a_document_that_is_too_large_is_not_parsed(void **state _unused_) {
    _cleanup_free_ char *text = malloc(OCI_MANIFEST_MAX + 1);
    struct oci_index i;
    struct error e = {};

    assert_non_null(text);
    memset(text, '[', OCI_MANIFEST_MAX + 1);
    assert_int_equal(oci_index_parse(text, OCI_MANIFEST_MAX + 1, "i", &i, &e), -EFBIG);
    /* Deep nesting ends in an error, not in a full stack. */
    assert_int_equal(oci_index_parse(text, OCI_MANIFEST_MAX, "i", &i, &e), -EINVAL);
}

static void a_configuration_is_read(void **state _unused_) {
    static const char text[] =
        "{\"architecture\":\"amd64\",\"os\":\"linux\"," ROOTFS
        ",\"config\":{\"User\":\"www\",\"Env\":[\"A=1\"],"
        "\"Entrypoint\":[\"/e\"],\"Cmd\":null,\"WorkingDir\":\"\",\"StopSignal\":\"SIGQUIT\",\"Volumes\":{\"/"
        "b\":{},\"/a\":{}},"
        "\"ExposedPorts\":{\"80/tcp\":{}},\"Labels\":{\"k\":\"v\"},"
        "\"Healthcheck\":{\"Test\":[\"CMD\",\"/check\"],\"Interval\":30000000000,\"Retries\":3}},"
        "\"history\":[{\"created_by\":\"x\"},{\"empty_layer\":true}]}";
    _cleanup_(oci_config_done) struct oci_config c = {};
    struct error e = {};

    if (oci_config_parse(text, sizeof(text) - 1, "c", &c, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(c.user, "www");
    assert_string_equal(c.environment[0], "A=1");
    assert_string_equal(c.entrypoint[0], "/e");
    assert_null(c.cmd);
    assert_null(c.working_dir);
    assert_string_equal(c.volumes[0], "/a");
    assert_string_equal(c.exposed_ports[0], "80/tcp");
    assert_string_equal(c.labels[0], "k=v");
    assert_string_equal(c.healthcheck.test[1], "/check");
    assert_int_equal(c.healthcheck.interval_ns, 30000000000);
    assert_int_equal(c.healthcheck.retries, 3);
    assert_int_equal(c.n_history, 2);
    assert_true(c.history[1].empty_layer);
}

static void bad_configurations_are_refused(void **state _unused_) {
    static const struct {
        const char *text, *part;
    } table[] = {
        {"{}", "there is no \"rootfs\""},
        {"{\"os\":\"windows\"," ROOTFS "}", "not for linux"},
        {"{\"rootfs\":{\"type\":\"x\"}}", "rootfs.type"},
        {"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"md5:1\"]}}", "not a sha256 digest"},
        {"{" ROOTFS ",\"config\":[]}", "\"config\" is not an object"},
        {"{" ROOTFS ",\"config\":{\"Env\":\"A=1\"}}", "\"Env\" is not an array"},
        {"{" ROOTFS ",\"config\":{\"Env\":[1]}}", "\"Env\" is not an array of strings"},
        {"{" ROOTFS ",\"config\":{\"User\":0}}", "\"User\" is not a string"},
        {"{" ROOTFS ",\"config\":{\"User\":\"a\\u0000b\"}}", "c: line"},
        {"{" ROOTFS ",\"config\":{\"Labels\":{\"a=b\":\"c\"}}}", "\"Labels\" is not an object of strings"},
        {"{" ROOTFS ",\"config\":{\"Healthcheck\":{\"Interval\":-1}}}", "Healthcheck: \"Interval\""},
        {"{" ROOTFS ",\"history\":[1]}", "history[0]"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct oci_config c = {.n_history = 77};
        struct error e = {};

        if (oci_config_parse(table[i].text, strlen(table[i].text), "c", &c, &e) >= 0)
            fail_msg("%s was taken", table[i].text);
        if (!strstr(e.text, table[i].part))
            fail_msg("%s: \"%s\" has no \"%s\"", table[i].text, e.text, table[i].part);
        assert_int_equal(c.n_history, 77);
    }
}

static void the_image_for_this_machine_is_chosen(void **state _unused_) {
    const char *variant, *architecture = oci_architecture(&variant);
    _cleanup_(oci_index_done) struct oci_index i = {};
    _cleanup_free_ char *text =
        strf("{\"schemaVersion\":2,\"manifests\":["
             "{" DIGEST ",\"size\":1,\"platform\":{\"architecture\":\"pdp11\",\"os\":\"linux\"}},"
             "{" DIGEST ",\"size\":2,\"platform\":{\"architecture\":\"%s\",\"os\":\"plan9\"}},"
             "{" DIGEST ",\"size\":3},"
             "{" DIGEST ",\"size\":4,\"platform\":{\"architecture\":\"%s\",\"os\":\"linux\"}}]}",
            architecture, architecture);
    struct error e = {};

    assert_non_null(text);
    if (oci_index_parse(text, strlen(text), "i", &i, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(oci_index_choose(&i)->size, 4);
    i.n_manifests = 3;
    assert_int_equal(oci_index_choose(&i)->size, 3);
    i.n_manifests = 2;
    assert_null(oci_index_choose(&i));
    i.n_manifests = 4;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_is_read),
        cmocka_unit_test(bad_manifests_are_refused),
        cmocka_unit_test(a_document_that_is_too_large_is_not_parsed),
        cmocka_unit_test(a_configuration_is_read),
        cmocka_unit_test(bad_configurations_are_refused),
        cmocka_unit_test(the_image_for_this_machine_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
