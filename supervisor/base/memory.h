/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory of the process itself. */
#pragma once

/* Lets go of the program's own code pages, which the kernel maps generously (64 KiB around each one that is
 * touched). What is still used comes back from the page cache when it is next called. For a static program
 * that has started up and will from now on run in a small loop: its share of memory (PSS) is then that of the
 * loop. Also of stack pages that nothing uses any more. */
void memory_trim(void);
