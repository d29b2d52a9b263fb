/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boot/: fstab, sysctl.d, modules.dep, superblocks, the table of mounts. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/boot_times.h"
#include "base/fs.h"
#include "boot/conf_files.h"
#include "boot/fsck.h"
#include "boot/fstab.h"
#include "boot/modprobe_conf.h"
#include "boot/modules.h"
#include "boot/superblock.h"
#include "boot/sysctl.h"
#include "init/mounts.h"

/* ---- fstab ---- */

static struct fstab_entry entry(const char *line) {
    struct fstab_entry f = {};
    struct error e = {};

    if (fstab_parse_line(line, &f, &e) != 1)
        fail_msg("%s: %s", line, e.text);
    return f;
}

static void an_fstab_line_becomes_flags_and_data(void **state) {
    (void)state;
    struct fstab_entry f =
        entry("/dev/sda2\t/srv/my\\040data/  ext4 ro,nosuid,noatime,data=ordered,errors=remount-ro 0 2");
    assert_string_equal(f.source, "/dev/sda2");
    assert_string_equal(f.target, "/srv/my data");
    assert_string_equal(f.type, "ext4");
    assert_int_equal(f.flags, MS_RDONLY | MS_NOSUID | MS_NOATIME);
    assert_string_equal(f.data, "data=ordered,errors=remount-ro");
    assert_false(f.no_auto || f.no_fail || f.network);
    assert_int_equal(f.device_timeout, FSTAB_TIMEOUT);
    assert_true(fstab_needs_device(&f));
    fstab_entry_done(&f);
}

static void the_sixth_field_asks_for_fsck(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool check;
    } table[] = {
        {"/dev/sda1 / ext4 defaults 0 1", true},
        {"/dev/sda1 /srv ext4 defaults\t0\t 2", true},
        {"/dev/sda1 /srv ext4 defaults 1 0", false},
        {"/dev/sda1 /srv ext4 defaults 1", false},
        {"/dev/sda1 /srv", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct fstab_entry f = entry(table[i].line);
        assert_int_equal(f.check, table[i].check);
        fstab_entry_done(&f);
    }
}

static void what_fsck_could_not_correct_is_an_error(void **state) {
    (void)state;
    struct error e = {};

    assert_int_equal(fsck_result(0, &e), 0);
    assert_int_equal(fsck_result(1, &e), 0);
    assert_int_equal(fsck_result(3, &e), FSCK_REBOOT);
    assert_int_equal(fsck_result(4, &e), -EUCLEAN);
    assert_int_equal(fsck_result(5, &e), -EUCLEAN);
    assert_int_equal(fsck_result(8, &e), -EIO);
    assert_int_equal(fsck_result(127, &e), -EUCLEAN); /* all bits: no program, which is no better */
}

static void options_for_the_boot_do_not_reach_the_file_system(void **state) {
    (void)state;
    struct fstab_entry f =
        entry("LABEL=data /data auto "
              "defaults,nofail,_netdev,x-systemd.device-timeout=5s,x-systemd.mount-timeout=1min,"
              "x-mount.mkdir,x-initrd.mount,comment=mine,user,exec,compress=zstd");
    assert_true(f.no_fail && f.network);
    assert_int_equal(f.device_timeout, 5 * USEC_PER_SEC);
    assert_int_equal(f.mount_timeout, 60 * USEC_PER_SEC);
    assert_int_equal(f.flags, MS_NOSUID | MS_NODEV);
    assert_string_equal(f.data, "compress=zstd");
    assert_true(fstab_needs_device(&f));
    fstab_entry_done(&f);
}

static void lines_that_need_the_network_are_known_by_option_or_type(void **state) {
    (void)state;
    static const struct {
        const char *line;
        bool network;
    } table[] = {{"server:/x /x nfs4 defaults 0 0", true}, {"//server/x /x cifs", true},
        {"me@server:/ /x fuse.sshfs", true}, {"/dev/disk/by-path/ip-1 /x ext4 _netdev", true},
        {"/dev/sda1 /x ext4", false}, {"tmpfs /nfs tmpfs", false}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct fstab_entry f = entry(table[i].line);
        assert_int_equal(f.network, table[i].network);
        fstab_entry_done(&f);
    }
}

