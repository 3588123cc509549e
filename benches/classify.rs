//! How fast answers are classified: one core, a million distinct answers made of the rules' own samples.
//!
//! `cargo bench --bench classify [-- ANSWERS]`. Each verdict is compared with the sample's inside the timed loop.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

mod clock;

use std::collections::HashSet;
use std::time::Duration;

use mailsleuth::classify::{Classifier, Refusal};
use mailsleuth::mail::status::Mta;

use clock::now;

/// Answers in one timed batch; made before the clock starts.
const BATCH: usize = 20_000;

/// A small deterministic generator (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }

    fn ip(&mut self) -> String {
        format!("198.{}.{}.{}", 18 + self.below(2), self.below(256), self.below(256))
    }

    fn address(&mut self) -> String {
        format!("u{:x}@d{}.example", self.below(1 << 40), self.below(100_000))
    }

    /// A word of no language, without digits.
    fn word(&mut self) -> [u8; 10] {
        std::array::from_fn(|_| b"jkqvwxz"[self.below(7) as usize])
    }

    /// A queue id of Postfix or Exim, or a bare hex id.
    fn id(&mut self) -> String {
        const DIGITS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
        let mut run = |len: usize| -> String {
            (0..len).map(|_| char::from(DIGITS[self.below(DIGITS.len() as u64) as usize])).collect()
        };
        match run(1).as_bytes()[0] % 3 {
            0 => format!("1{}-{}-{}", run(5), run(11), run(4)),
            1 => format!("4{}", run(14)),
            _ => format!("{:X}", self.next() >> 20),
        }
    }
}

/// What varies a sample without another meaning: found out by trying, as some rules end in `$` or name a program's own words.
#[derive(Clone, Copy)]
struct Variation {
    /// The words of the host that quotes the answer stand in front.
    is_quoted: bool,
    /// An id stands at the end.
    has_id: bool,
}

impl Variation {
    const ALL: [Self; 4] = [
        Self { is_quoted: true, has_id: true },
        Self { is_quoted: true, has_id: false },
        Self { is_quoted: false, has_id: true },
        Self { is_quoted: false, has_id: false },
    ];

    /// `sample` with other addresses, IPs and ids.
    fn apply(self, sample: &[u8], numbers: &mut Numbers) -> Vec<u8> {
        let text = String::from_utf8_lossy(sample);
        let mut out = String::with_capacity(text.len() + 100);
        if self.is_quoted {
            let (host, domain, ip) = (numbers.below(1_000_000), numbers.below(1_000), numbers.ip());
            out.push_str(&format!("host mx{host}.d{domain}.example[{ip}] said: "));
        }
        for (at, word) in text.split(' ').enumerate() {
            if at > 0 {
                out.push(' ');
            }
            let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_ip = ["192.0.2.", "198.51.100.", "203.0.113."].iter().any(|net| core.starts_with(net))
                && core.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let is_address = core.split_once('@').is_some_and(|(_, domain)| domain.contains('.'))
                && core.bytes().all(|b| b.is_ascii_alphanumeric() || b"@.-_".contains(&b));
            match (is_ip, is_address) {
                (true, _) => out.push_str(&word.replacen(core, &numbers.ip(), 1)),
                (_, true) => out.push_str(&word.replacen(core, &numbers.address(), 1)),
                _ => out.push_str(word),
            }
        }
        if self.has_id {
            out.push(' ');
            out.push_str(&numbers.id());
        }
        out.into_bytes()
    }
}

struct Sample<'c> {
    refusal: Refusal<'c>,
    variation: Variation,
    rule: &'c str,
}

/// What a hostile server may repeat until its answer is as long as a log line can be.
const UNITS: &[&str] = &[
    "<550-",
    " said: 550 ",
    "longwordwithoutablank",
    "@",
    "a@b.c ",
    "1",
    "12.34.",
    "<",
    "<a ",
    "<\"",
    "[",
    "(in reply to ",
    "550-5.1.1 \\n",
    "550 ",
    "a.",
    ":",
    "1:",
    "#5.1",
    "user unknown ",
    "mailbox is full or ",
    "blocked using zen.spamhaus.org ",
    "ab12-",
    "\u{201c}",
    " ",
];

