//! Peers that break one rule each, and the trial that each has to fail.
//!
//! A mutant is a change to the sources of the reference server or the Rust client (`mutants/*.toml`). All changes are
//! made at once in a copy of the workspace, each behind a switch that is looked up when the peer runs: one build serves
//! every mutant, and the sources themselves know nothing of it.

#![forbid(unsafe_code)]

pub mod copy;
pub mod mutant;
pub mod table;
pub mod trial;
