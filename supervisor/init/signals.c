/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "init/signals.h"

#define MACHINE(action, ...) [ROLE_MACHINE] = {action, ##__VA_ARGS__}
#define INSIDE(action, ...) \
    [ROLE_CONTAINER] = {action, ##__VA_ARGS__}, [ROLE_PROCESS] = {action, ##__VA_ARGS__}
#define EVERYWHERE(action, ...) MACHINE(action, ##__VA_ARGS__), INSIDE(action, ##__VA_ARGS__)

/* clang-format off */
const struct signal_rule signal_rules[] = {
    {SIGCHLD, false, {EVERYWHERE(SIGNAL_REAP)}, "a child ended"},
    {SIGTERM, false, {MACHINE(SIGNAL_REEXEC), INSIDE(SIGNAL_STOP, ENDING_EXIT)},
        "stop all units and end; on a machine: davit's own programs are replaced in place"},
    {SIGINT, false, {MACHINE(SIGNAL_STOP, ENDING_REBOOT), INSIDE(SIGNAL_STOP, ENDING_EXIT)},
        "Ctrl-Alt-Delete: reboot; elsewhere Ctrl-C: stop all units and end"},
    {SIGHUP, false, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd reads unit files and davit.conf again"},
    {SIGUSR1, false, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd opens its control sockets again"},
    {SIGUSR2, false, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd writes its state to the log"},
    {SIGPWR, false, {EVERYWHERE(SIGNAL_STOP, ENDING_POWEROFF)}, "the power fails: power off"},
    {SIGWINCH, false, {MACHINE(SIGNAL_FORWARD)}, "the keyboard request: davitd starts kbrequest.target, if there is one"},
    {0, true, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd goes to the default target"},
    {1, true, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd goes to rescue.target"},
    {2, true, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd goes to emergency.target"},
    {3, true, {EVERYWHERE(SIGNAL_STOP, ENDING_HALT)}, "halt"},
    {4, true, {EVERYWHERE(SIGNAL_STOP, ENDING_POWEROFF)}, "power off"},
    {5, true, {EVERYWHERE(SIGNAL_STOP, ENDING_REBOOT)}, "reboot"},
    {6, true, {EVERYWHERE(SIGNAL_STOP, ENDING_KEXEC)}, "reboot by kexec"},
    {7, true, {EVERYWHERE(SIGNAL_STOP, ENDING_SOFT_REBOOT)}, "reboot of userspace only"},
    {13, true, {EVERYWHERE(SIGNAL_FORCE, ENDING_HALT)}, "halt, units are killed"},
    {14, true, {EVERYWHERE(SIGNAL_FORCE, ENDING_POWEROFF)}, "power off, units are killed"},
    {15, true, {EVERYWHERE(SIGNAL_FORCE, ENDING_REBOOT)}, "reboot, units are killed"},
    {16, true, {EVERYWHERE(SIGNAL_FORCE, ENDING_KEXEC)}, "kexec, units are killed"},
    {17, true, {EVERYWHERE(SIGNAL_FORCE, ENDING_SOFT_REBOOT)}, "reboot of userspace, units are killed"},
    {22, true, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd logs debug messages"},
    {23, true, {EVERYWHERE(SIGNAL_FORWARD)}, "davitd logs no debug messages"},
    {25, true, {EVERYWHERE(SIGNAL_REEXEC)}, "davit's own programs are replaced in place"},
};
/* clang-format on */
const size_t n_signal_rules = ARRAY_SIZE(signal_rules);

const struct signal_rule *signal_rule_find(int number) {
    for (size_t i = 0; i < n_signal_rules; i++)
        if (number == signal_rule_number(&signal_rules[i]))
            return &signal_rules[i];
    return NULL;
}
