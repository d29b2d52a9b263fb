/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walking JSON, in the form of the other ..._FOREACH. What is no array or object has no elements. */
#pragma once

#include <jansson.h>

#define JSON_ARRAY_FOREACH(i, item, array) \
    for ((i) = 0; (i) < json_array_size(array) && ((item) = json_array_get((array), (i))); (i)++)

#define JSON_OBJECT_FOREACH(name, value, object) \
    for (void *iterator_##value = json_object_iter(object); \
         iterator_##value && ((name) = json_object_iter_key(iterator_##value)) && \
         ((value) = json_object_iter_value(iterator_##value)); \
         iterator_##value = json_object_iter_next((object), iterator_##value))