static void what_users_of_systemd_write_is_taken_or_told(void **state) {
    (void)state;
    struct fstab_entry f =
        entry("server:/x /x nfs noauto,x-systemd.automount,x-systemd.idle-timeout=1min,soft");
    assert_true(f.automount && f.no_fail && !f.no_auto); /* whatever comes first */
    assert_null(f.unmade);
    assert_string_equal(f.data, "soft");
    fstab_entry_done(&f);
    f = entry("/dev/sda1 /x ext4 x-systemd.growfs,x-systemd.wanted-by=a.service");
    assert_string_equal(f.unmade, "x-systemd.growfs");
    assert_string_equal(f.data, "");
    fstab_entry_done(&f);
    f = entry("/dev/sda1 /x ext4 x-systemd.requires=a.mount");
    assert_string_equal(f.unmade, "x-systemd.requires=");
    fstab_entry_done(&f);
}

static void note_bad_line(void *userdata, unsigned line, const char *why) {
    unsigned *sum = userdata;

    assert_true(*why);
    *sum = *sum * 10 + line;
}

static void a_file_is_taken_without_its_bad_lines_and_in_order(void **state) {
    (void)state;
    char text[] = "# comment\n/dev/b /var ext4\nnonsense\n\n/dev/c /x/../y ext4\n/dev/a / ext4";
    struct fstab_list l;
    unsigned bad = 0;

    assert_int_equal(fstab_parse(text, note_bad_line, &bad, &l), 0);
    assert_int_equal(bad, 35);
    assert_int_equal(l.n, 2);
    assert_non_null(l.entries[0].target);
    assert_string_equal(l.entries[0].target, "/");
    assert_string_equal(l.entries[1].target, "/var");
    assert_true(fstab_must_follow(&l.entries[1], &l.entries[0]));
    fstab_list_done(&l);
    assert_null(l.entries);
}

static void swap_and_bind_lines_are_told_apart(void **state) {
    (void)state;
    struct fstab_entry f = entry("UUID=1234 none swap sw,pri=5,discard=once,nofail 0 0");
    assert_int_equal(f.kind, FSTAB_SWAP);
    assert_null(f.target);
    assert_int_equal(f.priority, 5);
    assert_true(f.discard && f.no_fail);
    fstab_entry_done(&f);
    f = entry("/srv /var/srv none rbind,ro");
    assert_int_equal(f.kind, FSTAB_BIND);
    assert_true(f.recursive);
    assert_int_equal(f.flags, MS_RDONLY);
    assert_false(fstab_needs_device(&f));
    fstab_entry_done(&f);
    f = entry("tmpfs /tmp");
    assert_string_equal(f.type, "auto");
    assert_string_equal(f.data, "");
    assert_false(fstab_needs_device(&f));
    fstab_entry_done(&f);
}

static void lines_that_say_nothing_are_no_entries(void **state) {
    (void)state;
    static const char *const lines[] = {"", "   \t", "# /dev/sda1 / ext4", "  # x"};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct fstab_entry f;
        struct error e = {};
        assert_int_equal(fstab_parse_line(lines[i], &f, &e), 0);
    }
}

static void broken_lines_say_what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } table[] = {{"/dev/sda1", "at least a device and a directory"},
        {"/dev/sda1 data ext4", "no absolute path"}, {"/dev/sda1 /a/../b ext4", "no absolute path"},
        {"srv /srv none bind", "no absolute path"},
        {"/dev/sda1 /data ext4 x-systemd.device-timeout=soon", "is no time"},
        {"/dev/sda1 none swap pri=high", "a priority is a number"}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct fstab_entry f;
        struct error e = {};
        assert_int_equal(fstab_parse_line(table[i].line, &f, &e), -EINVAL);
        assert_non_null(strstr(e.text, table[i].says));
    }
}

