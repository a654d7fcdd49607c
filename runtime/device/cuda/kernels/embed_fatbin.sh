#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A fatbin as the symbol glet_fatbin_NAME in read-only data, assembled without an executable stack.
# usage: embed_fatbin.sh NAME NAME.fatbin NAME.S
set -eu
cat >"$3" <<EOF
.section .rodata
.balign 16
.global glet_fatbin_$1
.hidden glet_fatbin_$1
.type glet_fatbin_$1, @object
glet_fatbin_$1:
.incbin "$(readlink -f "$2")"
.size glet_fatbin_$1, . - glet_fatbin_$1
.section .note.GNU-stack,"",@progbits
EOF
