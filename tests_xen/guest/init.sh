#!/bin/busybox sh
# The init of dom0 and the whole of its user space: load modules, run /job.sh, hand /out over on
# the first virtio disk, power off (which ends QEMU).
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
echo 1 > /proc/sys/kernel/printk
echo "LAB init"
while read -r module; do
    insmod "/lib/modules/$module.ko" || echo "LAB insmod $module fails"
done < /lib/modules/order
mkdir -p /out
(cd / && sh /job.sh) > /run/job.log 2>&1
echo "$?" > /out/status
cp /run/job.log /out
if [ -b /dev/vda ]; then
    tar -c -C /out . | dd of=/dev/vda bs=1M conv=fsync 2> /dev/null
    echo "LAB handed over"
else
    echo "LAB no disk"
fi
poweroff -f
