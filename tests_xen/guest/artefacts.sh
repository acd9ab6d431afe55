# Makes cores, saved streams and lists of two guests as they are built, ballooned and restored.
snapshot() { # GUEST TAG: paused, so that all three see the same map
    xl pause "$1"
    xl dump-core "$1" "/out/$1.$2.core"
    xen-mfndump dump-p2m "$(xl domid "$1")" > "/out/$1.$2.mfndump"
    show "$(xl domid "$1")" "$1.$2"
    xl unpause "$1"
}

restore() { # GUEST TAG: what was saved under that tag
    xl restore "/out/$1.$2.save" || return
    echo "$2" > "/out/$1.restored"
}

set -e
xl create /small.cfg
sleep 1
snapshot small built
xenstore-write "/local/domain/$(xl domid small)/device/suspend/event-channel" 3
xl save small /out/small.built.save
restore small built
sleep 1
snapshot small restored
xl destroy small

xl create /linux.cfg
ready linux
snapshot linux built
xl save -c linux /out/linux.built.save
xl mem-set linux 120
sleep 4
snapshot linux ballooned
xl save linux /out/linux.ballooned.save
restore linux ballooned || restore linux built
sleep 3
snapshot linux restored
cp /var/log/xen/console/guest-linux.log /out/linux.console
