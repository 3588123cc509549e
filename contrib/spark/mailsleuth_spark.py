#!/usr/bin/env python3
"""mailsleuth under Apache Spark: `map` in one task for each host-day, `merge` over what they give.

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


def packed(directory):
    """The files of a partial as one string of bytes, the same for the same files."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:
        for name in sorted(os.listdir(directory)):
            info = tarfile.TarInfo(name)
            info.size = os.path.getsize(os.path.join(directory, name))
            with open(os.path.join(directory, name), "rb") as file:
                tar.addfile(info, file)
    return into.getvalue()


def mapped(binary, options):
    """One host-day to its partial."""

    def task(batches):
        for batch in batches:
            for row in batch.to_pylist():
                with tempfile.TemporaryDirectory(prefix="mailsleuth-") as work:
                    out = os.path.join(work, "partial")
                    host = ["--host", row["host"]] if row["host"] else []
                    arguments = [program(binary), "map", "--quiet", "--threads", "1", "--out", out, *host, *options]
                    status, said = run([*arguments, *row["paths"]], None)
                    partial = packed(out)
                pieces = range(0, len(partial), PIECE_BYTES)
                yield pa.RecordBatch.from_pylist(
                    [
                        {
                            "host": row["host"],
                            "date": row["date"],
                            "group": row["group"],
                            "piece": number,
                            "partial": partial[start : start + PIECE_BYTES],
                            "status": status,
                            "said": said,
                        }
                        for number, start in enumerate(pieces)
                    ],
                    schema=PARTIALS,
                )

    return task


def merged(binary, options):
    """All partials of a group to the files of its report."""

    def task(batches):
        with tempfile.TemporaryDirectory(prefix="mailsleuth-") as work:
            groups = {}
            # On disk, not in memory: a group may have many.
            for batch in batches:
                for row in batch.to_pylist():
                    name = f"{row['group']}\0{row['host']}\0{row['date']}"
                    number = groups.setdefault(row["group"], {}).setdefault(name, len(groups.get(row["group"], {})))
                    place = os.path.join(work, f"{list(groups).index(row['group'])}-{number}")
                    os.makedirs(place, exist_ok=True)
                    with open(os.path.join(place, f"{row['piece']:06}.piece"), "wb") as file:
                        file.write(row["partial"])
            for index, (group, names) in enumerate(groups.items()):
                partials = []
                for number in names.values():
                    place = os.path.join(work, f"{index}-{number}")
                    whole = io.BytesIO()
                    for piece in sorted(os.listdir(place)):
                        with open(os.path.join(place, piece), "rb") as file:
                            shutil.copyfileobj(file, whole)
                    whole.seek(0)
                    partial = os.path.join(work, f"partial-{index}-{number}")
                    with tarfile.open(fileobj=whole) as tar:
                        tar.extractall(partial, filter="data")
                    partials.append(partial)
                out = os.path.join(work, f"report-{index}")
                status, said = run([program(binary), "merge", "--quiet", "--out", out, *options, *partials], None)
                files = sorted(os.listdir(out))
                rows = []
                for name in files:
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
        ("piece", pa.int32()),
        ("partial", pa.binary()),
        ("status", pa.int32()),
        ("said", pa.string()),
    ]
)
PARTIALS_DDL = "host string, date string, group string, piece int, partial binary, status int, said string"
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


def jobs_in(path, group_by):
    """Host-days with their files in the order of the list."""
    jobs = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            jobs.setdefault((row["host"], row["date"]), []).append(row["path"])
    group = {"all": lambda host: "all", "host": lambda host: host}[group_by]
    return [(host, date, group(host), paths) for (host, date), paths in jobs.items()]


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
    parser.add_argument("--shards", type=int, default=16, help="parts of each published table")
    parser.add_argument("--map-options", default="", help="for `mailsleuth map`, as --map-options='--timezone UTC'")
    parser.add_argument("--merge-options", default="", help="for `mailsleuth merge`")
    arguments = parser.parse_args()
    jobs = jobs_in(arguments.logs, arguments.group_by)
    if not jobs:
        sys.exit("mailsleuth_spark: no host-day in " + arguments.logs)
    spark = SparkSession.builder.appName("mailsleuth").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1")
    # One task a host-day, the heavy ones first.
    jobs.sort(key=lambda job: -sum(os.path.getsize(path) for path in job[3] if os.path.exists(path)))
    rows = spark.sparkContext.parallelize(jobs, len(jobs))
    partials = spark.createDataFrame(rows, JOBS).mapInArrow(
        mapped(arguments.binary, arguments.map_options.split()), PARTIALS_DDL
    )
    groups = len({job[2] for job in jobs})
    reports = partials.repartition(groups, "group").mapInArrow(
        merged(arguments.binary, arguments.merge_options.split()), REPORTS_DDL
    )
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