static void parents_are_mounted_before_what_is_below_them(void **state) {
    (void)state;
    static const char *const lines[] = {"/dev/s none swap sw", "/dev/d /var/lib/davit ext4",
        "/dev/c /srv ext4", "/data/x /x none bind", "/dev/b /var ext4", "/dev/e /data ext4", "/dev/a / ext4"};
    static const char *const order[] = {"/", "/var", "/var/lib/davit", "/srv", "/data", "/x"};
    struct fstab_entry entries[ARRAY_SIZE(lines)];
    size_t at[ARRAY_SIZE(order)];

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        entries[i] = entry(lines[i]);
    fstab_sort(entries, ARRAY_SIZE(entries));
    assert_int_equal(entries[ARRAY_SIZE(lines) - 1].kind, FSTAB_SWAP);
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        for (size_t k = 0; k + 1 < ARRAY_SIZE(lines); k++)
            if (streq(entries[k].target, order[i]))
                at[i] = k;
    assert_int_equal(at[0], 0);
    assert_true(at[1] < at[2]);
    assert_true(at[4] < at[5]); /* the source of a bind mount is below /data */
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        fstab_entry_done(&entries[i]);
}

/* ---- NAME.d ---- */

static void put(const char *root, const char *path, const char *text) {
    _cleanup_free_ char *full = strf("%s%s", root, path), *directory = strdup(full);

    *strrchr(directory, '/') = '\0';
    assert_int_equal(mkdir_parents(AT_FDCWD, directory, 0755), 0);
    if (!text)
        assert_int_equal(symlink("/dev/null", full), 0);
    else
        assert_int_equal(file_write_atomic(AT_FDCWD, full, text, strlen(text), 0644, false), 0);
}

static void take_line(void *userdata, const char *file _unused_, unsigned line _unused_, char *text) {
    assert_int_equal(sysctl_take(userdata, text), 0);
}

static const char *value_of(const struct sysctl_list *l, const char *path) {
    for (size_t i = 0; i < l->count; i++)
        if (streq(l->settings[i].path, path))
            return l->settings[i].value;
    return NULL;
}

static void sysctl_files_hide_and_follow_each_other_as_in_systemd(void **state) {
    (void)state;
    char root[] = "/tmp/davit-boot-XXXXXX";
    struct sysctl_list l = {};

    assert_non_null(mkdtemp(root));
    put(root, "/usr/lib/sysctl.d/10-vendor.conf", "kernel.panic = 1\nvm.swappiness=1\n");
    put(root, "/usr/lib/sysctl.d/20-hidden.conf", "kernel.hidden = 1\n");
    put(root, "/usr/lib/sysctl.d/30-masked.conf", "kernel.masked = 1\n");
    put(root, "/run/sysctl.d/90-late.conf", "vm/swappiness = 90\n");
    put(root, "/etc/sysctl.d/20-hidden.conf", "# nothing\n; nothing\n\nkernel.mine=2\n");
    put(root, "/etc/sysctl.d/30-masked.conf", NULL);
    put(root, "/etc/sysctl.d/40-text.txt", "kernel.text=1\n");
    assert_int_equal(conf_files_read(root, "sysctl", take_line, &l), 0);
    assert_string_equal(value_of(&l, "kernel/panic"), "1");
    assert_string_equal(value_of(&l, "vm/swappiness"), "90");
    assert_string_equal(value_of(&l, "kernel/mine"), "2");
    assert_null(value_of(&l, "kernel/hidden"));
    assert_null(value_of(&l, "kernel/masked"));
    assert_null(value_of(&l, "kernel/text"));
    assert_int_equal(l.count, 3);
    sysctl_list_done(&l);
    assert_int_equal(remove_tree(AT_FDCWD, root), 0);
}

