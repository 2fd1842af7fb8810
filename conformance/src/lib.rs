//! Judges any server and any client of the Readywire protocol: cases are data, each tries one clause of the
//! specification, and a verdict shows what was done, the rule, what was expected, what came, and every frame.

#![forbid(unsafe_code)]

pub mod amount;
pub mod browser;
pub mod case;
pub mod catalogue;
pub mod clauses;
pub mod command_line;
pub mod conditions;
pub mod credentials;
pub mod dial;
pub mod discover;
pub mod judge_client;
pub mod judge_server;
pub mod known;
pub mod link;
pub mod log;
pub mod pattern;
pub mod play;
pub mod process;
pub mod report;
pub mod settings;
pub mod table;
pub mod talk;
pub mod testee;
pub mod verdict;
