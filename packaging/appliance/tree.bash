# What a root file system with davit needs, for the appliance and for the machines of tests/vm.
# shellcheck shell=bash

# tree_install BUILD TREE: davit as `make install` puts it there, stripped, with the libraries it is linked with, the loader
# included, at the places where the loader looks for them. The tree's own directories for programs and libraries stay.
tree_install() {
    local build=$1 tree=$2 file name
    mkdir -p "$tree"/usr/{bin,sbin,lib,lib64}
    for name in bin sbin lib lib64; do [ -e "$tree/$name" ] || ln -s "usr/$name" "$tree/$name"; done
    MAKEFLAGS='' make --no-print-directory -s O="$build" DESTDIR="$tree" install-programs
    rm -rf "$tree/usr/share/doc/davit"
    find "$tree/usr/lib/davit" "$tree/usr/sbin/davit-init" "$tree/usr/bin/davit" -type f -perm /111 -exec strip --strip-unneeded {} +
    # davit-image is for machines that build images; it says itself what it lacks.
    ldd "$build/davitd" "$build/davit" | awk '$2 == "=>" {print $3} $1 ~ /^\// && NF == 2 {print $1}' | sort -u | while read -r file; do
        [ -e "$tree$file" ] || cp -L --parents "$file" "$tree"
    done
}

# tree_modules KERNEL TREE MODULE...: these modules of KERNEL/lib/modules, with what they depend on; the kernel's version is the
# only directory there. A kernel that has one of them built in, or has it not, is no error.
tree_modules() {
    local kernel=$1 tree=$2 version module
    shift 2
    version=$(basename "$kernel"/lib/modules/*)
    mkdir -p "$tree/usr/lib/modules/$version"
    cp "$kernel/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$tree/usr/lib/modules/$version/"
    for module; do
        { modprobe -d "$kernel" -S "$version" --show-depends "$module" 2>/dev/null || true; } | awk '$1 == "insmod" {print $2}'
    done | sort -u | while read -r module; do
        install -Dm644 -t "$tree/usr/lib/modules/$version/$(dirname "${module#*"/$version/"}")" "$module"
    done
    # The smallest of machines has nothing to unpack them with.
    find "$tree/usr/lib/modules" -name '*.ko.xz' -exec unxz {} +
    depmod -b "$tree/usr" "$version" 2>/dev/null || depmod -b "$tree" "$version"
}
