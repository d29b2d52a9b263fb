#!/usr/bin/env python3
"""Prints every attribute of every file below a directory, one a line, so that two trees can be compared with diff."""
import hashlib
import os
import stat
import sys

root = os.fsencode(sys.argv[1])
skip = {os.fsencode(a) for a in sys.argv[2:]}
first = {}


def attributes(path):
    l = []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if name.startswith(('trusted.overlay.', 'security.selinux')):
            continue
        l.append('%s=%s' % (name, os.getxattr(path, name, follow_symlinks=False).hex()))
    return ','.join(l)


def show(path):
    name = os.path.relpath(path, root)
    st = os.lstat(path)
    content = ''
    if stat.S_ISLNK(st.st_mode):
        content = os.fsdecode(os.readlink(path))
    elif stat.S_ISREG(st.st_mode):
        with open(path, 'rb') as f:
            content = hashlib.sha256(f.read()).hexdigest()
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        content = '%d:%d' % (os.major(st.st_rdev), os.minor(st.st_rdev))
    link = ''
    if not stat.S_ISDIR(st.st_mode) and st.st_nlink > 1:
        link = os.fsdecode(first.setdefault((st.st_dev, st.st_ino), name))
    print(repr(name), oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns, content, link, attributes(path))


def walk(directory):
    show(directory)
    for entry in sorted(os.scandir(directory), key=lambda e: e.name):
        if os.path.relpath(entry.path, root) in skip:
            continue
        if entry.is_dir(follow_symlinks=False):
            walk(entry.path)
        else:
            show(entry.path)


walk(root)
