#!/usr/bin/python3
"""sample.py: traces for the tests of p11shim report, and to look at.

    sample.py rich DIRECTORY    three processes, forks, three consumers, two modules,
                                findings of five kinds, a crash, 2,000 calls; stacks are
                                those of DIRECTORY (see build)
    sample.py big CALLS         as many calls, in three processes with forks
    sample.py hostile           names that try to be markup, shell, terminal control

To standard output, always the same.
"""
import json
import random
import subprocess
import sys

PLUGIN, SIGNER, ENGINE = "libplugin.so", "signer", "libengine-pkcs11.so"
HSM, CARD = "libsofthsm2.so", "opensc-pkcs11.so"
PATHS = {
    HSM: "/usr/lib/softhsm/libsofthsm2.so",
    CARD: "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    ENGINE: "/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so",
}
BEGIN = 86_400_000_000.0  # a machine that has been up for a day


class Trace:
    """Lines, in the order in which they would be written (a call when it returns)."""

    def __init__(self, stacks):
        self.lines = []
        self.stacks = stacks
        self.random = random.Random(11)
        self.spans = {}

    def write(self, at, event):
        self.lines.append((at, len(self.lines), event))

    def event(self, ph, cat, name, pid, tid, ts, **more):
        event = {"ph": ph, "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": round(BEGIN + ts, 3)}
        event.update(more)
        if ph == "i":
            event["s"] = {"life": "t", "finding": "g"}.get(cat, "p")
        self.write(ts + (more.get("dur") or 0), event)

    def stack(self, what):
        return self.stacks.get(what, []) if what else []

    def start(self, pid, ts, program, parent):
        name = program.rsplit("/", 1)[-1]
        second = 28_800 + ts / 1e6
        clock = "2026-11-27T%02d:%02d:%09.6fZ" % (second // 3600, second // 60 % 60, second % 60)
        self.event("i", "process", "start", pid, pid, ts,
                   args={"program": program, "parent": parent, "time": clock, "version": "1", "mode": "calls"})
        self.event("M", "", "process_name", pid, pid, ts, args={"name": name})
        for path, build_id in self.build_ids.items():
            self.event("M", "", "object", pid, pid, ts, args={"path": path, "build_id": build_id})

    build_ids = {}

    def life(self, pid, tid, ts, name, consumer, module, rv="CKR_OK", detail="", stack=None):
        self.event("i", "life", name, pid, tid, ts, args={
            "consumer": consumer, "module": module, "rv": rv, "detail": detail, "stack": self.stack(stack)})

    def span(self, ph, cat, pid, tid, ts, module, consumer=None):
        name = consumer if cat == "consumer" else module
        number = self.spans.setdefault((pid, cat, module, consumer), len(self.spans))
        args = {}
        if ph == "b":
            args = {"module": module, "path": PATHS.get(name, "/usr/bin/" + name)}
            if consumer:
                args = {"consumer": consumer, **args}
        self.event(ph, cat, name, pid, tid, ts, id="%d.%d" % (pid, number), args=args)

    def call(self, pid, tid, ts, dur, name, consumer, module, rv="CKR_OK", **parameters):
        self.event("X", "call", name, pid, tid, ts, dur=round(dur, 3),
                   args={"consumer": consumer, "module": module, "rv": rv, **parameters})
        return ts + dur

    def initialise(self, pid, tid, ts, consumer, module, real, stack):
        self.call(pid, tid, ts, 1900 if real else 12, "C_Initialize", consumer, module, pInitArgs={"flags": 2})
        end = ts + (1900 if real else 12)
        if real:
            self.life(pid, tid, end - 5, "real C_Initialize", "-", module)
            self.span("b", "module", pid, tid, end - 4, module)
        self.life(pid, tid, end, "C_Initialize", consumer, module, stack=stack)
        self.span("b", "consumer", pid, tid, end, module, consumer)
        return end

    def finalise(self, pid, tid, ts, consumer, module, real, stack):
        end = self.call(pid, tid, ts, 900 if real else 9, "C_Finalize", consumer, module, pReserved=None)
        self.life(pid, tid, end, "C_Finalize", consumer, module, stack=stack)
        self.span("e", "consumer", pid, tid, end, module, consumer)
        if real:
            self.life(pid, tid, end, "real C_Finalize", "-", module)
            self.span("e", "module", pid, tid, end, module)
        return end

    def finding(self, pid, tid, ts, name, consumer, module, call, text, *stacks, more=0):
        args = {"consumer": consumer, "module": module, "call": call, "text": text, "stacks": [
            {"what": what, "pid": of, "tid": thread, "ts": round(BEGIN + at, 3), "stack": self.stack(stack)}
            for what, of, thread, at, stack in stacks]}
        if more:
            args["more"] = more
        self.event("i", "finding", name, pid, tid, ts, cname="terrible", args=args)

    def fork(self, parent, thread, child, ts, program):
        first = ts + 900
        self.start(child, first, program, parent)
        self.event("X", "fork", "fork", parent, thread, ts, dur=1.0, args={"child": child})
        self.event("s", "fork", "fork", parent, thread, ts, id="%d.%d" % (child, ts))
        self.event("X", "fork", "forked", child, child, first, dur=1.0, args={"parent": parent})
        self.event("f", "fork", "fork", child, child, first, bp="e", id="%d.%d" % (child, ts))

    def work(self, pid, tids, begin, end, consumer, module, count, slow=1.0):
        """Sessions that find a key and sign with it, in turns on some threads."""
        at = {tid: begin + self.random.random() * 2000 for tid in tids}
        gap = (end - begin) * len(tids) / max(count, 1)
        for n in range(count):
            tid = tids[n % len(tids)]
            name, typical, parameters = STEPS[n // len(tids) % len(STEPS)]
            rv = "CKR_OK"
            if self.random.random() < 0.012:
                rv = self.random.choice(["CKR_SESSION_HANDLE_INVALID", "CKR_BUFFER_TOO_SMALL", "CKR_USER_NOT_LOGGED_IN"])
            took = slow * typical * self.random.lognormvariate(0, 0.6)
            took = min(took, gap * 0.9)
            self.call(pid, tid, at[tid], took, name, consumer, module, rv, **parameters(self.random))
            at[tid] += took + max(0, self.random.gauss(gap - took, gap / 5))
            if at[tid] >= end:
                break

    def print(self):
        print("[")
        for _, _, event in sorted(self.lines, key=lambda line: line[:2]):
            print(json.dumps(event, separators=(",", ":"), ensure_ascii=False) + ",")


STEPS = [
    ("C_OpenSession", 30, lambda r: {"slotID": 0, "flags": "CKF_SERIAL_SESSION|CKF_RW_SESSION", "phSession": r.randint(1, 9)}),
    ("C_FindObjectsInit", 45, lambda r: {"hSession": r.randint(1, 9), "pTemplate": ["CKA_CLASS=CKO_PRIVATE_KEY", "CKA_TOKEN=true", "CKA_ID[20]"], "ulCount": 3}),
    ("C_FindObjects", 80, lambda r: {"hSession": r.randint(1, 9), "ulMaxObjectCount": 10, "pulObjectCount": "1"}),
    ("C_FindObjectsFinal", 6, lambda r: {"hSession": r.randint(1, 9)}),
    ("C_SignInit", 25, lambda r: {"hSession": r.randint(1, 9), "pMechanism": "CKM_RSA_PKCS", "hKey": r.randint(2, 4)}),
    ("C_Sign", 1800, lambda r: {"hSession": r.randint(1, 9), "pData": None, "ulDataLen": 32, "pulSignatureLen": "256"}),
    ("C_GetAttributeValue", 14, lambda r: {"hSession": r.randint(1, 9), "hObject": r.randint(2, 4), "pTemplate": ["CKA_MODULUS[256]"]}),
    ("C_CloseSession", 11, lambda r: {"hSession": r.randint(1, 9)}),
]


def read_stacks(directory):
    stacks, build_ids = {}, {}
    with open(directory + "/stacks", encoding="utf-8") as file:
        for line in file:
            what, *frames = line.rstrip("\n").split("\t")
            stacks[what] = frames
            for frame in frames:
                path = frame.rsplit("+", 1)[0]
                if path not in build_ids:
                    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=False).stdout
                    build_ids[path] = next((line.split()[-1] for line in notes.split("\n") if "Build ID:" in line), "")
    return stacks, build_ids


def rich(directory):
    stacks, build_ids = read_stacks(directory)
    t = Trace(stacks)
    t.build_ids = build_ids
    program = directory + "/signer"
    PATHS.update({PLUGIN: directory + "/libplugin.so", SIGNER: program})
    main, first, second = 4711, 4730, 4734
    t.start(main, 0, program, 4242)
    for tid, name in ((main, "signer"), (4713, "pool-1"), (4714, "pool-2"), (4716, "card")):
        t.event("M", "", "thread_name", main, tid, 0, args={"name": name})
    t.life(main, main, 400, "load", "-", HSM, "", PATHS[HSM])
    started = t.initialise(main, main, 2_000, PLUGIN, HSM, True, "initialise")
    t.initialise(main, main, 9_000, SIGNER, HSM, False, "serve")
    t.life(main, main, 11_000, "C_OpenSession", PLUGIN, HSM, detail="session=1", stack="sign")
    t.life(main, main, 14_000, "C_Login", PLUGIN, HSM, detail="session=1", stack="initialise")
    t.work(main, [4713, 4714], 20_000, 1_150_000, PLUGIN, HSM, 980)
    t.work(main, [main], 24_000, 1_100_000, SIGNER, HSM, 180, 0.2)

    t.life(main, main, 180_000, "load", "-", CARD, "", PATHS[CARD])
    t.initialise(main, main, 190_000, SIGNER, CARD, True, "serve")
    t.work(main, [4716], 200_000, 400_000, SIGNER, CARD, 60, 3)
    t.life(main, main, 430_000, "dlclose", "-", CARD, "", "kept: still initialised", "serve")
    t.finding(main, main, 430_001, "unload-while-initialised", SIGNER, CARD, "dlclose",
              "dlclose of opensc-pkcs11.so while signer has it initialised",
              ("dlclose, now", main, main, 430_001, "serve"), ("initialised by signer", main, main, 191_900, "initialise"))
    t.finalise(main, main, 452_000, SIGNER, CARD, True, "finalise")
    t.life(main, main, 453_000, "unload", "-", CARD, "")

    for child, at, calls in ((first, 300_000, 380), (second, 520_000, 330)):
        t.fork(main, main, child, at, program)
        t.event("M", "", "thread_name", child, child, at + 900, args={"name": "worker"})
        t.finding(child, child, at + 950, "inherited-handle", PLUGIN, HSM, "C_SignInit",
                  "libplugin.so used session 1, opened in process 4711 before the fork",
                  ("C_SignInit of libplugin.so, now", child, child, at + 950, "sign"),
                  ("session opened by libplugin.so", main, main, 11_000, "initialise"))
        t.initialise(child, child, at + 2_000, PLUGIN, HSM, True, "initialise")
        t.work(child, [child, child + 1], at + 5_000, at + 480_000, PLUGIN, HSM, calls)
    t.finding(second, second, 700_000, "inherited-handle", PLUGIN, HSM, "C_SignInit",
              "libplugin.so used session 1, opened in process 4711 before the fork", more=41)
    t.initialise(first, first, 330_000, ENGINE, HSM, False, "serve")
    t.work(first, [first + 2], 340_000, 760_000, ENGINE, HSM, 120)
    t.finalise(first, first, 800_000, PLUGIN, HSM, False, "finalise")
    t.finding(first, first, 812_000, "double-finalise", PLUGIN, HSM, "C_Finalize",
              "libplugin.so called C_Finalize more often than C_Initialize",
              ("C_Finalize of libplugin.so, now", first, first, 812_000, "finalise-again"),
              ("finalised before by libplugin.so", first, first, 800_009, "finalise"),
              ("initialised by libplugin.so", first, first, 303_900, "initialise"))
    t.finding(first, first, 815_000, "initialise-leaked", ENGINE, HSM, "",
              "libengine-pkcs11.so never finalised libsofthsm2.so",
              ("process exits", first, first, 815_000, "at-exit"),
              ("initialised by libengine-pkcs11.so", first, first, 330_012, "serve"))
    t.event("i", "crash", "SIGSEGV", second, second, 1_006_000, args={
        "address": "0x18", "stack": ["0x18"] + t.stack("sign"), "in_flight": [
            {"tid": second + 1, "consumer": PLUGIN, "module": HSM, "call": "C_Sign", "us": 1234}]})

    end = t.finalise(main, main, 1_180_000, SIGNER, HSM, False, "finalise")
    end = t.finalise(main, main, end + 3_000, PLUGIN, HSM, True, "finalise")
    t.life(main, main, 1_190_000, "retire", "-", HSM, "")
    t.finding(main, main, 1_200_000, "call-at-exit", PLUGIN, HSM, "C_CloseSession",
              "libplugin.so called C_CloseSession after libsofthsm2.so began to destroy itself",
              ("C_CloseSession of libplugin.so, now", main, main, 1_200_000, "finalise-again"),
              ("initialised by libplugin.so", main, main, started, "initialise"))
    t.print()


def big(calls):
    t = Trace({})
    t.start(100, 0, "/usr/bin/big", 1)
    t.initialise(100, 100, 10, SIGNER, HSM, True, None)
    length = calls * 40
    share = calls // 3
    t.fork(100, 100, 101, 5_000, "/usr/bin/big")
    t.fork(100, 100, 102, 9_000, "/usr/bin/big")
    for pid, of in ((100, SIGNER), (101, PLUGIN), (102, ENGINE)):
        t.work(pid, [pid, pid + 10], 20_000, length, of, HSM, share, 0.2)
    t.print()


def hostile():
    names = ["</script><img src=x onerror=alert(1)>", "<!--", "$(touch pwned)`touch pwned`'; touch pwned; '",
             "-x", "new\nline", "\x1b[31mred\x07", "a\"b\\c", "‮elifrev", "@DATA@", "@JS@", "null", "", " ", "__proto__", "constructor",
             "NUL\x00NUL", "%s%n", "é中😀", "&lt;b&gt;", "x" * 3000]
    t = Trace({})
    t.start(7, 0, names[0], 1)
    t.event("M", "", "process_name", 7, 7, 0, args={"name": names[0]})
    for n, name in enumerate(names):
        other = names[(n + 1) % len(names)]
        t.stacks = {"s": [name + "+0x12", "/nowhere/" + name + "+0x34", "0x99", "+0x1", name]}
        t.event("M", "", "thread_name", 7, 7 + n, n, args={"name": name})
        t.event("M", "", "object", 7, 7, n, args={"path": name, "build_id": other})
        t.life(7, 7, 10 + n, name, other, name, name, name, "s")
        t.event("b", "module", name, 7, 7, 20 + n, id=name, args={"module": name, "path": name})
        t.event("b", "consumer", name, 7, 7, 20 + n, id=name, args={"module": name, "consumer": other, "path": name})
        t.call(7, 7 + n, 100 + 10 * n, 5, name, other, name, name, **{name: name, "list": [name, name]})
        t.finding(7, 7, 300 + n, name, other, name, name, name, (name, 7, 7, 300 + n, "s"))
        t.event("i", "crash", name, 7, 7, 400 + n, args={"address": name, "stack": t.stack("s"), "in_flight": [
            {"tid": 1, "consumer": name, "module": other, "call": name, "us": 1}]})
    t.print()
    odd = {"ph": "i", "cat": "finding", "name": "double-finalise", "pid": 7, "tid": 7, "ts": BEGIN}
    for args in (None, {}, [], "text", {"stacks": 1}, {"stacks": [1, None, {"stack": "x"}, {"stack": [1, "y"]}]},
                 {"consumer": {"a": 1}, "module": [], "more": "many"}, {"more": -1e300}):
        print(json.dumps({**odd, "args": args}) + ",")
    for broken in ({"ts": "soon"}, {"ts": -1}, {"ts": 1e300}, {"pid": None}, {"name": 7}, {"ph": 7}):
        print(json.dumps({**odd, "args": {}, **broken}) + ",")


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogatepass")
    if sys.argv[1] == "rich":
        rich(sys.argv[2])
    elif sys.argv[1] == "big":
        big(int(sys.argv[2]))
    else:
        hostile()
