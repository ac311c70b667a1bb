"""A small reader of Firn repositories, written from docs/FORMAT.md alone, with published libraries.

It opens a repository that lies in a folder, with a passphrase; verifies FORMAT, the log's chain and signatures, and the id
of every blob that it touches; and lists or extracts. It is proof that the document suffices, not a tool: it knows the
entries that make, import and end points, and takes every other entry of an admitted signer as it is.

    firn_reader.py REPOSITORY PASSPHRASE points
    firn_reader.py REPOSITORY PASSPHRASE ls POINT
    firn_reader.py REPOSITORY PASSPHRASE cat POINT PATH
"""

import json
import pathlib
import struct
import sys

import cbor2
import zstandard
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ZERO_NONCE = bytes(12)
SEGMENT_HEADER_BYTES = 212
OWNER, COMMIT, IMPORT = 1, 2, 4
PLAIN_BYTES_MAX = 8 << 20
INDEX_BYTES_MAX = 64 << 20


class WrongKey(Exception):
    """The passphrase opens no key object."""


class Damaged(Exception):
    """Something is not what was written."""


class Newer(Exception):
    """The repository needs a newer reader."""


def derive(context, material):
    return blake3(material, derive_key_context=context).digest()


def keyed(key, message, length=32):
    return blake3(message, key=key).digest(length=length)


def open_sealed(key, nonce, sealed, additional, what):
    try:
        return AESGCM(key).decrypt(nonce, sealed, additional)
    except InvalidTag:
        raise Damaged(f"{what}: the tag does not fit") from None


def committed_key(base, message, commitment, what):
    """The first half of the output is the key, the second must be the commitment."""
    both = keyed(base, message, 64)
    if both[32:] != commitment:
        raise Damaged(f"{what}: the commitment does not fit")
    return both[:32]


def unzstd(frame, plain_len, what):
    try:
        plain = zstandard.ZstdDecompressor().decompress(frame, max_output_size=plain_len)
    except zstandard.ZstdError as error:
        raise Damaged(f"{what}: {error}") from None
    if len(plain) != plain_len:
        raise Damaged(f"{what}: {len(plain)} bytes instead of {plain_len}")
    return plain


def verify(public, signature, message, what):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        raise Damaged(f"{what}: the signature does not fit") from None


class Domain:
    """The keys of one domain and generation (§3)."""

    def __init__(self, family, root, domain, generation):
        material = root + domain + struct.pack("<I", generation)
        self.ref = domain + struct.pack("<I", generation)
        self.family = family
        self.chunk_id_key = derive("firn 2026 v1 chunk id key", material)
        self.node_id_key = derive("firn 2026 v1 node id key", material)
        self.metadata_key = derive("firn 2026 v1 metadata key", material)
        self.private = X25519PrivateKey.from_private_bytes(derive("firn 2026 v1 x25519 secret", material))
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.sessions = {}

    def session_key(self, wrapped):
        """Unwraps `E || wrapped` (§4)."""
        if wrapped not in self.sessions:
            ephemeral = wrapped[:32]
            shared = self.private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            kek = derive("firn 2026 v1 session wrap", shared + ephemeral + self.public)
            secret = open_sealed(kek, ZERO_NONCE, wrapped[32:], self.family + self.ref, "session key")
            self.sessions[wrapped] = secret
        return self.sessions[wrapped]

    def open_box(self, box):
        """A sealed box (§8.1)."""
        if box[:20] != self.ref:
            raise Damaged("sealed box: of another domain")
        message = b"firn summary v1" + self.family + box[:52]
        key = committed_key(self.metadata_key, message, box[52:84], "sealed box")
        return open_sealed(key, ZERO_NONCE, box[84:], message, "sealed box")


