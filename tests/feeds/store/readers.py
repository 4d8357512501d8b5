"""What other programs see in a ZIP archive: Python's zipfile, and Java's ZipFile and ZipInputStream."""

import hashlib
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path

#: Names with the SHA-256 of their contents, in the order of the reader; None where it refuses the archive.
View = list[tuple[str, str]] | None

_JAVA = """
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.*;
import java.util.zip.*;

public class Readers {
    static final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false);

    static String hex(byte[] data) {
        StringBuilder text = new StringBuilder("x");
        for (byte one : data) text.append(String.format("%02x", one));
        return text.toString();
    }

    static String entry(String name, InputStream data) throws Exception {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        byte[] buffer = new byte[65536];
        for (int size; (size = data.read(buffer)) >= 0;) digest.update(buffer, 0, size);
        return " " + hex(name.getBytes(StandardCharsets.UTF_8)) + " " + hex(digest.digest());
    }

    static String whole(String path) {
        StringBuilder seen = new StringBuilder("seen");
        try (ZipFile file = new ZipFile(path)) {
            for (Enumeration<? extends ZipEntry> all = file.entries(); all.hasMoreElements();) {
                ZipEntry one = all.nextElement();
                InputStream data = file.getInputStream(one);
                if (data == null) return "refused";
                seen.append(entry(one.getName(), new CheckedInputStream(data, new CRC32())));
            }
        } catch (Exception fault) {
            return "refused";
        }
        return seen.toString();
    }

    static String stream(String path) {
        StringBuilder seen = new StringBuilder("seen");
        try (ZipInputStream file = new ZipInputStream(new BufferedInputStream(new FileInputStream(path)))) {
            for (ZipEntry one; (one = file.getNextEntry()) != null;) seen.append(entry(one.getName(), file));
        } catch (Exception fault) {
            return "refused";
        }
        return seen.toString();
    }

    public static void main(String[] folders) throws Exception {
        File[] files = new File(folders[0]).listFiles();
        Arrays.sort(files);
        for (File file : files) {
            out.println(file.getName() + " " + whole(file.getPath()));
            out.println(file.getName() + " " + stream(file.getPath()));
        }
        out.flush();
    }
}
"""


def seen_by_python(path: Path) -> View:
    """What zipfile reads."""
    try:
        with zipfile.ZipFile(path) as file:
            return [(entry.filename, hashlib.sha256(file.read(entry)).hexdigest()) for entry in file.infolist()]
    except Exception:  # noqa: BLE001  # it raises a dozen kinds
        return None


def seen_by_java(folder: Path, work: Path) -> dict[str, tuple[View, View]]:
    """What ZipFile and ZipInputStream read, for every file of a folder: one start for all."""
    source = work / "Readers.java"
    source.write_text(_JAVA)
    command = ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", str(source), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    lines = done.stdout.splitlines()
    seen: dict[str, tuple[View, View]] = {}
    for whole, stream in zip(lines[::2], lines[1::2], strict=True):
        name = whole.split(" ", 1)[0]
        seen[name] = (_view(whole.split(" ")[1:]), _view(stream.split(" ")[1:]))
    return seen


def _view(words: Sequence[str]) -> View:
    if words[0] == "refused":
        return None
    parts = words[1:]
    return [
        (bytes.fromhex(name[1:]).decode(errors="surrogateescape"), digest[1:])
        for name, digest in zip(parts[::2], parts[1::2], strict=True)
    ]