static void the_first_separator_of_a_sysctl_key_decides(void **state) {
    (void)state;
    static const char *const table[][2] = {{"net.ipv4.ip_forward", "net/ipv4/ip_forward"},
        {"net/ipv4/conf/eth0.1/rp_filter", "net/ipv4/conf/eth0.1/rp_filter"},
        {"net.ipv4.conf.eth0/1.rp_filter", "net/ipv4/conf/eth0.1/rp_filter"}, {"kernel", "kernel"}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "%s", table[i][0]);
        assert_string_equal(sysctl_normalize(key), table[i][1]);
    }
}

static void sysctl_lines_that_make_no_sense_are_refused(void **state) {
    (void)state;
    static const char *const lines[] = {
        "kernel.panic", "= 1", "/etc/passwd = 1", "a/../../../etc/x = 1", "-"};
    struct sysctl_list l = {};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "%s", lines[i]);
        assert_int_equal(sysctl_take(&l, line), -EINVAL);
    }
    char optional[] = "-net.ipv4.conf.*.rp_filter = 2", excluded[] = "-net.ipv4.conf.lo.rp_filter";
    assert_int_equal(sysctl_take(&l, optional), 0);
    assert_int_equal(sysctl_take(&l, excluded), 0);
    assert_true(l.settings[0].optional);
    assert_null(l.settings[1].value);
    assert_true(sysctl_is_named(&l, "net/ipv4/conf/lo/rp_filter"));
    sysctl_list_done(&l);
}

/* ---- modules ---- */

static const char dep[] = "kernel/fs/overlayfs/overlay.ko.xz:\n"
                          "kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko\n"
                          "kernel/drivers/watchdog/i6300esb.ko.zst:\n"
                          "kernel/net/netfilter/nf-tables_x.ko:\n";

static void modules_are_found_by_name_whatever_their_path(void **state) {
    (void)state;
    static const char *const table[][2] = {{"overlay", "kernel/fs/overlayfs/overlay.ko.xz:"},
        {"bridge", "kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko"},
        {"i6300esb", "kernel/drivers/watchdog/i6300esb.ko.zst:"},
        {"nf_tables-x", "kernel/net/netfilter/nf-tables_x.ko:"}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *line = modules_find(dep, table[i][0]);
        assert_non_null(line);
        assert_string_equal(line, table[i][1]);
    }
    /* dependencies are no entries, nor are parts of names */
    assert_null(modules_find(dep, "llc"));
    assert_null(modules_find(dep, "overla"));
    assert_null(modules_find("", "overlay"));
    assert_null(modules_find(dep, ""));
}

static void module_parameters_come_from_the_command_line(void **state) {
    (void)state;
    const char *line =
        "root=/dev/sda softdog.soft_margin=60 nf-tables_x.a=\"1\" softdog.nowayout=1 softdogs.x=1";
    _cleanup_free_ char *softdog = modules_parameters(line, "softdog.ko"),
                        *tables = modules_parameters(line, "nf_tables-x"),
                        *none = modules_parameters(line, "overlay");
    assert_string_equal(softdog, "soft_margin=60 nowayout=1");
    assert_string_equal(tables, "a=1");
    assert_string_equal(none, "");
}

static void modprobe_conf_has_options_and_a_blacklist(void **state) {
    (void)state;
    static const char *const lines[] = {"options nf-tables a=1  b=2", "options overlay",
        "blacklist pc-speaker", "options nf_tables c=3", "install usb /bin/true", "alias x y", "blacklist",
        "options nf_tables_x d=4"};
    struct modprobe_conf c = {};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        _cleanup_free_ char *line = strdup(lines[i]);
        assert_int_equal(modprobe_conf_take(&c, line), 0);
    }
    assert_int_equal(modprobe_conf_blacklist(&c, "one,,two-three"), 0);
    _cleanup_free_ char *options = modprobe_conf_options(&c, "nf-tables.ko.xz"),
                        *none = modprobe_conf_options(&c, "overlay");
    assert_string_equal(options, "a=1  b=2 c=3");
    assert_string_equal(none, "");
    assert_true(modprobe_conf_forbids(&c, "pc_speaker"));
    assert_true(modprobe_conf_forbids(&c, "two_three"));
    assert_true(modprobe_conf_forbids(&c, "one"));
    assert_false(modprobe_conf_forbids(&c, "usb"));
    strv_free(c.options);
    strv_free(c.blacklist);
    strv_free(c.aliases);
}

