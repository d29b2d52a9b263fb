/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot/modules.h"

#include <fcntl.h>
#include <linux/module.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/conf_files.h"
#include "boot/modprobe_conf.h"

#define TABLE_MAX (32 * 1024 * 1024)
#define COMMAND_LINE_MAX (1024 * 1024)

/* ---- names and tables ---- */

/* From the last component of a path; what follows its first '.' does not matter. */
static int name_of(const char *base, char ret[static MODULE_NAME_MAX]) {
    size_t n = strcspn(base, ".");

    if (n == 0)
        return -EINVAL;
    if (n >= MODULE_NAME_MAX)
        return -ENAMETOOLONG;
    for (size_t i = 0; i < n; i++)
        ret[i] = base[i] == '-' ? '_' : base[i];
    ret[n] = '\0';
    return 0;
}

int module_name(const char *path, char ret[static MODULE_NAME_MAX]) {
    return name_of(path_basename(path), ret);
}

char *modules_find(const char *dep, const char *name) {
    char wanted[MODULE_NAME_MAX], here[MODULE_NAME_MAX];

    if (module_name(name, wanted) < 0)
        return NULL;
    for (const char *line = dep; *line;) {
        size_t n = strcspn(line, "\n"), path = strcspn(line, ":\n");
        /* Only the last component matters, and the path ends at ':'. */
        size_t start = path;
        while (start > 0 && line[start - 1] != '/')
            start--;
        if (path < n && name_of(line + start, here) >= 0 && streq(here, wanted))
            return strndup(line, n);
        line += n + (line[n] == '\n');
    }
    return NULL;
}

char *modules_parameters(const char *command_line, const char *name) {
    _cleanup_strbuf_ struct strbuf out = {};
    struct word_reader w = {};
    char wanted[MODULE_NAME_MAX], here[MODULE_NAME_MAX];

    if (module_name(name, wanted) < 0)
        return strdup("");
    for (const char *p = command_line;; p++) {
        if (word_reader_put(&w, *p)) {
            const char *dot = strchr(w.word, '.'), *equals = strchr(w.word, '=');
            if (dot && equals && dot < equals && name_of(w.word, here) >= 0 && streq(here, wanted))
                strbuf_printf(&out, "%s%s", out.length > 0 ? " " : "", dot + 1);
        }
        if (!*p)
            break;
    }
    return strbuf_take(&out);
}

/* ---- loading ---- */

static const struct {
    const char *suffix, *program;
} compressions[] = {{".xz", "xz"}, {".zst", "zstd"}, {".gz", "gzip"}};

static const char *decompressor(const char *path) {
    for (size_t i = 0; i < ARRAY_SIZE(compressions); i++)
        if (endswith(path, compressions[i].suffix))
            return compressions[i].program;
    return NULL;
}

