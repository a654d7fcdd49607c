#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The systemd unit is one that systemd understands. usage: check_unit.sh UNIT
command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze"; exit 77; }
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
# The program need not be installed for this.
sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$1" > "$folder/$(basename "$1")"
output=$(systemd-analyze verify "$folder/$(basename "$1")" 2>&1) || { echo "$output"; exit 1; }
[ -z "$output" ] || { echo "$output"; exit 1; }
