#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Which shared libraries each program names. GLPK is GPL-3.0-or-later and CUDA is proprietary: no
# program may have both, and CUDA is never linked, only opened at run time.
# usage: needed.sh PROGRAM...
status=0
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
refuse() { # PROGRAM PATTERN REASON
    for library in $(needed "$1" | grep -E "$2"); do
        echo "$(basename "$1") needs $library: $3"
        status=1
    done
}
command -v readelf >/dev/null || { echo "no readelf"; exit 77; }
for program; do
    [ -n "$(needed "$program")" ] || { echo "$program names no library at all"; status=1; }
    refuse "$program" '^lib(cuda|cudart|cudnn|cublas|nvidia|nvrtc|cupti)' "NVIDIA's libraries are opened at run time"
    case "$(basename "$program")" in
    plan) refuse "$program" '^lib(dnnl|microhttpd|http_parser)' "plan neither computes nor serves" ;;
    gpulet-runtime) refuse "$program" '^lib(glpk|sqlite3|gmp)' "the runtime takes a plan; it does not make one" ;;
    profile-models) refuse "$program" '^lib(glpk|microhttpd|http_parser)' "profiling neither solves nor serves" ;;
    gpulet-load) refuse "$program" '^lib(glpk|sqlite3|dnnl|microhttpd)' "the load generator shares only common" ;;
    *) echo "no rule for $program"; status=1 ;;
    esac
    echo "$(basename "$program"): $(needed "$program" | tr '\n' ' ')"
done
exit $status
