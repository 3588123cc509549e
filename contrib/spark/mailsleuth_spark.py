#!/usr/bin/env python3
"""mailsleuth under Apache Spark: `map` in one task for each host-day, `merge --shard` in one task for each shard of the
identities, `merge` over what they give.

    spark-submit --files mailsleuth contrib/spark/mailsleuth_spark.py --binary mailsleuth --logs jobs.csv --out /srv/reports

`jobs.csv` has a line for each file: host, date and path, in the order of time within a host and date. A heavy host-day is
given in pieces: the same host with dates such as 2026-11-21T00, 2026-11-21T01. Tasks write only into directories of
their own, which they take away again, so that retries and speculation are safe; what is published is published by the driver.
"""

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import SparkFiles
from pyspark.sql import SparkSession

TABLES = ("findings", "senders", "reasons")
# Arrow's lists of binaries end at 2 GiB; a partial is given in pieces of this size.
PIECE_BYTES = 64 << 20


def program(binary):
    """The binary that was shipped with the job, else the one of this path."""
    if os.path.sep not in binary:
        shipped = SparkFiles.get(binary)
        if os.path.exists(shipped):
            # What `--files` ships is not executable; another task may change that at the same time.
            os.chmod(shipped, 0o755)
            return shipped
    return binary


def run(arguments, cwd):
    """Runs mailsleuth. Its status and what it said on stderr become the task's error; 3, damaged input, is passed on."""
    done = subprocess.run(arguments, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode not in (0, 3, 4):
        raise RuntimeError(f"{' '.join(arguments[:2])}: exit status {done.returncode}\n{said[-4000:]}")
    return done.returncode, said


def packed(directory, names):
    """Some files of a partial as one string of bytes, the same for the same files."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:
        for name in sorted(names):
            info = tarfile.TarInfo(name)
            info.size = os.path.getsize(os.path.join(directory, name))
            with open(os.path.join(directory, name), "rb") as file:
                tar.addfile(info, file)
    return into.getvalue()


def pieces(row, shard, partial, status, said):
    """A partial, or the files of one shard of it, as rows; a row has one piece."""
    told = {"host": row["host"], "date": row["date"], "group": row["group"], "shard": shard}
    return pa.RecordBatch.from_pylist(
        [
            {**told, "piece": number, "partial": partial[start : start + PIECE_BYTES], "status": status, "said": said}
            for number, start in enumerate(range(0, len(partial), PIECE_BYTES))
        ],
        schema=PARTIALS,
    )


def mapped(binary, options, shards):
    """One host-day to its partial, shard by shard."""

    def task(batches):
        for batch in batches:
            for row in batch.to_pylist():
                with tempfile.TemporaryDirectory(prefix="mailsleuth-") as work:
                    out = os.path.join(work, "partial")
                    host = ["--host", row["host"]] if row["host"] else []
                    how = ["--quiet", "--threads", "1", "--no-tables", "--shards", str(shards)]
                    arguments = [program(binary), "map", *how, "--out", out, *host, *options]
                    status, said = run([*arguments, *row["paths"]], None)
                    for shard in range(shards):
                        names = ["manifest.json", "inputs.zst", f"state-{shard:03}.zst"]
                        # What is no identity's goes with the first shard.
                        names += ["common.zst", "seam.zst"] if shard == 0 else []
                        yield pieces(row, shard, packed(out, names), status, said)

    return task


def unpacked(batches, key, work):
    """Partials out of their pieces, as directories: the lists of them by key. On disk, not in memory: there may be many."""
    places = {}
    for batch in batches:
        for row in batch.to_pylist():
            name = (row["host"], row["date"], row["shard"])
            number = places.setdefault(key(row), {}).setdefault(name, sum(map(len, places.values())))
            place = os.path.join(work, f"{number}")
            os.makedirs(place, exist_ok=True)
            with open(os.path.join(place, f"{row['piece']:06}.piece"), "wb") as file:
                file.write(row["partial"])
    partials = {}
    for group, numbers in places.items():
        for number in numbers.values():
            place, whole = os.path.join(work, f"{number}"), io.BytesIO()
            for piece in sorted(os.listdir(place)):
                with open(os.path.join(place, piece), "rb") as file:
                    shutil.copyfileobj(file, whole)
            shutil.rmtree(place)
            whole.seek(0)
            partial = os.path.join(work, f"partial-{number}")
            with tarfile.open(fileobj=whole) as tar:
                tar.extractall(partial, filter="data")
            partials.setdefault(group, []).append(partial)
    return partials


def reduced(binary, options, shards):
    """One shard of all partials of a group to one partial."""

    def task(batches):
        with tempfile.TemporaryDirectory(prefix="mailsleuth-") as work:
            for (group, shard), partials in unpacked(batches, lambda row: (row["group"], row["shard"]), work).items():
                out = os.path.join(work, f"shard-{shard}")
                arguments = [program(binary), "merge", "--quiet", "--shard", f"{shard}/{shards}", "--out", out]
                status, said = run([*arguments, *options, *partials], None)
                row = {"host": "", "date": "", "group": group}
                yield pieces(row, shard, packed(out, os.listdir(out)), status, said)
                shutil.rmtree(out)

    return task


def merged(binary, options):
    """The shards of a group to the files of its report."""

    def task(batches):
        with tempfile.TemporaryDirectory(prefix="mailsleuth-") as work:
            for number, (group, partials) in enumerate(unpacked(batches, lambda row: row["group"], work).items()):
                out = os.path.join(work, f"report-{number}")
                status, said = run([program(binary), "merge", "--quiet", "--out", out, *options, *partials], None)
                rows = []
                for name in sorted(os.listdir(out)):
                    with open(os.path.join(out, name), "rb") as file:
                        content = file.read()
                    rows.append({"group": group, "name": name, "content": content, "status": status, "said": said})
                yield pa.RecordBatch.from_pylist(rows, schema=REPORTS)

    return task


JOBS = "host string, date string, group string, paths array<string>"
PARTIALS = pa.schema(
    [
        ("host", pa.string()),
        ("date", pa.string()),
        ("group", pa.string()),
        ("shard", pa.int32()),
        ("piece", pa.int32()),
        ("partial", pa.binary()),
        ("status", pa.int32()),
        ("said", pa.string()),
    ]
)
PARTIALS_DDL = "host string, date string, group string, shard int, piece int, partial binary, status int, said string"
REPORTS = pa.schema(
    [
        ("group", pa.string()),
        ("name", pa.string()),
        ("content", pa.binary()),
        ("status", pa.int32()),
        ("said", pa.string()),
    ]
)
REPORTS_DDL = "group string, name string, content binary, status int, said string"


def jobs_in(path, group_by, split_above):
    """Host-days with their files in the order of the list; of a heavy one each file by itself."""
    jobs = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            jobs.setdefault((row["host"], row["date"]), []).append(row["path"])
    group = {"all": lambda host: "all", "host": lambda host: host}[group_by]
    parted = []
    for (host, date), paths in jobs.items():
        is_heavy = split_above and sum(map(bytes_of, paths)) > split_above
        for number, some in enumerate([path] for path in paths) if is_heavy else [(None, paths)]:
            parted.append((host, date if number is None else f"{date}#{number}", group(host), some))
    return parted


def bytes_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def publish(out, group, files, date, shards):
    """Puts a report in its place: written aside, then renamed; and its tables by date and shard."""
    place = os.path.join(out, f"date={date}", f"group={group}")
    aside = f"{place}.writing-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    os.makedirs(aside)
    for name, content in files.items():
        with open(os.path.join(aside, name), "wb") as file:
            file.write(content)
    for table in TABLES:
        content = files.get(f"{table}.parquet")
        if content is not None:
            by_shard(pq.read_table(pa.BufferReader(content)), os.path.join(aside, "tables", table), shards)
    shutil.rmtree(place, ignore_errors=True)
    os.rename(aside, place)
    return place


def by_shard(table, directory, shards):
    """One Parquet file for each shard that has rows. The shard of an identity stays the same from day to day."""
    import hashlib

    keys = zip(table["identity_kind"].to_pylist(), table["identity"].to_pylist())
    numbers = [
        int.from_bytes(hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=8).digest(), "big") % shards
        for kind, name in keys
    ]
    # Texts as all readers know them: polars writes views, which pyarrow can read but not pick from.
    schema = pa.schema([field.with_type(plain(field.type)) for field in table.schema])
    rows = table.to_pylist()
    for shard in sorted(set(numbers)):
        place = os.path.join(directory, f"shard={shard:04}")
        os.makedirs(place)
        of_shard = [row for row, number in zip(rows, numbers) if number == shard]
        pq.write_table(pa.Table.from_pylist(of_shard, schema), os.path.join(place, "part.parquet"), compression="zstd")


def plain(kind):
    """A type without views."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    return pa.string() if pa.types.is_string_view(kind) or pa.types.is_large_string(kind) else kind


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default="mailsleuth", help="shipped with --files, or a path that all workers have")
    parser.add_argument("--logs", required=True, help="CSV with host, date and path")
    parser.add_argument("--out", required=True, help="where reports go: a directory that the driver can write")
    parser.add_argument("--date", default="all", help="what the report is called")
    parser.add_argument("--group-by", choices=("all", "host"), default="all", help="one report of all, or one a host")
    parser.add_argument("--shards", type=int, default=16, help="parts of the identities: reduce tasks, and files of a table")
    parser.add_argument(
        "--split-above", type=int, default=0, metavar="BYTES", help="of a host-day with more, each file (hour) is a task"
    )
    parser.add_argument("--map-options", default="", help="for `mailsleuth map`, as --map-options='--timezone UTC'")
    parser.add_argument("--merge-options", default="", help="for `mailsleuth merge`")
    arguments = parser.parse_args()
    jobs = jobs_in(arguments.logs, arguments.group_by, arguments.split_above)
    if not jobs:
        sys.exit("mailsleuth_spark: no host-day in " + arguments.logs)
    spark = SparkSession.builder.appName("mailsleuth").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1")
    # One task a host-day, the heavy ones first.
    jobs.sort(key=lambda job: -sum(map(bytes_of, job[3])))
    rows = spark.sparkContext.parallelize(jobs, len(jobs))
    partials = spark.createDataFrame(rows, JOBS).mapInArrow(
        mapped(arguments.binary, arguments.map_options.split(), arguments.shards), PARTIALS_DDL
    )
    groups, options = len({job[2] for job in jobs}), arguments.merge_options.split()
    shards = partials.repartition(groups * arguments.shards, "group", "shard").mapInArrow(
        reduced(arguments.binary, options, arguments.shards), PARTIALS_DDL
    )
    reports = shards.repartition(groups, "group").mapInArrow(merged(arguments.binary, options), REPORTS_DDL)
    found = {}
    for row in reports.toLocalIterator():
        found.setdefault(row["group"], {})[row["name"]] = bytes(row["content"])
        if row["name"] == "summary.json" and row["said"]:
            print(row["said"], file=sys.stderr)
    for group, files in sorted(found.items()):
        print(publish(arguments.out, group, files, arguments.date, arguments.shards))
    spark.stop()


if __name__ == "__main__":
    main()
