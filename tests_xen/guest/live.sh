# Reads dom0's own map and those of two guests while they run or are paused, and what other tools
# say of the same.
set -e
xl create /small.cfg
xl create /linux.cfg
ready linux
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
