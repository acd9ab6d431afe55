#!/bin/busybox sh
# The init of the Linux guest: come up, and stay.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
cat /proc/version
grep ' linux_banner$' /proc/kallsyms
echo "READY $(cat /proc/uptime)"
while :; do sleep 1000; done
