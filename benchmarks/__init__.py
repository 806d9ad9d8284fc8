"""How long things take, against the kernel's own floor and against other programs.

``python -m benchmarks`` measures everything in one run, prints the tables, and writes ``benchmarks/results.json`` and
``docs/figures/start.svg``; with ``--quick`` it takes under a minute. Nothing here is a test: a machine's noise decides
between two runs, so contenders are interleaved and only figures of one run are compared, as ratios.

    timing      contenders, interleaved rounds, medians
    table       aligned text
    chart       bars as SVG
    figures     what is to be reached
    compiled    the C parts: floor.c (a start with nothing around it), stall.c (do other threads stand still?),
                replay.c (system calls on files with nothing around them), peak.c (memory of a command)
    rootfs      a busybox root file system on a tmpfs
    floor       floor.c as a contender
    peers       bubblewrap, crun, runc, podman, systemd-nspawn, BenchExec, subprocess
    ours        pycgroups as a contender

    startup     one start: floors, pycgroups, peers
    bigprocess  a start from a process with 2 GiB and 8 threads, and what its other threads notice
    throughput  500 starts by two threads
    steady      1,000 starts in a row
    importing   import pycgroups, over an empty interpreter
    command     the whole command line
    bandwidth   1 GiB through stdin and stdout
    images      layers unpacked, images pulled, pushed and started from
    oci         the OCI runtime: its command, and in process; memory
    holding     containers that are held: exec, logs
    many        200 of them at once: starts, ends, memory of helpers and of the kernel; a part of holding
    groups      a cgroup alone: made, limited, measured, removed; 1,000 in a row
    looking     samples of containers that are held: of one, of 200
"""
