#!/bin/sh
# Turns interface files into a C header, so that the server can hand out its own description. Needs sh and sed alone.
#
#   embed.sh FILE.varlink... > build/gen/varlink.h
set -eu

echo '/* Made by supervisor/control/embed.sh. Do not edit. */'
echo '#pragma once'
echo 'static const struct varlink_interface {'
echo '    const char *name, *text;'
echo '} varlink_interfaces[] = {'
for file in "$@"; do
    name=${file##*/}
    printf '    {"%s",\n' "${name%.varlink}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/        "/' -e 's/$/\\n"/' "$file"
    echo '    },'
done
echo '};'
