#!/usr/bin/env bash
# mailsleuth beside the programs that people use on the same logs, all in one run, one after the other in each round.
#
#     benches/compare.sh [DIR]
#
# DIR holds gzip files of Postfix (mail.log*.gz) and Exim (mainlog*.gz) logs; without it 1 GiB of text in 8 files is made,
# and kept below $TMPDIR for the next time. BIN is the program to measure, built from here where it is not given; ROUNDS
# is 3 by default, of which the best counts. Programs that are not installed are left out:
#
#     apt-get install time pigz isal ripgrep pflogsumm exim4-base
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
work="${TMPDIR:-/tmp}/mailsleuth-compare"
rounds="${ROUNDS:-3}"
mkdir -p "$work"

if [ -z "${BIN:-}" ]; then
    target="$(cd "$here" && cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')"
    (cd "$here" && cargo build --release --locked)
    BIN="$target/release/mailsleuth"
fi

# Two Postfix and two Exim hosts, each with a log in two pieces of 128 MiB.
make_logs() {
    local mta n log
    for mta in postfix exim; do
        for n in 1 2; do
            (cd "$here" && cargo run --release --locked --example traffic -- make --seed "$n" --accounts 2400 --days 4 \
                --hosts 1 --mta "$mta" --out "$work/made/$mta$n")
            mkdir -p "$work/new/$mta$n"
            log="$(find "$work/made/$mta$n" -type f \( -name '*.log' -o -name mainlog \) | head -1)"
            # Ends at a line's end; the older piece has the higher number.
            head -c 268435456 "$log" | sed '$d' >"$work/made/text"
            split -n l/2 -d -a 1 "$work/made/text" "$work/new/$mta$n/piece"
            case "$mta" in postfix) log=mail.log ;; exim) log=mainlog ;; esac
            gzip -6 -c "$work/new/$mta$n/piece0" >"$work/new/$mta$n/$log.2.gz"
            gzip -6 -c "$work/new/$mta$n/piece1" >"$work/new/$mta$n/$log.1.gz"
            rm -r "$work/made/$mta$n" "$work/new/$mta$n"/piece?
        done
    done
    mv "$work/new" "$1"
}

logs="${1:-$work/logs}"
if [ $# -eq 0 ] && [ ! -d "$logs" ]; then make_logs "$logs"; fi
mapfile -t postfix < <(find "$logs" -type f -name 'mail.log*.gz' | sort)
mapfile -t exim < <(find "$logs" -type f -name 'mainlog*.gz' | sort)
all=(${postfix[@]+"${postfix[@]}"} ${exim[@]+"${exim[@]}"})
if [ ${#all[@]} -eq 0 ]; then
    echo "$logs: no mail.log*.gz and no mainlog*.gz below it" >&2
    exit 2
fi
text="$(zcat "${all[@]}" | wc -c)"
text_postfix=0 text_exim=0
if [ ${#postfix[@]} -gt 0 ]; then text_postfix="$(zcat "${postfix[@]}" | wc -c)"; fi
if [ ${#exim[@]} -gt 0 ]; then text_exim="$(zcat "${exim[@]}" | wc -c)"; fi

has() { command -v "$1" >/dev/null; }
names=() commands=() sizes=()
# A measured command: its name, how many bytes of text it reads, what the shell runs.
add() { names+=("$1") sizes+=("$2") commands+=("$3"); }
quoted() { printf '%q ' "$@"; }
report="$(quoted "$BIN") analyze -q --format csv,parquet --out $(quoted "$work/report")"
add "mailsleuth analyze" "$text" "$report $(quoted "${all[@]}")"
add "mailsleuth analyze -j 1" "$text" "$report -j 1 $(quoted "${all[@]}")"
add zcat "$text" "zcat $(quoted "${all[@]}")"
if has igzip; then add igzip "$text" "igzip -dc $(quoted "${all[@]}")"; fi
if has pigz; then add "pigz -d" "$text" "pigz -dc $(quoted "${all[@]}")"; fi
if has rg; then add "rg -z -c" "$text" "rg -z -c status=deferred $(quoted "${all[@]}") || true"; fi
if [ "$text_postfix" -gt 0 ]; then
    add "mailsleuth, Postfix only" "$text_postfix" "$report $(quoted "${postfix[@]}")"
    if has pflogsumm; then add "zcat | pflogsumm" "$text_postfix" "zcat $(quoted "${postfix[@]}") | pflogsumm"; fi
fi
if [ "$text_exim" -gt 0 ]; then
    add "mailsleuth, Exim only" "$text_exim" "$report $(quoted "${exim[@]}")"
    if has eximstats; then add "zcat | eximstats" "$text_exim" "zcat $(quoted "${exim[@]}") | eximstats"; fi
fi

# Wall and processor seconds of the best round, and the most memory of any program in it, in KiB.
wall=() cpu=() memory=()
for _ in $(seq "$rounds"); do
    for at in "${!names[@]}"; do
        /usr/bin/env time -f '%e %U %S %M' -o "$work/time" bash -c "${commands[at]}" >/dev/null 2>"$work/stderr" || {
            echo "${names[at]} failed: $(tail -1 "$work/stderr")" >&2
            exit 1
        }
        read -r e u s m < <(tail -1 "$work/time")
        c="$(awk "BEGIN { print $u + $s }")"
        if [ -z "${wall[at]:-}" ] || awk "BEGIN { exit !($e < ${wall[at]}) }"; then
            wall[at]="$e" cpu[at]="$c" memory[at]="$m"
        fi
    done
done

echo "$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $(nproc) cores; $((text / 1000000)) MB of text in ${#all[@]} files, best of $rounds"
printf '%-26s %8s %8s %8s %8s %14s\n' program 'wall s' 'CPU s' MB/s MiB 'CPU to zcat'"'"'s'
for at in "${!names[@]}"; do if [ "${names[at]}" = zcat ]; then zcat="$at"; fi; done
for at in "${!names[@]}"; do
    awk -v name="${names[at]}" -v e="${wall[at]}" -v c="${cpu[at]}" -v m="${memory[at]}" -v size="${sizes[at]}" \
        -v zc="${cpu[zcat]}" -v ztext="$text" \
        'BEGIN { printf "%-26s %8.2f %8.2f %8.0f %8.0f %14.2f\n", name, e, c, size / 1e6 / e, m / 1024, (c / size) / (zc / ztext) }'
done