static void modprobe_conf_has_aliases_and_soft_dependencies(void **state) {
    (void)state;
    static const char *const lines[] = {"alias net-pf-10 off", "alias eth[0-9] e1000-e",
        "alias  my_disk\tnvme", "softdep snd-hda pre: snd_a  snd-b post: snd_c",
        "softdep snd_hda post: snd_d pre: snd_e", "softdep other pre: x", "softdep alone", "alias half"};
    static const char *const table[][2] = {{"net_pf_10", "off"}, {"eth7", "e1000-e"}, {"my-disk", "nvme"},
        {"eth", NULL}, {"half", NULL}, {"nvme", NULL}};
    _cleanup_strv_free_ char **pre = NULL, **post = NULL, **none = NULL;
    struct modprobe_conf c = {};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        _cleanup_free_ char *line = strdup(lines[i]);
        assert_int_equal(modprobe_conf_take(&c, line), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        _cleanup_free_ char *module = modprobe_conf_alias(&c, table[i][0]);
        assert_true(streq_ptr(module, table[i][1]));
    }
    assert_int_equal(modprobe_conf_softdeps(&c, "snd-hda", false, &pre), 0);
    assert_int_equal(modprobe_conf_softdeps(&c, "snd_hda", true, &post), 0);
    assert_int_equal(modprobe_conf_softdeps(&c, "alone", true, &none), 0);
    _cleanup_free_ char *before = strv_join(pre, " "), *after = strv_join(post, " ");
    assert_string_equal(before, "snd_a snd-b snd_e");
    assert_string_equal(after, "snd_c snd_d");
    assert_int_equal(strv_length(none), 0);
    strv_free(c.aliases);
    strv_free(c.softdeps);
}