class Repository:
    """A repository in a folder."""

    def __init__(self, folder, passphrase):
        self.folder = pathlib.Path(folder)
        self.read_format()
        self.root = self.unlock(passphrase)
        self.domains = {}
        self.points = {}
        self.read_log()
        self.blobs = {}
        self.read_index()

    def read(self, name):
        return (self.folder / name).read_bytes()

    def read_hashed(self, name):
        """An object whose name ends with the hash of its bytes, perhaps followed by the seq of an entry that ended another name."""
        data = self.read(name)
        if blake3(data).hexdigest() != pathlib.PurePath(name).name.split(".")[0]:
            raise Damaged(f"{name}: its hash is not its name")
        return data

    def list(self, folder):
        found = (path.relative_to(self.folder) for path in (self.folder / folder).rglob("*") if path.is_file())
        return sorted(str(path) for path in found)

    def read_format(self):
        """§2"""
        stored = self.read("FORMAT")
        self.fingerprint = blake3(stored).digest()
        body, signature = cbor2.loads(stored)
        fields = cbor2.loads(body)
        if fields[0] != "firn":
            raise Damaged("FORMAT: not Firn's")
        if fields[1] != 1 or fields.get(8):
            raise Newer(f"version {fields[1]}, features {fields.get(8)}")
        verify(fields[4], signature, b"firn format v1\0" + body, "FORMAT")
        self.family, self.store, self.owner = fields[2], fields[3], fields[4]
        self.secret_id = fields[6]

    def unlock(self, passphrase):
        """§3"""
        for name in self.list("keys"):
            slot = cbor2.loads(self.read_hashed(name))
            if slot[1] != self.family or slot[2] != 1:
                continue
            memory_kib, passes, lanes = slot[3], slot[4], slot[5]
            if not (8 << 10 <= memory_kib <= 1 << 20 and 1 <= passes <= 16 and 1 <= lanes <= 8):
                raise Damaged(f"{name}: costs beyond the limits")
            kek = hash_secret_raw(passphrase.encode(), slot[6], passes, memory_kib, lanes, 32, Type.ID, 0x13)
            both = keyed(kek, b"firn key slot v1" + self.family + slot[6], 64)
            if both[32:] != slot[7]:
                continue
            additional = b"firn key slot v1" + self.family + bytes([slot[2]]) + slot[6]
            root = cbor2.loads(open_sealed(both[:32], ZERO_NONCE, slot[8], additional, name))[0]
            if blake3(derive("firn 2026 v1 chunker check", root)).digest()[:8] != self.secret_id:
                raise Damaged(f"{name}: not the root of this repository")
            return root
        raise WrongKey("the passphrase opens no key")

    def domain(self, domain, generation):
        key = (domain, generation)
        if key not in self.domains:
            self.domains[key] = Domain(self.family, self.root, domain, generation)
        return self.domains[key]

    def read_log(self):
        """§8: verifies chain and signatures, and notes the points that are live at the end."""
        roles = {self.owner: OWNER}
        previous, seq = self.fingerprint, 0
        for seq, name in enumerate(self.list("log"), 1):
            if name != f"log/{seq:020}":
                raise Damaged(f"log: {name} instead of position {seq}")
            stored = self.read(name)
            body, signature = cbor2.loads(stored)
            entry = cbor2.loads(body)
            if entry[0] != self.store or entry[1] != seq or entry[2] != previous:
                raise Damaged(f"{name}: it does not continue the chain")
            verify(entry[9], signature, b"firn log v1\0" + body, name)
            previous = blake3(stored).digest()
            self.apply(roles, seq, stored, entry)
        self.head = seq, previous

    def apply(self, roles, seq, stored, entry):
        kind, payload, role = entry[3], cbor2.loads(entry[6]), roles.get(entry[9], 0)
        if not role:
            return
        if not 1 <= kind <= 22:
            if entry.get(4):
                raise Newer(f"a critical entry of kind {kind} at {seq}")
            return
        if kind == 1 and role & OWNER:
            if payload[0] == 1:
                roles[payload[1]] = payload[2]
            elif payload[0] == 2:
                roles.pop(payload[1], None)
        elif kind == 3 and role & (OWNER | COMMIT):
            self.points[blake3(stored).digest()] = payload
        elif kind == 6 and role & (OWNER | IMPORT):
            if blake3(payload[3]).digest() != payload[2]:
                raise Damaged(f"the import at {seq}: not the entry that it names")
            imported = cbor2.loads(cbor2.loads(payload[3])[0])
            if imported[3] == 3:
                self.points[payload[2]] = cbor2.loads(imported[6])
        elif kind == 14 and role & (OWNER | COMMIT):
            for point in payload[0]:
                self.points.pop(point, None)

    def read_index(self):
        """§6: where every blob lies."""
        lying = {}
        for path in self.list("data") + self.list("meta"):
            lying.setdefault(path.split(".")[0], []).append(path)
        for name in self.list("index"):
            run = self.read_hashed(name)
            if run[:12] != b"FIRNINDX" + bytes([1, 0, 0, 0]):
                raise Damaged(f"{name}: not an index run")
            domain = self.domain(run[12:28], struct.unpack("<I", run[28:32])[0])
            key = committed_key(domain.metadata_key, b"firn index v1" + self.family + run[:64], run[64:96], name)
            plain = open_sealed(key, ZERO_NONCE, run[96:], b"firn index v1" + self.family + run[:96], name)
            plain_len = struct.unpack("<I", plain[:4])[0]
            if plain_len > INDEX_BYTES_MAX:
                raise Damaged(f"{name}: too long")
            content = cbor2.loads(unzstd(plain[4:], plain_len, name))
            for pack in content[1]:
                # The same bytes may bear another name by now.
                for path in lying.get(object_path(pack[0]).split(".")[0], []):
                    for segment in pack[2]:
                        wrapped = content[0][segment[3]] if segment[4] == 1 else None
                        self.note_segment(domain, path, segment, wrapped)

    def note_segment(self, domain, path, segment, wrapped):
        offset = segment[0] + SEGMENT_HEADER_BYTES
        records = segment[6]
        for position in range(len(records) // 41):
            record = records[41 * position : 41 * position + 41]
            plain_len, sealed_len, codec = struct.unpack("<IIB", record[32:])
            place = (domain, path, segment, wrapped, position, offset, plain_len, sealed_len, codec)
            self.blobs.setdefault((domain.ref, record[:32]), []).append(place)
            offset += sealed_len

    def blob(self, domain, blob_id):
        """§4: opens a blob, wherever one that opens lies, and compares its id."""
        failure = Damaged(f"blob {blob_id.hex()}: in no index")
        for place in self.blobs.get((domain.ref, blob_id), []):
            try:
                return self.open_blob(blob_id, *place)
            except (Damaged, FileNotFoundError) as error:
                failure = error
        raise failure

    def standing(self, path):
        """§6: a pack that a run tells of, under the name that its bytes have now."""
        plain = self.folder / path.split(".")[0]
        if (self.folder / path).exists():
            return self.folder / path
        again = sorted(plain.parent.glob(f"{plain.name}.*"), key=lambda name: int(name.suffix[1:]))
        return again[-1] if again else self.folder / path

    def open_blob(self, blob_id, domain, path, segment, wrapped, position, offset, plain_len, sealed_len, codec):
        what = f"blob {blob_id.hex()} in {path}"
        if plain_len > PLAIN_BYTES_MAX:
            raise Damaged(f"{what}: too long")
        kind = segment[4]
        base = domain.session_key(wrapped) if kind == 1 else domain.metadata_key
        # The first 60 bytes of the segment's header, from what the index says.
        head = b"FSEG" + bytes([1, kind, 1, 0]) + domain.ref + segment[1]
        key = committed_key(base, b"firn segment v1" + self.family + head, segment[2], what)
        with open(self.standing(path), "rb") as pack:
            pack.seek(offset)
            sealed = pack.read(sealed_len)
        additional = b"firn blob v1" + self.family + head + struct.pack("<I", position) + blob_id
        additional += struct.pack("<IB", plain_len, codec)
        plain = open_sealed(key, struct.pack("<Q", position) + bytes(4), sealed, additional, what)
        if codec == 1:
            plain = unzstd(plain, plain_len, what)
        id_key = domain.chunk_id_key if kind == 1 else domain.node_id_key
        if len(plain) != plain_len or keyed(id_key, plain) != blob_id:
            raise Damaged(f"{what}: not what was written")
        return plain

    def manifest(self, point):
        """§7.3"""
        commit = self.points[point]
        domain = self.domain(commit[6], commit[7])
        manifest = cbor2.loads(self.blob(domain, commit[5]))
        if manifest[0] != 4:
            raise Damaged("manifest: another kind of node")
        return manifest

    def entries(self, point):
        """Every entry of a point with its path in the point, its table of ids and its domain."""
        for mount in self.manifest(point).get(6, []):
            domain = self.domain(mount[2], mount[3])
            for path, table, entry in self.tree(domain, mount[1]):
                whole = mount[0].encode() + (b"/" + path if path else b"")
                yield whole, domain, table, entry

    def tree(self, domain, node_id):
        """§7: the entries of a tree, in order."""
        node = cbor2.loads(self.blob(domain, node_id))
        if node[0] == 2:
            for child in node[2]:
                yield from self.tree(domain, child[1])
        elif node[0] == 1:
            path, table = b"", split(node.get(1, b""))
            for entry in node[2]:
                path = path[: entry.get(0, 0)] + entry.get(1, b"")
                yield path, table, entry
        else:
            raise Damaged("tree: another kind of node")

    def content(self, domain, table, pieces):
        """The bytes of an entry or a file map."""
        for piece in pieces:
            if piece[0] == 0:
                yield bytes(piece[1])
            elif piece[0] == 1:
                yield self.blob(domain, table[piece[1]])
            elif piece[0] == 2:
                yield self.blob(domain, table[piece[1]])[piece[2] : piece[2] + piece[3]]
            elif piece[0] == 3:
                node = cbor2.loads(self.blob(domain, table[piece[1]]))
                if node[0] != 3:
                    raise Damaged("file map: another kind of node")
                yield from self.content(domain, split(node.get(1, b"")), node[2])
            else:
                raise Damaged("a piece of an unknown kind")


def split(table):
    return [table[at : at + 32] for at in range(0, len(table), 32)]


def object_path(name):
    """The path of an object name (§1)."""
    folder, digest, rest = name[0], name[1:33].hex(), name[33:]
    if folder == 3:
        path, rest = f"index/{rest[:16].hex()}/{digest}", rest[16:]
    else:
        path = f"{ {1: 'data', 2: 'meta'}[folder] }/{digest[:2]}/{digest}"
    return f"{path}.{struct.unpack('<Q', rest)[0]}" if rest else path


def tell_point(repository, point):
    commit = repository.points[point]
    summary = cbor2.loads(repository.domain(commit[6], commit[7]).open_box(commit[12]))
    return {"id": point.hex(), "cluster": summary[0], "policy": summary[2], "cut_time_ms": summary[3]}


def tell_entry(path, entry):
    told = {"path": path.decode(errors="surrogateescape"), "kind": entry[2], "size": entry.get(11, 0)}
    told["mode"] = f"{entry.get(3, 0):o}"
    told["owner"] = [entry.get(4, 0), entry.get(5, 0)]
    told["mtime"] = [entry.get(6, 0), entry.get(7, 0)]
    told["target"] = entry.get(13, b"").decode(errors="surrogateescape")
    return told


def main(folder, passphrase, command, *words):
    repository = Repository(folder, passphrase)
    if command == "points":
        for point in repository.points:
            print(json.dumps(tell_point(repository, point)))
        return
    point = bytes.fromhex(words[0])
    if command == "ls":
        for path, _, _, entry in repository.entries(point):
            print(json.dumps(tell_entry(path, entry)))
    elif command == "cat":
        wanted = words[1].encode(errors="surrogateescape")
        for path, domain, table, entry in repository.entries(point):
            if path == wanted:
                length = 0
                for part in repository.content(domain, table, entry.get(12, [])):
                    length += len(part)
                    sys.stdout.buffer.write(part)
                if length != entry.get(11, 0):
                    raise Damaged(f"{words[1]}: {length} bytes")
                return
        raise SystemExit(f"no such path: {words[1]}")
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except WrongKey as error:
        print(f"wrong key: {error}", file=sys.stderr)
        sys.exit(4)
    except (Damaged, cbor2.CBORDecodeError) as error:
        print(f"damaged: {error}", file=sys.stderr)
        sys.exit(3)
    except Newer as error:
        print(f"newer format: {error}", file=sys.stderr)
        sys.exit(1)
