# Makes cores, saved streams and lists of two guests as they are built, ballooned and restored.
snapshot() { # GUEST TAG: paused, so that all three see the same map
    xl pause "$1"
    xl dump-core "$1" "/out/$1.$2.core"
    xen-mfndump dump-p2m "$(xl domid "$1")" > "/out/$1.$2.mfndump"
    show "$(xl domid "$1")" "$1.$2"
    xl unpause "$1"
}

shrink() { # GUEST MIB: until it has; xl gives a restored domain its target and 1 MiB
    xl mem-set "$1" "$2"
    for _ in $(seq 60); do
        mib=$(xl list "$1" | awk 'NR == 2 { print $3 }')
        [ "$mib" -le "$2" ] && return
        sleep 1
    done
    echo "$1 keeps $mib MiB of memory, where it is to have $2"
    return 1
}

trap 'cp /var/log/xen/console/guest-linux.log /out/linux.console' EXIT
set -e
xl create /small.cfg
sleep 1
snapshot small built
xenstore-write "/local/domain/$(xl domid small)/device/suspend/event-channel" 3
xl save small /out/small.built.save
xl restore /out/small.built.save
sleep 1
snapshot small restored
xl destroy small

xl create /linux.cfg
ready linux
snapshot linux built
xl save linux /out/linux.built.save
xl restore /out/linux.built.save
shrink linux 150
snapshot linux ballooned
xl save linux /out/linux.ballooned.save
xl restore /out/linux.ballooned.save
sleep 3
snapshot linux restored
