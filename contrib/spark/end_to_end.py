#!/usr/bin/env python3
"""Eight hosts, three rotated segments each, messages across the cuts and one campaign over several hosts: `analyze`, `map`
and `merge`, and Spark in local[2] and in local-cluster[2,1,1024] give equal tables, also when an executor is killed in the
middle. Run by `cargo test`; without Java or pyspark it says so and ends with status 77.

    end_to_end.py BINARY DIRECTORY
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HOSTS = [f"mx{number}" for number in range(1, 9)]
SKIPPED = 77


def stamp(second):
    return f"2026-11-18T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00:00"


def log_of(number, host):
    """One day of one host: a login's daily mail, mail from outside, guesses, and on the first hosts the campaign."""
    lines = []

    def say(second, text):
        lines.append((second, len(lines), f"{stamp(second)} {host} postfix/{text}\n"))

    def mail(second, nth, login, client, sender, recipient, size, status, lasts=2):
        queue_id = f"{number + 10:X}{nth:05X}A0"
        pid = 1000 + nth % 400
        say(second, f"smtpd[{pid}]: connect from c[{client}]")
        of_login = f", sasl_method=PLAIN, sasl_username={login}" if login else ""
        say(second, f"smtpd[{pid}]: {queue_id}: client=c[{client}]{of_login}")
        say(second, f"cleanup[77]: {queue_id}: message-id=<{nth}.{number}@x.example>")
        say(second + 1, f"qmgr[5]: {queue_id}: from=<{sender}>, size={size}, nrcpt=1 (queue active)")
        say(second + 1, f"smtpd[{pid}]: disconnect from c[{client}] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
        service, relay = ("smtp", "mx.r.example[192.0.2.9]:25") if login else ("local", "local")
        words = {
            "sent": "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)",
            "bounced": "dsn=5.1.1, status=bounced (host mx.r.example[192.0.2.9] said: 550 5.1.1 User unknown (in reply to RCPT TO command))",
            "deferred": "dsn=4.2.2, status=deferred (host mx.r.example[192.0.2.9] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command))",
        }
        if status == "deferred":
            # Put off again and again, over the cuts.
            for again in range(1, 6):
                say(second + again * 2400, f"{service}[{pid}]: {queue_id}: to=<{recipient}>, relay={relay}, delay=1, {words['deferred']}")
            lasts, status = 5 * 2400 + 5, "sent"
        say(second + lasts, f"{service}[{pid}]: {queue_id}: to=<{recipient}>, relay={relay}, delay={lasts}, {words[status]}")
        say(second + lasts, f"qmgr[5]: {queue_id}: removed")

    nth = 0
    for second in range(1800, 82000, 160 + 7 * number):
        nth += 1
        kind = nth % 7
        if kind < 3:
            login = f"al{number}@site{number}.example"
            status = "deferred" if nth % 41 == 0 else "bounced" if nth % 29 == 0 else "sent"
            mail(second, nth, login, "198.51.100.7", login, f"friend{nth % 25}@r{nth % 9}.example", 3000 + nth % 900 * 7, status)
        elif kind < 6:
            mail(second, nth, None, f"203.0.113.{nth % 90}", f"s{nth % 40}@out{nth % 13}.example", f"al{number}@site{number}.example", 2000 + nth, "sent")
        else:
            say(second, f"smtpd[900]: connect from unknown[192.0.2.{nth % 50}]")
            say(second, f"smtpd[900]: NOQUEUE: reject: RCPT from unknown[192.0.2.{nth % 50}]: 550 5.1.1 <x{nth}@site{number}.example>: Recipient address rejected: User unknown; from=<a@b.example> to=<x{nth}@site{number}.example> proto=ESMTP helo=<h>")
            say(second + 1, f"smtpd[900]: disconnect from unknown[192.0.2.{nth % 50}] ehlo=1 auth=0/2 mail=1 rcpt=0/1 quit=1 commands=3/6")
    if number <= 3:
        login = ["al@a.example", "bo@b.example", "cy@c.example"][number - 1]
        client = ["198.51.100.77", "203.0.113.99", "192.0.2.200"][number - 1]
        for n in range(14):
            nth += 1
            status = "bounced" if n in (3, 9) else "sent"
            mail(32000 + n * 1800 + 13 * number, nth, login, client, login, f"p{number}x{n}@r{n % 40}.example", 4000 + 5 * number + n * 7 % 23, status)
    lines.sort()
    return [line for _, _, line in lines]


def make(directory):
    """The logs: `<host>/mail.log.{3,2,1}`, cut in the middle of messages."""
    rows = []
    for number, host in enumerate(HOSTS, 1):
        os.makedirs(os.path.join(directory, "logs", host))
        lines = log_of(number, host)
        cuts = [0, len(lines) // 3 + number, 2 * len(lines) // 3 - number, len(lines)]
        for segment in range(3):
            path = os.path.join("logs", host, f"mail.log.{3 - segment}")
            with open(os.path.join(directory, path), "w", encoding="utf-8") as file:
                file.writelines(lines[cuts[segment] : cuts[segment + 1]])
            rows.append({"host": host, "date": f"2026-11-18T{segment}", "path": path})
    return rows


def check(arguments, directory):
    done = subprocess.run(arguments, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{arguments}: status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done


def files_in(directory):
    found = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                found[name] = file.read()
    return found


def expect_equal(expected, directory, what):
    found = files_in(directory)
    differ = [name for name in sorted(set(expected) | set(found)) if expected.get(name) != found.get(name)]
    if differ:
        sys.exit(f"{what}: not what analyze writes: {', '.join(differ)} ({directory})")
    print(f"{what}: equal, {len(found)} files", flush=True)


def executors(driver):
    """Processes of Spark executors that descend from the driver."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    parents, backends = {}, []
    for line in listed.splitlines()[1:]:
        pid, parent, args = line.split(None, 2)
        parents[int(pid)] = int(parent)
        if "CoarseGrainedExecutorBackend" in args and "java" in args.split()[0]:
            backends.append(int(pid))

    def descends(pid):
        while pid in parents:
            if pid == driver:
                return True
            pid = parents[pid]
        return False

    return [pid for pid in backends if descends(pid)]


def expect_shards(place):
    """Each row of a table stands in one shard."""
    import pyarrow.parquet as pq

    for table in ("findings", "senders", "reasons"):
        directory = os.path.join(place, "tables", table)
        shards = [os.path.join(directory, shard, "part.parquet") for shard in os.listdir(directory)]
        rows = sum(pq.read_metadata(shard).num_rows for shard in shards)
        with open(os.path.join(place, f"{table}.parquet"), "rb") as whole:
            if rows != pq.read_metadata(whole).num_rows:
                sys.exit(f"{table}: {rows} rows in shards")


def expect_sketches(directory):
    """Tables of partials are read by others, and the sketches in them by Apache DataSketches."""
    import pyarrow.parquet as pq
    from datasketches import hll_sketch

    found = 0
    for part in sorted(os.listdir(os.path.join(directory, "parts"))):
        path = os.path.join(directory, "parts", part, "identities.parquet")
        table = pq.read_table(path)
        if b"mailsleuth.rules" not in (pq.read_metadata(path).metadata or {}):
            sys.exit(f"{part}: identities.parquet does not say by which rules it was made")
        for count, sketch in zip(table["distinct_recipients"].to_pylist(), table["recipients_hll"].to_pylist()):
            if sketch is None:
                continue
            found += 1
            estimate = hll_sketch.deserialize(sketch).get_estimate()
            if abs(estimate - count) > 0.15 * count:
                sys.exit(f"{part}: {count} recipients, by their sketch {estimate}")
    if found == 0:
        sys.exit("no sketch in any partial")
    print(f"tables of partials: {found} sketches read by Apache DataSketches", flush=True)


def spark(binary, directory, master, out, kills):
    """Runs the job; kills an executor in the middle of a task where that is asked for."""
    wrapped = binary
    mark = os.path.join(directory, f"{out}.mark")
    if kills:
        # The first run for mx5 waits to be killed with its executor.
        wrapped = os.path.join(directory, f"{out}.sh")
        with open(wrapped, "w", encoding="utf-8") as file:
            file.write(
                f'#!/bin/sh\ncase "$*" in map*mx5*) if mkdir {mark} 2>/dev/null; then sleep 20; exit 9; fi;; esac\nexec {binary} "$@"\n'
            )
        os.chmod(wrapped, 0o755)
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    import pyspark

    submit = os.path.join(os.path.dirname(pyspark.__file__), "bin", "spark-submit")
    arguments = [
        submit,
        "--master",
        master,
        "--conf",
        "spark.driver.host=127.0.0.1",
        "--conf",
        "spark.ui.enabled=false",
        "--conf",
        "spark.executor.memory=512m",
        "--conf",
        "spark.task.maxFailures=4",
        os.path.join(HERE, "mailsleuth_spark.py"),
        "--binary",
        wrapped,
        "--logs",
        "jobs.csv",
        "--out",
        out,
        "--shards",
        "3",
        "--map-options=--timezone UTC",
        "--merge-options=--format csv,parquet,json,html",
    ]
    with open(os.path.join(directory, f"{out}.log"), "w", encoding="utf-8") as log:
        job = subprocess.Popen(arguments, cwd=directory, env=environment, stdout=log, stderr=log)
        killed = None
        while job.poll() is None:
            if kills and killed is None and os.path.isdir(mark):
                running = executors(job.pid)
                # The one whose task waits: the wrapper's ancestors lead to it.
                victim = executor_of(mark, running) or (running[0] if running else None)
                if victim:
                    os.kill(victim, signal.SIGKILL)
                    killed = victim
            time.sleep(0.3)
    if job.returncode != 0:
        with open(os.path.join(directory, f"{out}.log"), encoding="utf-8") as log:
            sys.exit(f"spark {master}: status {job.returncode}\n{log.read()[-8000:]}")
    if kills and killed is None:
        sys.exit(f"spark {master}: no executor was killed")
    return os.path.join(directory, out, "date=all", "group=all")


def executor_of(mark, running):
    """The executor that works for the waiting wrapper."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    parents, waiting = {}, None
    for line in listed.splitlines()[1:]:
        pid, parent, args = line.split(None, 2)
        parents[int(pid)] = int(parent)
        if mark[: -len(".mark")] + ".sh" in args and " map " in args:
            waiting = int(pid)
    while waiting in parents:
        if waiting in running:
            return waiting
        waiting = parents[waiting]
    return None


def main():
    binary, directory = os.path.abspath(sys.argv[1]), sys.argv[2]
    missing = []
    if shutil.which("java") is None:
        missing.append("Java (17)")
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
        import pyspark  # noqa: F401
    except ImportError as error:
        missing.append(f"the Python package {error.name}")
    rows = make(directory)
    with open(os.path.join(directory, "jobs.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["host", "date", "path"])
        writer.writeheader()
        writer.writerows({**row, "path": os.path.join(directory, row["path"])} for row in rows)
    paths = [os.path.join(directory, row["path"]) for row in rows]
    formats = ["--format", "csv,parquet,json,html"]
    check([binary, "analyze", "--quiet", "--timezone", "UTC", *formats, "--out", "analyzed", *paths], directory)
    expected = files_in(os.path.join(directory, "analyzed"))
    if b"one campaign split over them" not in expected["findings.csv"]:
        sys.exit("the campaign over several hosts is not found")
    for row in rows:
        out = os.path.join("parts", f"{row['host']}-{row['date']}")
        path = os.path.join(directory, row["path"])
        check([binary, "map", "--quiet", "--timezone", "UTC", "--host", row["host"], "--out", out, path], directory)
    parts = [os.path.join("parts", name) for name in sorted(os.listdir(os.path.join(directory, "parts")))]
    check([binary, "merge", "--quiet", *formats, "--out", "merged", *reversed(parts)], directory)
    expect_equal(expected, os.path.join(directory, "merged"), "map and merge")
    try:
        expect_sketches(directory)
    except ImportError as error:
        print(f"tables of partials: SKIPPED, the Python package {error.name} is missing", flush=True)
    if missing:
        print(f"Spark: SKIPPED, {' and '.join(missing)} missing", flush=True)
        sys.exit(SKIPPED)
    for master, out, kills in [
        ("local[2]", "local", False),
        ("local-cluster[2,1,1024]", "cluster", False),
        ("local-cluster[2,1,1024]", "killed", True),
    ]:
        place = spark(binary, directory, master, out, kills)
        expect_shards(place)
        expect_equal(expected, place, f"Spark {master}{', an executor killed' if kills else ''}")


if __name__ == "__main__":
    main()