static void a_module_name_too_long_is_refused(void **state) {
    (void)state;
    char name[MODULE_NAME_MAX], path[2 * MODULE_NAME_MAX];
    memset(path, 'm', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(module_name(path, name), -ENAMETOOLONG);
    assert_int_equal(module_name("kernel/.ko", name), -EINVAL);
    assert_int_equal(module_name("a/b-c.ko.xz", name), 0);
    assert_string_equal(name, "b_c");
}

/* ---- superblocks ---- */

static void superblocks_give_type_uuid_and_label(void **state) {
    (void)state;
    static uint8_t data[SUPERBLOCK_BYTES];
    struct superblock s;

    assert_int_equal(superblock_parse(data, sizeof data, &s), -ENOENT);
    data[0x438] = 0x53;
    data[0x439] = 0xEF;
    for (int i = 0; i < 16; i++)
        data[0x468 + i] = (uint8_t)(i * 17);
    memcpy(data + 0x478, "sixteen-letters!", 16);
    assert_int_equal(superblock_parse(data, sizeof data, &s), 0);
    assert_string_equal(s.type, "ext4");
    assert_string_equal(s.uuid, "00112233-4455-6677-8899-aabbccddeeff");
    assert_string_equal(s.label, "sixteen-letters!");
    /* cut off in the middle of what is needed */
    assert_int_equal(superblock_parse(data, 0x470, &s), -ENOENT);

    memset(data, 0, sizeof data);
    memcpy(data + 82, "FAT32   ", 8);
    memcpy(data + 67,
        "\x78\x56\x34\x12"
        "EFI        ",
        15);
    assert_int_equal(superblock_parse(data, sizeof data, &s), 0);
    assert_string_equal(s.type, "vfat");
    assert_string_equal(s.uuid, "1234-5678");
    assert_string_equal(s.label, "EFI");
}

/* ---- the table of mounts, times ---- */

static void mounts_come_after_what_they_lie_in(void **state) {
    (void)state;
    for (size_t i = 0; i < n_boot_mounts; i++)
        for (size_t k = i + 1; k < n_boot_mounts; k++) {
            const char *below = startswith(boot_mounts[i].target, boot_mounts[k].target);
            assert_false(below && *below == '/');
        }
    assert_true(is_mount_point("/proc"));
    assert_false(is_mount_point("/proc/self"));
    assert_false(is_mount_point("/no/such/path"));
}

static void everything_fatal_is_what_nothing_runs_without(void **state) {
    (void)state;
    static const char *const fatal[] = {"/proc", "/sys", "/dev", "/dev/shm", "/run", "/sys/fs/cgroup"};
    size_t found = 0;
    for (size_t i = 0; i < n_boot_mounts; i++) {
        if (boot_mounts[i].need != MOUNT_FATAL)
            continue;
        assert_string_equal(boot_mounts[i].target, fatal[found++]);
    }
    assert_int_equal(found, ARRAY_SIZE(fatal));
}

static void boot_times_survive_their_way_through_the_environment(void **state) {
    (void)state;
    const struct boot_times t = {
        .userspace = 1, .mounts = 22, .boot = 333, .manager = UINT64_MAX, .ready = 5, .init_work = 66};
    struct boot_times back;
    char text[BOOT_TIMES_TEXT_MAX];

    boot_times_format(&t, text);
    assert_int_equal(boot_times_parse(text, &back), 0);
    assert_memory_equal(&t, &back, sizeof t);
    assert_int_equal(boot_times_parse("later=5 ready=7", &back), 0);
    assert_int_equal(back.ready, 7);
    assert_int_equal(boot_times_parse("ready", &back), -EINVAL);
    assert_int_equal(boot_times_parse("ready=x", &back), -EINVAL);
    assert_int_equal(boot_times_parse("ready=99999999999999999999999999", &back), -EINVAL);
    assert_int_equal(back.ready, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_fstab_line_becomes_flags_and_data),
        cmocka_unit_test(the_sixth_field_asks_for_fsck),
        cmocka_unit_test(what_fsck_could_not_correct_is_an_error),
        cmocka_unit_test(options_for_the_boot_do_not_reach_the_file_system),
        cmocka_unit_test(lines_that_need_the_network_are_known_by_option_or_type),
        cmocka_unit_test(what_users_of_systemd_write_is_taken_or_told),
        cmocka_unit_test(a_file_is_taken_without_its_bad_lines_and_in_order),
        cmocka_unit_test(swap_and_bind_lines_are_told_apart),
        cmocka_unit_test(lines_that_say_nothing_are_no_entries),
        cmocka_unit_test(broken_lines_say_what_is_wrong),
        cmocka_unit_test(parents_are_mounted_before_what_is_below_them),
        cmocka_unit_test(sysctl_files_hide_and_follow_each_other_as_in_systemd),
        cmocka_unit_test(the_first_separator_of_a_sysctl_key_decides),
        cmocka_unit_test(sysctl_lines_that_make_no_sense_are_refused),
        cmocka_unit_test(modules_are_found_by_name_whatever_their_path),
        cmocka_unit_test(module_parameters_come_from_the_command_line),
        cmocka_unit_test(modprobe_conf_has_options_and_a_blacklist),
        cmocka_unit_test(modprobe_conf_has_aliases_and_soft_dependencies),
        cmocka_unit_test(a_module_name_too_long_is_refused),
        cmocka_unit_test(superblocks_give_type_uuid_and_label),
        cmocka_unit_test(mounts_come_after_what_they_lie_in),
        cmocka_unit_test(everything_fatal_is_what_nothing_runs_without),
        cmocka_unit_test(boot_times_survive_their_way_through_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
