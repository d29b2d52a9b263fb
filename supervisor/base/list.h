/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A doubly linked list with its links inside the elements. The head is a link as well; an unlinked link
 * points to itself, so list_remove() is always safe on an initialised one. */
#pragma once

#include "base/macro.h"

struct list {
    struct list *next, *previous;
};

#define LIST_INIT(name) \
    { &(name), &(name) }

static inline void list_init(struct list *l) {
    l->next = l->previous = l;
}
static inline bool list_empty(const struct list *head) {
    return head->next == head;
}
static inline void list_insert_before(struct list *at, struct list *link) {
    link->previous = at->previous;
    link->next = at;
    at->previous->next = link;
    at->previous = link;
}
static inline void list_append(struct list *head, struct list *link) {
    list_insert_before(head, link);
}
static inline void list_prepend(struct list *head, struct list *link) {
    list_insert_before(head->next, link);
}
/* Leaves link unlinked (pointing to itself). */
static inline void list_remove(struct list *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}
#define LIST_ENTRY(ptr, type, member) container_of(ptr, type, member)
/* The element may be removed inside the loop. */
#define LIST_FOREACH(item, head, type, member) \
    for (type *item = LIST_ENTRY((head)->next, type, member), \
              *next_##item = LIST_ENTRY((item)->member.next, type, member); \
         &(item)->member != (head); \
         (item) = next_##item, next_##item = LIST_ENTRY(next_##item->member.next, type, member))
