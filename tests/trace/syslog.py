#!/usr/bin/python3
"""syslog.py: be the syslog daemon of one command, in a /dev of its own.

    syslog.py FILE COMMAND...           every message goes to FILE, one a line
    syslog.py --deaf FILE COMMAND...    it listens, and never reads
    syslog.py --gone FILE COMMAND...    its socket is there, and nobody listens
    syslog.py --none FILE COMMAND...    there is no socket

Needs root. Exit status is the command's, 125 where such a /dev cannot be had. The
command has a minute.
"""
import ctypes
import os
import socket
import subprocess
import sys
import tempfile
import threading

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags):
    if libc.mount(source.encode(), target.encode(), kind, ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), "mount " + target)


def own_dev(beside):
    """A mount namespace whose /dev has what programs need, and nothing else; mounted first beside that file."""
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    new = tempfile.mkdtemp(dir=os.path.dirname(os.path.abspath(beside)))
    mount("none", new, b"tmpfs", 0)
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        open(f"{new}/{name}", "w").close()
        mount(f"/dev/{name}", f"{new}/{name}", None, MS_BIND)
    mount(new, "/dev", None, MS_BIND | MS_REC)
    mount("none", "/dev", None, MS_REC | MS_PRIVATE)


def main():
    arguments = sys.argv[1:]
    way = arguments.pop(0) if arguments[0].startswith("--") else ""
    file = open(arguments.pop(0), "w")
    try:
        own_dev(file.name)
    except OSError as error:
        print(f"syslog.py: {error}", file=sys.stderr)
        return 125
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if way != "--none":
        log.bind("/dev/log")
    if way == "--gone":
        log.close()
    if way:
        return subprocess.run(arguments, timeout=60).returncode

    def listen():
        while message := log.recv(65536):
            print(message.decode(), file=file)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    status = subprocess.run(arguments, timeout=60).returncode
    # An empty message, behind all others, is the end.
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.connect("/dev/log")
    end.send(b"")
    listener.join(30)
    file.close()
    return status


sys.exit(main())
