# Runs in dom0, behind the lines that start the toolstack: cores, saved streams and lists of two PV
# guests. /guest is the small one, /vmlinuz and /guest.gz are Linux.
mount -t tmpfs -o size=90% none /out

snapshot() { # GUEST TAG: paused, so that all three see the same map
    xl pause "$1" &&
        xl dump-core "$1" "/out/$1.$2.core" &&
        xen-mfndump dump-p2m "$(xl domid "$1")" > "/out/$1.$2.mfndump" &&
        xl unpause "$1"
}

ready() { # GUEST: its console says so
    for _ in $(seq 60); do
        grep -q READY "/var/log/xen/console/guest-$1.log" && return
        sleep 1
    done
    echo "$1 does not come up"
    return 1
}

common='type="pv"
vcpus=1
on_crash="preserve"'
printf 'name="small"\nkernel="/guest"\nmemory=8\nmaxmem=12\n%s\n' "$common" > /small.cfg
printf 'name="linux"\nkernel="/vmlinuz"\nramdisk="/guest.gz"\nmemory=161\nmaxmem=225\ne820_host=1\nextra="%s"\n%s\n' \
    "console=hvc0 init_on_free=1" "$common" > /linux.cfg

set -e
xl create /small.cfg
sleep 1
snapshot small built
xenstore-write "/local/domain/$(xl domid small)/device/suspend/event-channel" 3
xl save small /out/small.save
xl restore /out/small.save
sleep 1
snapshot small restored
xl destroy small

xl create /linux.cfg
ready linux
snapshot linux built
xl mem-set linux 120
sleep 4
snapshot linux ballooned
xl save linux /out/linux.save
xl restore /out/linux.save
sleep 3
snapshot linux restored
cp /var/log/xen/console/guest-linux.log /out/linux.console
