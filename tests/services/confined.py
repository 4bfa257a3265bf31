#!/usr/bin/python3
"""confined.py: run a command under what systemd makes of a service's hardening options.

    confined.py [--deny GROUP]... COMMAND...

    NoNewPrivileges=yes
    SystemCallFilter=@system-service    and of the groups in --deny none; who calls another
                                        system call is ended by SIGSYS
    MemoryDenyWriteExecute=yes          what asks for it gets EPERM

No systemd has to run. The groups are systemd-analyze's, the numbers the compiler's headers'.
Exit status is the command's; 125 where such a thing cannot be had.
"""
import ctypes
import os
import re
import struct
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
KILL, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
EPERM = 1
PROT_WRITE, PROT_EXEC = 2, 4
LOAD, EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06
NUMBER, THIRD = 0, 32  # where they lie in struct seccomp_data; the low half, on a little-endian machine


def groups():
    """What systemd-analyze says: group -> names of system calls, and of groups."""
    text = subprocess.run(["systemd-analyze", "syscall-filter"], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found, name = {}, None
    for line in text.splitlines():
        if line.startswith("@"):
            name = line.strip()
            found[name] = []
        elif line.startswith("    ") and not line.lstrip().startswith("#"):
            found[name].append(line.strip())
    return found


def members(name, all_groups):
    return {name} if name[0] != "@" else set().union(*(members(n, all_groups) for n in all_groups[name]))


def numbers():
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-"], check=True, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.M)}


def program(allowed, number):
    def instruction(code, k, yes=0, no=0):
        return struct.pack("HBBI", code, yes, no, k)

    def protection(name, bits):
        return [instruction(EQUAL, number[name], 0, 4), instruction(LOAD, THIRD), instruction(AND, bits),
                instruction(EQUAL, bits, 0, 1), instruction(RETURN, ERRNO | EPERM), instruction(LOAD, NUMBER)]

    code = [instruction(LOAD, NUMBER)]
    code += protection("mmap", PROT_WRITE | PROT_EXEC)
    code += protection("mprotect", PROT_EXEC)
    code += protection("pkey_mprotect", PROT_EXEC)
    for n in sorted(allowed):
        code += [instruction(EQUAL, n, 0, 1), instruction(RETURN, ALLOW)]
    return code + [instruction(RETURN, KILL)]


def main():
    arguments = sys.argv[1:]
    denied = set()
    try:
        all_groups, number = groups(), numbers()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"confined.py: {error}", file=sys.stderr)
        return 125
    while arguments[0] == "--deny":
        denied |= members(arguments[1], all_groups)
        del arguments[:2]
    names = members("@system-service", all_groups) - denied
    code = program({number[n] for n in names if n in number}, number)
    text = b"".join(code)
    buffer = ctypes.create_string_buffer(text, len(text))
    filter_ = struct.pack("HP", len(code), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0) != 0:
        print("confined.py: prctl: " + os.strerror(ctypes.get_errno()), file=sys.stderr)
        return 125
    os.execvp(arguments[0], arguments)


sys.exit(main())
