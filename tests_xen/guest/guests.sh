# Runs in dom0, behind the lines that start the toolstack and before every job with guests: the
# configuration of two PV guests, and what jobs do to them. /guest is the small one, /vmlinuz and
# /guest.gz are Linux.
mount -t tmpfs -o size=90% none /out
export PYTHONDONTWRITEBYTECODE=1
common='type="pv"
vcpus=1
on_crash="preserve"'
printf 'name="small"\nkernel="/guest"\nmemory=8\nmaxmem=12\n%s\n' "$common" > /small.cfg
printf 'name="linux"\nkernel="/vmlinuz"\nramdisk="/guest.gz"\nmemory=161\nmaxmem=225\ne820_host=1\nextra="%s"\n%s\n' \
    "console=hvc0 init_on_free=1" "$common" > /linux.cfg

show() { # DOMAIN NAME: findings are no failure, input that cannot be used is
    python3 -m xenp2m show "live:$1" --json > "/out/$2.json" || [ $? -eq 1 ]
}

ready() { # GUEST: its console says so
    for _ in $(seq 60); do
        grep -q READY "/var/log/xen/console/guest-$1.log" && return
        sleep 1
    done
    echo "$1 does not come up"
    return 1
}