/* The unpacked module in a memory file, or -errno. */
static int unpack(int fd, const char *program) {
    _cleanup_close_ int memory = memfd_create("module", MFD_CLOEXEC);
    int status = 0;

    if (memory < 0)
        return negative_errno();
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(fd, STDIN_FILENO) >= 0 && dup2(memory, STDOUT_FILENO) >= 0)
            (void)execlp(program, program, "-dc", (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return negative_errno();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOEXEC : -EIO;
    return TAKE_FD(memory);
}

static usec_t kernel_work;

usec_t modules_kernel_work(void) {
    return kernel_work;
}

/* Unpacking, linking and the module's own start: all of it in the kernel, and in our processor time. */
static int finit_module(int fd, const char *parameters, int flags) {
    usec_t begin = clock_usec(CLOCK_PROCESS_CPUTIME_ID);
    int r = syscall(SYS_finit_module, fd, parameters, flags) == 0 || errno == EEXIST ? 0 : negative_errno();

    kernel_work += clock_usec(CLOCK_PROCESS_CPUTIME_ID) - begin;
    return r;
}

static int insert(const char *path, const char *parameters) {
    const char *program = decompressor(path);

    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return negative_errno();
    int r = finit_module(fd, parameters, program ? MODULE_INIT_COMPRESSED_FILE : 0);
    if (r >= 0 || !program || (r != -EINVAL && r != -EOPNOTSUPP))
        return r;
    _cleanup_close_ int memory = unpack(fd, program);
    return memory < 0 ? memory : finit_module(memory, parameters, 0);
}

static bool is_loaded(const char *path) {
    char name[MODULE_NAME_MAX], directory[MODULE_NAME_MAX + 16];

    if (module_name(path, name) < 0)
        return false;
    (void)snprintf(directory, sizeof directory, "/sys/module/%s", name);
    return access(directory, F_OK) == 0;
}

/* The files of this kernel, read once. */
static struct {
    char *directory; /* /lib/modules/VERSION */
    char *dep, *builtin, *command_line;
    struct modprobe_conf conf;
} tables;

static int read_tables(void) {
    struct utsname kernel;

    if (tables.directory)
        return 0;
    (void)uname(&kernel);
    _cleanup_free_ char *directory = strf("/lib/modules/%s", kernel.release),
                        *dep = directory ? path_join(directory, "modules.dep") : NULL,
                        *builtin = directory ? path_join(directory, "modules.builtin") : NULL;
    if (!dep || !builtin)
        return -ENOMEM;
    int r = file_read(AT_FDCWD, dep, TABLE_MAX, &tables.dep, NULL);
    if (r < 0)
        return r;
    if (file_read(AT_FDCWD, builtin, TABLE_MAX, &tables.builtin, NULL) < 0)
        tables.builtin = strdup("");
    if (file_read(AT_FDCWD, "/proc/cmdline", COMMAND_LINE_MAX, &tables.command_line, NULL) < 0)
        tables.command_line = strdup("");
    if (!tables.builtin || !tables.command_line)
        return -ENOMEM;
    modprobe_conf_read(&tables.conf, tables.command_line);
    tables.directory = TAKE_PTR(directory);
    return 0;
}

static bool is_builtin(const char *name) {
    char wanted[MODULE_NAME_MAX], here[MODULE_NAME_MAX];

    if (module_name(name, wanted) < 0)
        return false;
    for (const char *line = tables.builtin; *line;) {
        size_t n = strcspn(line, "\n"), start = n;
        while (start > 0 && line[start - 1] != '/')
            start--;
        if (name_of(line + start, here) >= 0 && streq(here, wanted))
            return true;
        line += n + (line[n] == '\n');
    }
    return false;
}

static int load_file(const char *path, struct error *e) {
    if (is_loaded(path))
        return 0;
    const char *name = path_basename(path);
    /* The command line has the last word. */
    _cleanup_free_ char *full = path_join(tables.directory, path),
                        *options = modprobe_conf_options(&tables.conf, name),
                        *said = modules_parameters(tables.command_line, name),
                        *parameters = options && said ? strf("%s %s", options, said) : NULL;
    int r = full && parameters ? insert(full, parameters) : -ENOMEM;
    return r < 0 ? error_set_errno(e, r, "module %s", path) : 0;
}

/* With what it depends on, of which the last is loaded first: there they stand in the order in which they can be
 * removed. */
static int load_found(const char *name, struct error *e) {
    _cleanup_free_ char *line = modules_find(tables.dep, name);
    if (!line)
        return is_builtin(name) ? 0 : error_set(e, ENOENT, "this kernel has no module %s", name);

    char *colon = strchr(line, ':'), *end = line + strlen(line);
    *colon = '\0';
    for (char *p = end; p > colon + 1;) {
        while (p > colon + 1 && p[-1] != ' ')
            p--;
        if (*p) {
            int r = load_file(p, e);
            if (r < 0)
                return r;
        }
        if (p > colon + 1)
            *--p = '\0';
    }
    return load_file(line, e);
}

/* alias and softdep can lead in a circle. */
#define DEPTH_MAX 8

static int load_named_so(const char *name, unsigned depth, struct error *e);

/* They are no condition: what is not there is not missed. */
static void load_soft(const char *name, bool post, unsigned depth) {
    _cleanup_strv_free_ char **others = NULL;
    struct error e = {};

    (void)modprobe_conf_softdeps(&tables.conf, name, post, &others);
    STRV_FOREACH (other, others)
        if (load_named_so(*other, depth + 1, &e) < 0)
            log_debug("module %s, wanted by softdep of %s: %s", *other, name, e.text);
}

static int load_named_so(const char *name, unsigned depth, struct error *e) {
    if (depth > DEPTH_MAX)
        return error_set(e, ELOOP, "module %s: alias or softdep of modprobe.d lead in a circle", name);
    if (modprobe_conf_forbids(&tables.conf, name)) {
        log_info("module %s is not loaded: modprobe.d forbids it", name);
        return 0;
    }
    _cleanup_free_ char *alias = modprobe_conf_alias(&tables.conf, name);
    if (alias)
        return load_named_so(alias, depth + 1, e);
    load_soft(name, false, depth);
    int r = load_found(name, e);
    if (r >= 0)
        load_soft(name, true, depth);
    return r;
}

int module_load(const char *name, struct error *e) {
    int r = read_tables();

    return r < 0 ? error_set_errno(e, r, "the table of kernel modules") : load_named_so(name, 0, e);
}

/* ---- the step ---- */

static void load_named(struct boot_context *c, const char *name, const char *where) {
    struct error e = {};

    if (module_load(name, &e) < 0)
        boot_problem(c, "%s: %s", where, e.text);
}

static void take_line(void *userdata, const char *file, unsigned line _unused_, char *text) {
    load_named(userdata, text, file);
}

/* Drivers are loaded by name here, so nobody would load those of the power button. */
static void load_power_key(const struct boot_context *c) {
    static const char *const buttons[] = {
        "/sys/bus/acpi/devices/LNXPWRBN:00", "/sys/bus/acpi/devices/PNP0C0C:00"};
    struct error e = {};
    bool there = false;

    for (size_t i = 0; i < ARRAY_SIZE(buttons); i++)
        there = there || access(buttons[i], F_OK) == 0;
    if (!there || !c->options.power_key)
        return;
    (void)module_load("button", &e); /* a machine may do without */
    (void)module_load("evdev", &e);
}

void step_modules(struct boot_context *c) {
    _cleanup_free_ char *text = NULL;
    struct word_reader w = {};

    load_power_key(c);
    (void)conf_files_read("", "modules-load", take_line, c);
    if (file_read(AT_FDCWD, "/proc/cmdline", COMMAND_LINE_MAX, &text, NULL) < 0)
        return;
    for (const char *p = text;; p++) {
        const char *list = word_reader_put(&w, *p) ? startswith(w.word, "modules_load=") : NULL;
        for (char *rest = list ? w.word + (list - w.word) : NULL, *name; (name = strsep(&rest, ","));)
            if (*name)
                load_named(c, name, "modules_load=");
        if (!*p)
            break;
    }
}
