//! Verdicts, for people and for machines.

pub mod hint;
pub mod html;
pub mod json;
pub mod junit;
pub mod run;
pub mod text;
