# Runs in dom0, behind the lines that start the toolstack: reads dom0's own map and those of two PV
# guests while they run or are paused, and what other tools say of the same. /guest is the small
# guest, /vmlinuz and /guest.gz are Linux.
mount -t tmpfs -o size=90% none /out
export PYTHONDONTWRITEBYTECODE=1

show() { # DOMAIN NAME: findings are no failure, input that cannot be used is
    python3 -m xenp2m show "live:$1" --json > "/out/$2.json" || [ $? -eq 1 ]
}

common='type="pv"
vcpus=1
on_crash="preserve"'
printf 'name="small"\nkernel="/guest"\nmemory=8\nmaxmem=12\n%s\n' "$common" > /small.cfg
printf 'name="linux"\nkernel="/vmlinuz"\nramdisk="/guest.gz"\nmemory=161\nmaxmem=225\ne820_host=1\nextra="%s"\n%s\n' \
    "console=hvc0" "$common" > /linux.cfg

set -e
xl create /small.cfg
xl create /linux.cfg
for _ in $(seq 60); do
    grep -q READY /var/log/xen/console/guest-linux.log && break
    sleep 1
done
show "$(xl domid linux)" linux.running
for name in small linux; do
    id=$(xl domid $name)
    xl pause $name
    show "$id" $name
    xen-mfndump dump-p2m "$id" > /out/$name.mfndump
done
python3 -m xenp2m show live:999 > /out/nobody 2>&1 && exit 1
/p2mlist > /out/p2m.before.txt
show self self
/p2mlist > /out/p2m.txt
