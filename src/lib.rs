//! Mines Postfix and Exim logs: why mail was deferred or refused, who is responsible, which accounts are abused.
//!
//! A log line's way, from left to right:
//!
//! ```text
//! input → framing → parse → correlate → classify → aggregate → detect → report
//! Block   RawLine   Entry   Message     Verdict    SenderProfile Finding  files
//! └──── borrowed, one line at a time ┘└──────────── owned, small ────────────┘
//!                                               ⇅ archive (nightly's memory)
//!                                    trace: one login's, message's or client's whole story, between classify and report
//! ```
//!
//! Each stage's output type lives in that stage. A stage imports from its left, [`mail`], [`places`], [`tally`] and
//! [`error`], never from its right; `fixtures/golden.rs` checks it. [`run`] joins the stages, one file per command.

pub mod error;
pub mod mail;
pub mod places;
pub mod tally;

pub mod input;

pub mod framing;

pub mod parse;

pub mod correlate;

pub mod classify;

pub mod aggregate;

pub mod archive;

pub mod detect;

pub mod trace;

pub mod report;

pub mod cli;
pub mod config;
pub mod run;
