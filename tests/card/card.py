#!/usr/bin/env python3
"""card.py: a smart card that is a program: a PIV card for pcscd's virtual readers.

    card.py --directory DIR [--port 35963] [--pin 123456] [--tries 3] [--log FILE]

    --directory  where card.pem is, the key and its certificate (CN=card); made
                 with openssl if it is not there
    --port       of the reader: vpcd (package vsmartcard-vpcd) has two, 35963
                 and 35964
    --pin        6 to 8 digits
    --tries      how many wrong PINs in a row block the card
    --log        a line for each command: its header, how many bytes follow it,
                 the status; never the bytes, where the PIN is. A login is
                 `00 20 00 80 (9 bytes)`, a signature ends in `00 87 07 9a`

    SIGUSR1      takes the card out of the reader
    SIGUSR2      puts it in again
    SIGTERM      ends the program

Prints `inserted` and `removed`. A reader that is not there (yet) is tried for
a minute, as is one that goes away; then the exit status is 1.

The card does what a consumer needs in order to find a certificate, to log in
and to sign: one RSA-2048 key, the PIV authentication key 9A. It is not to be
written to. Nothing is remembered: a card that wrong PINs have blocked is as new
when the program is started again. Taken out, without power or reset, it forgets
the login and the selection, not the wrong PINs.

References are to NIST SP 800-73-4, parts 1 (data) and 2 (commands).
"""

import argparse
import base64
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 60  # seconds, for a reader

# ---- Status words: part 2, 5.6

OK = 0x9000
MORE = 0x6100  # and how many bytes
WRONG_PIN = 0x63C0  # and how many tries are left
WRONG_LENGTH = 0x6700
NOT_AUTHORISED = 0x6982
BLOCKED = 0x6983
WRONG_DATA = 0x6A80
NOT_FOUND = 0x6A82
WRONG_P1_P2 = 0x6A86
NO_SUCH_REFERENCE = 0x6A88
UNKNOWN_COMMAND = 0x6D00
UNKNOWN_CLASS = 0x6E00


class Refused(Exception):
    """A command ends with this status word and no data."""

    def __init__(self, status):
        super().__init__(f"{status:04X}")
        self.status = status


# ---- BER-TLV


