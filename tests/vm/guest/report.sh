# Run the command: its output goes to the host, and in the end its exit code.
. /run/vm/settings
exec 5>/dev/vport0p1
mkfifo /run/vm/out
cat </run/vm/out >&5 &
reader=$!
echo "$TOKEN ready" >&5
(
    exec 5>&- >/run/vm/out 2>&1 </dev/null
    exec setsid /run/vm/busybox sh /run/vm/command
) &
wait $!
code=$?
# What the command left running would keep its output open for ever.
for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    case $pid in 1 | $$ | $reader) continue ;; esac
    [ -e $dir/exe ] && kill -9 $pid 2>/dev/null
done
wait $reader
echo "$TOKEN exit $code" >&5
sleep 10
reboot -f