/// Time of answers of 16 and 64 KiB; a factor above four would mean that the time grows faster than the length.
fn hostile(classifier: &Classifier) {
    const ROUNDS: u32 = 50;
    const LEAST: Duration = Duration::from_millis(60);
    let mut scratch = classifier.scratch();
    println!("{:32} {:>10} {:>10} {:>7}", "repeated", "16 KiB, us", "64 KiB, us", "factor");
    for unit in UNITS {
        let times = [16, 64].map(|kib| {
            let text = format!("550 5.7.1 {}", unit.repeat(kib * 1024 / unit.len()));
            let refusal = Refusal::told(Mta::Postfix, b"smtp", true, text.as_bytes());
            let expected = classifier.classify(&mut scratch, &refusal).rule;
            // The system counts a thread's time in ticks of some milliseconds.
            let (started, mut rounds) = (now(), 0);
            while now() - started < LEAST {
                for _ in 0..ROUNDS {
                    assert_eq!(classifier.classify(&mut scratch, &refusal).rule, expected);
                }
                rounds += ROUNDS;
            }
            (now() - started).as_secs_f64() * 1e6 / f64::from(rounds)
        });
        println!("{unit:32.30?} {:10.1} {:10.1} {:7.1}", times[0], times[1], times[1] / times[0]);
    }
}

fn main() {
    let answers: usize = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let started = now();
    let classifier = Classifier::built_in().unwrap();
    println!("classifier built in {:.0} ms", (now() - started).as_secs_f64() * 1e3);
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut scratch = classifier.scratch();
    let samples: Vec<Sample<'_>> = classifier
        .rules()
        .flat_map(|rule| rule.samples())
        .filter_map(|refusal| {
            let rule = classifier.classify(&mut scratch, &refusal).rule;
            let is_said = refusal.response.first().is_some_and(|b| matches!(b, b'4' | b'5'));
            let variation = Variation::ALL.into_iter().find(|variation| {
                let text = variation.apply(refusal.response, &mut numbers);
                let longer = [&text[..], b" ", &numbers.word()].concat();
                let texts = if variation.has_id { vec![&text, &longer] } else { vec![&text] };
                let mut rules = texts.into_iter().map(|text| {
                    let varied = Refusal { response: text, ..refusal };
                    classifier.classify(&mut scratch, &varied).rule
                });
                (!variation.is_quoted || is_said) && rules.all(|varied| varied == rule)
            })?;
            Some(Sample { refusal, variation, rule })
        })
        .collect();
    let mut scratch = classifier.scratch();
    let varied = |done: usize, numbers: &mut Numbers| -> Vec<(&Sample<'_>, Vec<u8>)> {
        let samples = samples.iter().cycle().skip(done % samples.len()).take(BATCH.min(answers - done));
        samples.map(|sample| (sample, sample.variation.apply(sample.refusal.response, numbers))).collect()
    };
    let mut timed = |made: &[(&Sample<'_>, Vec<u8>)]| {
        let started = now();
        for (sample, text) in made {
            let verdict = classifier.classify(&mut scratch, &Refusal { response: text, ..sample.refusal });
            assert_eq!(verdict.rule, sample.rule, "{}", String::from_utf8_lossy(text));
        }
        now() - started
    };
    // Answers of known words, and the same once more.
    let (mut first, mut again, mut new) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut distinct = HashSet::new();
    let (mut bytes, mut done) = (0, 0);
    while done < answers {
        let made = varied(done, &mut numbers);
        distinct.extend(made.iter().map(|(_, text)| xxhash_rust::xxh3::xxh3_64(text)));
        bytes += made.iter().map(|(_, text)| text.len()).sum::<usize>();
        done += made.len();
        first += timed(&made);
        again += timed(&made);
    }
    println!("{done} answers of {} samples, {} distinct, {bytes} bytes", samples.len(), distinct.len());
    // Answers with a word that was never seen: each of a new template.
    done = 0;
    while done < answers {
        let mut made = varied(done, &mut numbers);
        for (_, text) in made.iter_mut().filter(|(sample, _)| sample.variation.has_id) {
            text.push(b' ');
            text.extend_from_slice(&numbers.word());
        }
        done += made.len();
        new += timed(&made);
    }
    for (name, time) in [("first time", first), ("again", again), ("new words", new)] {
        let s = time.as_secs_f64();
        println!("{name}: {s:.3} s, {:.0} answers/s, {:.1} MB/s", done as f64 / s, bytes as f64 / s / 1e6);
    }
    hostile(&classifier);
}