def tlv(tag, value=b""):
    """One data object; the tag is a number as it is written, such as 0x5F50."""
    size = len(value)
    if size < 0x80:
        length = bytes([size])
    elif size < 0x100:
        length = bytes([0x81, size])
    else:
        length = bytes([0x82]) + size.to_bytes(2, "big")
    return tag.to_bytes((tag.bit_length() + 7) // 8, "big") + length + value


def parse(data):
    """A list of (tag, value), for tags of one byte. ValueError if malformed."""
    found = []
    while data:
        if len(data) < 2:
            raise ValueError("half a data object")
        tag, size, start = data[0], data[1], 2
        if size >= 0x80:
            start = 2 + (size & 0x7F)
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            raise ValueError("half a value")
        found.append((tag, data[start : start + size]))
        data = data[start + size :]
    return found


# ---- The key and its certificate


def make_key(path):
    """Several processes may do it at once: the first has made it."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as directory:
        key, certificate, both = (os.path.join(directory, name) for name in ("key", "certificate", "both"))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "3650",
             "-subj", "/CN=card", "-keyout", key, "-out", certificate],
            check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with open(both, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
            for name in key, certificate:
                with open(name, "rb") as part:
                    out.write(part.read())
        try:
            os.link(both, path)
        except FileExistsError:
            pass


def load_key(path):
    """(modulus, private exponent, certificate): from PKCS #8 and X.509 in PEM."""
    with open(path, encoding="ascii") as file:
        blocks = re.findall(r"-----BEGIN ([A-Z ]+)-----(.*?)-----END", file.read(), re.DOTALL)
    der = {name: base64.b64decode(text) for name, text in blocks}
    [(_, key_info)] = parse(der["PRIVATE KEY"])
    _version, _algorithm, (_, rsa_key) = parse(key_info)[:3]
    [(_, numbers)] = parse(rsa_key)
    modulus, _public, private = (int.from_bytes(value, "big") for _, value in parse(numbers)[1:4])
    return modulus, private, der["CERTIFICATE"]


# ---- What lies on the card: part 1, sections 3 and 4, appendix A

AID = bytes.fromhex("A000000308 00001000 0100")  # RID, PIX, version
AID_WITHOUT_VERSION = AID[:9]

# What SELECT answers: part 2, 3.1.1.
APPLICATION = tlv(0x61, tlv(0x4F, AID[5:]) + tlv(0x79, tlv(0x4F, AID[:5])) + tlv(0x50, b"libp11shim test card"))

CHUID, CCC, CERTIFICATE_9A, DISCOVERY = 0x5FC102, 0x5FC107, 0x5FC105, 0x7E

# Card Holder Unique Identifier: an agency of 9999 says that the GUID counts.
CHUID_CONTENT = (
    tlv(0x30, bytes.fromhex("D4E739DA739CED39CE739D836858210842108421C84210C3EB"))  # FASC-N
    + tlv(0x34, b"libp11shim card1")  # GUID, 16 bytes
    + tlv(0x35, b"20991231")  # expires
    + tlv(0x3E)  # issuer's signature
    + tlv(0xFE)
)

# Card Capability Container: nothing in it but its versions.
CCC_CONTENT = (
    tlv(0xF0, bytes.fromhex("A000000116 FF 02") + b"libp11shimcard")
    + tlv(0xF1, b"\x21")
    + tlv(0xF2, b"\x21")
    + tlv(0xF3)
    + tlv(0xF4, b"\x00")
    + tlv(0xF5, b"\x10")
    + b"".join(tlv(tag) for tag in (0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE))
)

# 3.3.2: the application and its PIN policy, which is the application's PIN only.
DISCOVERY_CONTENT = tlv(0x4F, AID) + tlv(0x5F2F, b"\x40\x00")

PIN, KEY_9A, KEY_9B, RSA_2048, TRIPLE_DES = 0x80, 0x9A, 0x9B, 0x07, (0x00, 0x03)


def answer_to_reset():
    """T=1; names the application in full, chains commands (ISO 7816-4, 8.1.1)."""
    historical = bytes.fromhex("80 73 80 01 80")
    body = bytes([0x80 | len(historical), 0x01]) + historical
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes([check])


class Card:
    def __init__(self, key_path, pin, tries):
        self.modulus, self.private, certificate = load_key(key_path)
        self.pin = pin.encode("ascii").ljust(8, b"\xff")
        self.tries = self.tries_left = tries
        self.objects = {
            CHUID: tlv(0x53, CHUID_CONTENT),
            CCC: tlv(0x53, CCC_CONTENT),
            CERTIFICATE_9A: tlv(0x53, tlv(0x70, certificate) + tlv(0x71, b"\x00") + tlv(0xFE)),
            DISCOVERY: tlv(DISCOVERY, DISCOVERY_CONTENT),
        }
        self.commands = {
            0x20: self.verify,
            0x87: self.general_authenticate,
            0xA4: self.select,
            0xCB: self.get_data,
        }
        self.reset()

    def reset(self):
        """Power comes, goes, or a reset: part 2, 2.4."""
        self.selected = self.verified = False
        self.chain = None  # header and data of a command of which more is to come
        self.rest = b""  # what of an answer waits for GET RESPONSE

    def answer(self, apdu):
        """The answer to a command: data and the two bytes of the status."""
        try:
            data, status = self.run(apdu)
        except Refused as refusal:
            data, status = b"", refusal.status
        return data + status.to_bytes(2, "big")

    def run(self, apdu):
        """(data, status). Chaining of commands and answers: part 2, 4.2."""
        if len(apdu) < 4:
            raise Refused(WRONG_LENGTH)
        header, body = apdu[:4], apdu[4:]
        data, limit = split(body)
        if header[0] & 0xEF:
            raise Refused(UNKNOWN_CLASS)
        if header[1] == 0xC0:  # GET RESPONSE
            return self.first_of(self.rest, limit)
        self.rest = b""
        if self.chain and self.chain[0] == header[1:]:
            data = self.chain[1] + data
        self.chain = None
        if header[0] & 0x10:
            self.chain = header[1:], data
            return b"", OK
        command = self.commands.get(header[1])
        if not command or not (self.selected or command == self.select):
            raise Refused(UNKNOWN_COMMAND)
        return self.first_of(command(header[2], header[3], data), limit)

    def first_of(self, data, limit):
        self.rest = data[limit:]
        status = MORE | min(len(self.rest), 0x100) & 0xFF if self.rest else OK
        return data[:limit], status

    # Each command takes P1, P2 and its data, and returns the data of its answer.

    def select(self, p1, _p2, data):
        """3.1.1. Another application there is not; then nothing changes."""
        if p1 != 0x04:
            raise Refused(WRONG_P1_P2)
        if not (data.startswith(AID_WITHOUT_VERSION) and AID.startswith(data)):
            raise Refused(NOT_FOUND)
        self.selected = True
        return APPLICATION

    def get_data(self, p1, p2, data):
        """3.1.2"""
        if (p1, p2) != (0x3F, 0xFF):
            raise Refused(WRONG_P1_P2)
        [(tag, name)] = well_formed(data, 1)
        if tag != 0x5C:
            raise Refused(WRONG_DATA)
        try:
            return self.objects[int.from_bytes(name, "big")]
        except KeyError:
            raise Refused(NOT_FOUND) from None

    def verify(self, p1, p2, data):
        """3.2.1: without a PIN it asks for the state, with P1 = FF it logs out."""
        if p2 != PIN:
            raise Refused(NO_SUCH_REFERENCE)
        if p1 == 0xFF and not data:
            self.verified = False
            return b""
        if p1 != 0x00:
            raise Refused(WRONG_P1_P2)
        if not data:
            if not self.verified:
                raise Refused(WRONG_PIN | self.tries_left)
            return b""
        if self.tries_left == 0:
            raise Refused(BLOCKED)
        if len(data) != len(self.pin):
            raise Refused(WRONG_DATA)
        self.verified = data == self.pin
        self.tries_left = self.tries if self.verified else self.tries_left - 1
        if not self.verified:
            raise Refused(WRONG_PIN | self.tries_left)
        return b""

    def general_authenticate(self, algorithm, key, data):
        """3.2.4: signs with key 9A; a challenge for 9B is where random bytes come from."""
        if (algorithm, key) != (RSA_2048, KEY_9A) and (algorithm not in TRIPLE_DES or key != KEY_9B):
            raise Refused(WRONG_P1_P2)
        [(tag, template)] = well_formed(data, 1)
        fields = dict(well_formed(template))
        if tag != 0x7C:
            raise Refused(WRONG_DATA)
        if key == KEY_9B:
            if fields != {0x81: b""}:
                raise Refused(NOT_AUTHORISED)
            return tlv(0x7C, tlv(0x81, os.urandom(8)))
        if not self.verified:
            raise Refused(NOT_AUTHORISED)
        message = int.from_bytes(fields.get(0x81, b""), "big")
        if fields.get(0x82) != b"" or len(fields.get(0x81, b"")) != 256 or message >= self.modulus:
            raise Refused(WRONG_DATA)
        return tlv(0x7C, tlv(0x82, pow(message, self.private, self.modulus).to_bytes(256, "big")))


def split(body):
    """What follows a header: (data, how long the answer may be). Short lengths only."""
    if len(body) <= 1:
        return b"", body[0] or 256 if body else 256
    end = 1 + body[0]
    if body[0] == 0 or len(body) not in (end, end + 1):
        raise Refused(WRONG_LENGTH)
    return body[1:end], body[end] or 256 if len(body) > end else 256


def well_formed(data, count=None):
    try:
        found = parse(data)
    except ValueError:
        found = []
    if not found or count not in (None, len(found)):
        raise Refused(WRONG_DATA)
    return found


# ---- The reader: vpcd sends two bytes of length and a message. One byte is an
# order, and only the last of them is answered; anything longer is a command.

POWER_OFF, POWER_ON, RESET, GET_ATR = b"\x00", b"\x01", b"\x02", b"\x04"


class Gone(Exception):
    """The reader closed the connection."""


def receive(connection, size):
    data = b""
    while len(data) < size:
        # vpcd sends a length alone and the message once that has arrived: say so
        # at once, not 40 ms later. The kernel forgets the setting by and by.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = connection.recv(size - len(data))
        if not part:
            raise Gone
        data += part
    return data


def serve(connection, card, log):
    """One message."""
    message = receive(connection, int.from_bytes(receive(connection, 2), "big"))
    if message in (POWER_OFF, POWER_ON, RESET):
        card.reset()
        return
    if message == GET_ATR:
        answer = answer_to_reset()
    else:
        answer = card.answer(message)
        if log:
            log.write(f"{message[:4].hex(' ')} ({len(message) - 4} bytes) {answer[-2:].hex()}\n")
    connection.sendall(len(answer).to_bytes(2, "big") + answer)


def connect(port):
    try:
        return socket.create_connection(("127.0.0.1", port))
    except OSError:
        return None


def say(text):
    print(text, flush=True)


def live(card, port, log, signals):
    """Until SIGTERM. `signals` is a socket on which their numbers arrive. Returns the exit status."""
    wanted, connection, deadline = True, None, time.monotonic() + PATIENCE
    while True:
        if wanted and not connection:
            connection = connect(port)
            if connection:
                card.reset()
                say("inserted")
            elif time.monotonic() > deadline:
                print(f"card.py: no reader on port {port}", file=sys.stderr)
                return 1
        sources = [signals, connection] if connection else [signals]
        ready, _, _ = select.select(sources, [], [], 0.1 if wanted and not connection else None)
        gone = False
        if connection in ready:
            try:
                serve(connection, card, log)
            except (Gone, OSError):
                gone = True
        if signals in ready:
            for number in signals.recv(64):
                if number in (signal.SIGTERM, signal.SIGINT):
                    return 0
                wanted = number == signal.SIGUSR2
        if connection and (gone or not wanted):
            connection.close()
            connection = None
            say("removed")
        if not connection and (gone or signals in ready):
            deadline = time.monotonic() + PATIENCE


def catch_signals():
    """A socket on which their numbers arrive."""
    read_end, write_end = socket.socketpair()
    write_end.setblocking(False)
    signal.set_wakeup_fd(write_end.detach())
    for number in signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT:
        signal.signal(number, lambda *_: None)
    return read_end


def pin_argument(text):
    if not re.fullmatch("[0-9]{6,8}", text):
        raise argparse.ArgumentTypeError("6 to 8 digits")
    return text


def main():
    parser = argparse.ArgumentParser(description="A PIV card in a virtual reader of pcscd.")
    parser.add_argument("--directory", required=True)
    parser.add_argument("--port", type=int, default=35963)
    parser.add_argument("--pin", type=pin_argument, default="123456")
    parser.add_argument("--tries", type=int, choices=range(1, 16), default=3)
    parser.add_argument("--log")
    options = parser.parse_args()

    signals = catch_signals()
    os.makedirs(options.directory, exist_ok=True)
    key_path = os.path.join(options.directory, "card.pem")
    if not os.path.exists(key_path):
        make_key(key_path)
    card = Card(key_path, options.pin, options.tries)
    log = open(options.log, "a", buffering=1, encoding="ascii") if options.log else None
    return live(card, options.port, log, signals)


if __name__ == "__main__":
    sys.exit(main())
